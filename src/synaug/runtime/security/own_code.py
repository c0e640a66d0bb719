"""Load custom code that a recipe names: a class or function in a module or file.

This is the user's own code and runs with all rights of the user, like any program; ``trust`` decides whether it may.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

from synaug.errors import DataError, OptionError, unknown
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.runtime.security.trust import check_trusted

_MAKES = {"network": "an nn.Module", "generator": "images"}


def callable_named(name: str, kind: str) -> Callable[..., object]:
    """Return the class or function of ``package.module:name`` or ``path/to/file.py:name``.

    Args:
        name: location and name of the code.
        kind: its noun in errors, such as ``network``.

    Raises:
        OptionError: it cannot be imported, or is not callable.
    """
    place, _, attribute = name.rpartition(":")
    module = _run(Path(place).resolve(), _content(place, kind), kind) if _is_file(place) else _imported(place, kind)
    if not hasattr(module, attribute):
        raise unknown(
            f"{kind} in {place}", attribute, [key for key, it in vars(module).items() if _made_in(module, it)]
        )
    found = getattr(module, attribute)
    if not callable(found):
        raise OptionError(
            f"The {kind} {name} is a {type(found).__name__}. It must be a class or function that returns "
            f"{_MAKES[kind]}."
        )
    return found


def check_code(names: Sequence[str], kind: str) -> None:
    """Make sure that the person named or confirmed the code of all names; none of it is run here.

    Raises:
        OptionError: code is neither named nor confirmed, or cannot be found.
    """
    for name in names:
        check_trusted(name, source_digest(name, kind))


def shown(name: str) -> str:
    """Return the name without the folders of its file, which are private.

    >>> shown("/home/me/net.py:Net"), shown("my_package.nets:small")
    ('net.py:Net', 'my_package.nets:small')
    """
    place, _, attribute = name.rpartition(":")
    return f"{Path(place).name}:{attribute}" if _is_file(place) else name


def source_digest(name: str, kind: str) -> str:
    """Return the SHA-256 of the file that defines the code; files that it imports are not included.

    Raises:
        OptionError: there is no such file.
    """
    place = name.rpartition(":")[0]
    return storage.digest(_content(place, kind)) if _is_file(place) else _digest_of_module(place, kind)


def _is_file(place: str) -> bool:
    return place.endswith(".py")


def _content(place: str, kind: str) -> bytes:
    try:
        return directories.read_bytes(Path(place), limit=directories.LARGEST_TEXT)
    except DataError as error:
        raise OptionError(str(error)) from error
    except OSError as error:
        raise OptionError(
            f"The {kind} file {place} cannot be read: {error.strerror}. A relative path starts where the command runs."
        ) from error


@functools.lru_cache(maxsize=16)
def _run(path: Path, content: bytes, kind: str) -> types.ModuleType:
    """Return the file as a module; run again only if its content changed."""
    module = types.ModuleType(f"synaug_{kind}_{storage.digest(str(path).encode() + content)[:12]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look up definitions here
    try:
        exec(compile(content, str(path), "exec"), vars(module))
    except Exception as error:
        del sys.modules[module.__name__]
        raise OptionError(f"The {kind} file {path} cannot be run: {type(error).__name__}: {error}.") from error
    return module


def _imported(place: str, kind: str) -> types.ModuleType:
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise _not_importable(place, kind, error) from error


@functools.cache  # a process imports a module once, even if its file changes later
def _digest_of_module(place: str, kind: str) -> str:
    found = _spec_of(place)
    if found is None:
        raise _not_importable(place, kind, ModuleNotFoundError(f"No module named {place!r}"))
    return storage.file_digest(Path(found.origin)) if found.origin and found.has_location else ""


def _spec_of(place: str) -> ModuleSpec | None:
    """Return the spec of a module without running its parent packages, unlike importlib's ``find_spec``."""
    searched: Sequence[str] | None = None
    found: ModuleSpec | None = None
    parts = place.split(".")
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        if not all(parts[:number]):
            return None
        found = _first_spec(name, searched)
        if found is None:
            return None
        searched = found.submodule_search_locations
        if searched is None and number < len(parts):
            return None
    return found


def _first_spec(name: str, searched: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        found = finder.find_spec(name, searched) if hasattr(finder, "find_spec") else None
        if found is not None:
            return found
    return None


def _not_importable(place: str, kind: str, error: Exception) -> OptionError:
    return OptionError(
        f"The {kind}'s module {place} cannot be imported: {type(error).__name__}: {error}. Install its package or "
        "name its folder in PYTHONPATH, or name a file: path/to/file.py:NAME."
    )


def _made_in(module: types.ModuleType, value: object) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__
