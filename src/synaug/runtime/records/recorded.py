"""Compare files with their recorded digests, reading each file once per process.

A run uses images, weights and tables that anyone may change between two commands, so every file is checked against its
recorded digest before use. A file is hashed the first time; later only its size, times and inode are compared, which
costs one system call. The cache lives in this process: no other program can make it trust a file.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from synaug.errors import ChangedFileError, DataError
from synaug.runtime import storage

NAMED = 5  # changed files listed in an error
_CHUNK = 4096
Signature = tuple[int, int, int, int, int]

_lock = threading.Lock()
_known: dict[str, tuple[Signature, str]] = {}


def signature(about: os.stat_result) -> Signature:
    """Return values that change whenever a file's content does: device, inode, size, mtime and ctime (ns)."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def is_recorded(path: Path, about: os.stat_result, sha256: str, data: bytes) -> bool:
    """Return whether a file has the recorded digest; the content is hashed only once per process.

    Args:
        path: path of the file.
        about: its ``os.stat``, which was the same before and after the content was read.
        sha256: the recorded digest.
        data: the content that is about to be used.
    """
    key, now = os.fspath(path), signature(about)
    known = _known.get(key)
    if known is None or known[0] != now:
        known = now, storage.digest(data)
        with _lock:
            _known[key] = known
    return known[1] == sha256


def current_digest(path: Path) -> str:
    """Return the current SHA-256 of a file; it is hashed again only if its size, times or inode changed.

    Raises:
        DataError: the file is missing, cannot be read, or is not a regular file.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path} is not a regular file.")
        key, now = os.fspath(path), signature(about)
        known = _known.get(key)
        if known is None or known[0] != now:
            known = now, storage.file_digest(path)
            with _lock:
                _known[key] = known
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return known[1]


def changed_files(files: Iterable[tuple[Path, str]]) -> list[Path]:
    """Return the files that do not match their recorded digest or cannot be read.

    Args:
        files: path and recorded SHA-256 of each; hashed in threads, since hashing releases the interpreter lock.
    """

    def differs(file: tuple[Path, str]) -> bool:
        try:
            return current_digest(file[0]) != file[1]
        except DataError:
            return True

    listed = list(files)
    changed: list[Path] = []
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as threads:
        for start in range(0, len(listed), _CHUNK):
            part = listed[start : start + _CHUNK]
            changed += [path for (path, _), is_bad in zip(part, threads.map(differs, part), strict=True) if is_bad]
    return changed


def check_file(path: Path, *recorded: str, way_out: str) -> None:
    """Check that a file matches one of the recorded digests; without any, nothing is checked.

    Raises:
        ChangedFileError: it changed; the message ends with ``way_out``.
        DataError: it cannot be read.
    """
    if recorded and current_digest(path) not in recorded:
        raise ChangedFileError(f"{path} changed: its content is not what was recorded. {way_out}", path)


def named(paths: Iterable[Path]) -> str:
    """Return the first few paths as text, and the number of the others.

    >>> named([Path("a"), Path("b")]), named([Path("a")] * 7)
    ('a, b', 'a, a, a, a, a and 2 more')
    """
    listed = list(map(str, paths))
    more = f" and {len(listed) - NAMED:,} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
