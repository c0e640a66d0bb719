"""Check the arguments of the public functions, so that an error names the argument of the wrong kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeGuard

from synaug.errors import OptionError

_LONGEST_NAME = 255  # bytes of one part of a path, on all usual file systems


def is_tensor(value: Any) -> TypeGuard[Any]:
    """Return whether a value is a torch tensor, without importing torch; ``detach`` alone would match open files."""
    return hasattr(value, "detach") and hasattr(value, "cpu")


@dataclass(frozen=True)
class Kind:
    """A kind of argument: its description, and the test that a value must pass."""

    words: str
    accepts: Callable[[object], bool]

    @property
    def or_none(self) -> Kind:
        """Return the kind that also accepts None."""
        return Kind(f"{self.words}, or None", lambda value: value is None or self.accepts(value))


def instance_of(*classes: type, words: str) -> Kind:
    """Return the kind that accepts instances of these classes."""
    return Kind(words, lambda value: isinstance(value, classes))


def _is_path(value: object) -> bool:
    if not isinstance(value, str | os.PathLike):
        return False
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        return False
    return all(len(part.encode(errors="surrogateescape")) <= _LONGEST_NAME for part in text.split(os.sep))


def _is_list_of_texts(value: object) -> bool:
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable) or not hasattr(value, "__len__"):
        return False
    return getattr(value, "ndim", 1) == 1 and all(isinstance(item, str) for item in value)


def _is_list_of_whole_numbers(value: object) -> bool:
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable) or not hasattr(value, "__len__"):
        return False
    return getattr(value, "ndim", 1) == 1 and all(map(_is_whole, value))


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _is_seed(value: object) -> bool:
    return isinstance(value, Integral) and _is_whole(value) and int(value) < 2**32


PATH = Kind("a path without NUL and with names of up to 255 bytes", _is_path)
TEXT = instance_of(str, words="a text")
MODEL = Kind(
    "the name of a model or a folder, with names of up to 255 bytes",
    lambda value: isinstance(value, str) and _is_path(value),
)
FUNCTION = Kind("a function", callable)
WHOLE = Kind("a whole number of at least 0", _is_whole)
SEED = Kind("a whole number from 0 to 4,294,967,295", _is_seed)
TRUTH = instance_of(bool, words="True or False")
TEXTS = Kind("a list of names", _is_list_of_texts)
WHOLES = Kind("a list of whole numbers of at least 0", _is_list_of_whole_numbers)


def check_arguments(function: str, **arguments: tuple[object, Kind]) -> None:
    """Check arguments, each given by name as a pair of its value and the kind that it must be.

    Raises:
        OptionError: an argument is of another kind; the message contains its name, the allowed kind and the value.

    >>> check_arguments("run", out=(3, PATH))
    Traceback (most recent call last):
    synaug.errors.OptionError: run: out must be a path without NUL and with names of up to 255 bytes, got int: 3.
    """
    for name, (value, kind) in arguments.items():
        if not kind.accepts(value):
            raise OptionError(f"{function}: {name} must be {kind.words}, got {type(value).__name__}: {_shown(value)}.")


def _shown(value: object) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a value whose text fails is still a wrong argument
        return "(cannot be shown)"
    return text if len(text) <= 60 else f"{text[:57]}..."
