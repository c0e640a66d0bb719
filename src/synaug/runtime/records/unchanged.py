"""Cache the last object read from files, for as long as none of the files changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from synaug.runtime.records.recorded import Signature, signature

T = TypeVar("T")


class Unchanged(Generic[T]):
    """Reads files again only after a change, judged by their names, sizes, times and inodes at each call.

    Only the result of the last call is kept. Callers share it, so nobody may modify it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[Hashable, T] | None = None

    def get(self, about: Hashable, paths: Sequence[Path], read: Callable[[], T]) -> T:
        """Return the result of ``read``, cached from the last call if neither ``about`` nor the files changed.

        Args:
            about: anything else the result depends on.
            paths: all files that ``read`` opens; they may be missing.
            read: called without arguments.
        """
        key = (about, tuple(paths), signatures(paths))
        with self._lock:
            if self._last is not None and self._last[0] == key:
                return self._last[1]
        value = read()
        if signatures(paths) == key[2]:  # else another process wrote in the meantime: read again at the next call
            with self._lock:
                self._last = key, value
        return value


def signatures(paths: Sequence[Path]) -> tuple[Signature | None, ...]:
    """Return the signature of each file, None if it is missing."""
    return tuple(_signature(path) for path in paths)


def _signature(path: Path) -> Signature | None:
    try:
        return signature(os.stat(path))
    except OSError:
        return None
