"""Route every change of a file through one function, so that a test can make any of them fail."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from synaug.errors import EnvironmentFault

P = ParamSpec("P")
T = TypeVar("T")

_ADVICE = (
    ({errno.ENOSPC, errno.EDQUOT}, "Free some space and rerun the same command."),
    ({errno.EBUSY}, "If something is mounted there, unmount it."),
)


def perform(operation: str, path: Path, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Return ``function(*arguments)``, which does ``operation`` (create, write, fsync, replace, ...) on ``path``."""
    return function(*arguments, **options)


@contextlib.contextmanager
def naming(path: Path, action: str) -> Iterator[None]:
    """Convert an operating system error into an EnvironmentFault that contains the path and the cause."""
    try:
        yield
    except OSError as error:
        way_out = next((advice for codes, advice in _ADVICE if error.errno in codes), "")
        raise EnvironmentFault(f"Cannot {action} {path}: {error.strerror or error}. {way_out}".strip()) from error
