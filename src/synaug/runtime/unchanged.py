"""Keep the last object that was read from files, for as long as none of these files changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from synaug.runtime.recorded import Signature, signature

T = TypeVar("T")


class Unchanged(Generic[T]):
    """Reads files once per change: their names, sizes, times and inodes are compared at each call.

    One object is kept, that of the last call. Callers share it, so nobody may change it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[Hashable, T] | None = None

    def get(self, about: Hashable, paths: Sequence[Path], read: Callable[[], T]) -> T:
        """Return what ``read`` makes of the files, or what it made of them at the last call.

        Args:
            about: what else the result depends on.
            paths: all files that ``read`` opens; one that is missing counts as such.
            read: called without arguments.
        """
        key = (about, tuple(paths), signatures(paths))
        with self._lock:
            if self._last is not None and self._last[0] == key:
                return self._last[1]
        value = read()
        if signatures(paths) == key[2]:  # else another process wrote meanwhile, and the next call reads again
            with self._lock:
                self._last = key, value
        return value


def signatures(paths: Sequence[Path]) -> tuple[Signature | None, ...]:
    """Return what changes with each file, None for one that is missing."""
    return tuple(_signature(path) for path in paths)


def _signature(path: Path) -> Signature | None:
    try:
        return signature(os.stat(path))
    except OSError:
        return None
