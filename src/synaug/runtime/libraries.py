"""Check whether the libraries of an extra are installed; a failed import becomes an error that names the extra.

Counting, planning, evaluating and reviewing need none of them. torch and its companions are the extra ``train``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from synaug.errors import MissingLibraryError

TRAINING = ("torch", "torchvision", "timm", "accelerate", "diffusers", "transformers")
EXTRAS = dict.fromkeys(TRAINING, "train") | {
    "datasets": "hub",
    "httpx": "api",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "peft": "adapt",
    "pillow_heif": "heic",
    "ray": "cluster",
}
"""The extra of synaug that installs a library, by the name under which Python imports it."""

NO_TRAINING = (
    "{library} is not installed. Generating and training need it: pip install 'synaug[train]'. These work without it: "
    "count, doctor, evaluate, plan --dry-run, verify, and status, review and export of an existing run."
)

Given = ParamSpec("Given")
Result = TypeVar("Result")


def can_train() -> bool:
    """Return whether all libraries for generating and training are installed; imports none of them."""
    return all(importlib.util.find_spec(name) is not None for name in TRAINING)


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, such as ``scikit-learn``; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing_library(error: ImportError, needed_by: str = "This") -> MissingLibraryError | None:
    """Return the error for a failed import of a library of an extra; None for any other library.

    >>> print(missing_library(ModuleNotFoundError(name="ray"), "--engine ray"))
    --engine ray needs ray, which is not installed. Install it with: pip install 'synaug[cluster]'
    """
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        return None
    if (extra := EXTRAS[library]) == "train":
        return MissingLibraryError(NO_TRAINING.format(library=library), name=library)
    way_out = f"Install it with: pip install 'synaug[{extra}]'"
    return MissingLibraryError(f"{needed_by} needs {library}, which is not installed. {way_out}", name=library)


def needs_libraries(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return the function with failed imports of an extra's libraries raised as ``MissingLibraryError``."""

    @functools.wraps(function)
    def wrapper(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except ModuleNotFoundError as error:
            if isinstance(error, MissingLibraryError):
                raise
            raise missing_library(error, f"{function.__name__}()") or error from error

    return wrapper
