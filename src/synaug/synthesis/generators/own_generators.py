"""Load the user's own generators, which a recipe names: ``draw.py:draw`` or ``package.module:factory``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

from PIL import Image

from synaug.errors import OptionError, SynaugError
from synaug.runtime.security import callable_named, check_code, shown, source_digest
from synaug.synthesis.generators.diffusion import Generated

KIND = "generator"
_BATCH = 16


class OwnGenerator:
    """A user's callable, whose errors name it and whose file is recorded in the provenance."""

    def __init__(self, name: str, call: Callable[..., Iterable[Generated | Image.Image]], *, weights: str) -> None:
        self._name, self._call = name, call
        self.batch_size = _batch_size(call, name)
        about = getattr(call, "about", {})
        facts = dict(about) if isinstance(about, dict) else {}
        self.about: dict[str, object] = {"model": shown(name), "revision": None, "license": None,
                                      "pipeline": "own code"} | facts | {"weights": weights}  # fmt: skip
        self.__signature__ = inspect.signature(call)  # so that callers see which arguments it takes

    def __call__(
        self, prompts: Sequence[str], *, seeds: Sequence[int], **more: object
    ) -> list[Generated | Image.Image]:
        """Return one image per prompt.

        Raises:
            OptionError: the code fails.
        """
        try:
            return list(self._call(list(prompts), seeds=list(seeds), **more))
        except (SynaugError, MemoryError):
            raise
        except Exception as error:
            raise OptionError(
                f"The generator {self._name} failed: {type(error).__name__}: {error}. It is called with a list of "
                "prompts, seeds=, and the other arguments that its signature names."
            ) from error


def check_own_generator(name: str) -> None:
    """Check that the person named or confirmed the code of a generator; it is not run here.

    Raises:
        OptionError: it is neither named nor confirmed, or cannot be found.
    """
    if ":" not in name:
        raise OptionError(f"generate.generator is path/to/file.py:NAME or package.module:NAME, got {name!r}.")
    check_code([name], KIND)


def load_own_generator(name: str, **settings: object) -> OwnGenerator:
    """Return the generator of that name; a class or a factory is called first.

    Args:
        name: ``path/to/file.py:NAME`` or ``package.module:NAME``. A function that takes ``seeds`` is the generator.
        settings: arguments for a class or factory; it receives those that its signature names.

    Raises:
        OptionError: the code is not trusted, cannot be imported or called, or makes no generator.
    """
    check_own_generator(name)
    named = callable_named(name, KIND)
    found: object = named
    try:
        if not _is_generator(named):
            taken = inspect.signature(named).parameters
            found = named(**{key: value for key, value in settings.items() if key in taken})
    except Exception as error:
        raise OptionError(
            f"The generator {name} cannot be created: {type(error).__name__}: {error}. It is called with those of "
            f"{', '.join(settings)} that its signature names."
        ) from error
    if not _is_generator(found):
        raise OptionError(
            f"The generator {name} must be a function (prompts, *, seeds) that makes images, or a class or function "
            f"that returns one; got {type(found).__name__}."
        )
    return OwnGenerator(name, found, weights=source_digest(name, KIND))


def _is_generator(value: object) -> TypeGuard[Callable[..., Iterable[Generated | Image.Image]]]:
    """Return whether a value can be called with seeds; a class is called first."""
    if not callable(value) or inspect.isclass(value):
        return False
    try:
        return "seeds" in inspect.signature(value).parameters
    except (ValueError, TypeError):  # built-in code has no signature
        return False


def _batch_size(call: object, name: str) -> int:
    size = getattr(call, "batch_size", _BATCH)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise OptionError(f"The generator {name} has the batch_size {size!r}. It must be a whole number above 0.")
    return size
