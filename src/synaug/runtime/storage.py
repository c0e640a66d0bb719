"""Change files safely: the only module that writes, replaces, appends or removes.

A file is written under a temporary name in its own folder, flushed to the disk and then moved into place, so a
reader gets the old content or the new, never a torn mixture. A journal is append-only; a last line cut short by a
crash is ignored on reading and removed before the next append. Every single effect goes through
``effects.perform``, so that a test can make the N-th of them fail, or end the process there, for every N. Below a
folder of ours nothing follows a link; see ``directories``. Temporary names carry a token of ours, and only files and
folders with that token are ever cleaned up.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from synaug.errors import DataError
from synaug.runtime.files import directories, effects, locks
from synaug.runtime.files.directories import sync_folder as sync_folder
from synaug.runtime.files.effects import naming
from synaug.runtime.files.locks import holders as holders
from synaug.runtime.files.locks import lock as lock
from synaug.runtime.files.names import TEMPORARY as TEMPORARY
from synaug.runtime.files.names import token_name
from synaug.runtime.files.removal import remove_file as remove_file
from synaug.runtime.files.removal import remove_temporary as remove_temporary
from synaug.runtime.files.removal import remove_tree as remove_tree

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make_folder(path: Path) -> Path:
    """Create the folder and its parents if they are missing.

    Raises:
        DataError: a link or a file is in the way below a folder of ours.
        EnvironmentFault: it cannot be created.
    """
    with naming(path, "create the folder"):
        directories.make(path)
    return path


def write_bytes(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write the file atomically and durably: complete or as it was before.

    Args:
        path: the file.
        data: all of its content.
        sync: False leaves it to the caller to call ``sync_folder``, once for many files: until then a power cut
            may take the file away again, but never leave a part of it.

    Raises:
        EnvironmentFault: the file cannot be written; what was there is untouched.
        DataError: a link, or something else that is not a file, is in its place or in the way; it is left alone.
    """
    write_chunks(path, [data], sync=sync)


def write_chunks(path: Path, chunks: Iterable[bytes], *, sync: bool = True) -> None:
    """Write the pieces one after the other into a file, atomically and durably; see ``write_bytes``.

    Raises:
        EnvironmentFault, DataError: see ``write_bytes``.
    """
    with naming(path, "write"), directories.opened(path.parent) as folder:
        if directories.is_owned(path):
            directories.refuse(folder, path.name, path, "a file")
        temporary, handle = _new_file(path, folder)
        try:
            try:
                for block in _blocks(chunks):
                    _write_all(handle, block, temporary)
                effects.perform("fsync", temporary, os.fsync, handle)
                effects.perform("replace", path, directories.replacing(folder, temporary.name, path.name), temporary)
            finally:
                os.close(handle)
        except BaseException:
            with contextlib.suppress(OSError):
                effects.perform("unlink", temporary, directories.unlink, temporary.name, folder)
            raise
        if sync:
            effects.perform("fsync", path.parent, os.fsync, folder)


def _new_file(path: Path, folder: int) -> tuple[Path, int]:
    """Create a temporary file and lock it, so that others know that somebody is at work on it.

    Between the two, another process may take it for one that a crash left, and remove it: then create another.
    """
    while True:
        temporary = path.with_name(token_name(path.stem))
        handle = effects.perform("create", temporary, _created, temporary.name, folder)
        is_locked = True
        with contextlib.suppress(OSError):  # a file system without locks, where nothing is cleaned up either
            is_locked = locks.taken(handle)
        if is_locked and os.fstat(handle).st_nlink:
            return temporary, handle
        os.close(handle)


def _created(name: str, folder: int) -> int:
    return os.open(name, _NEW_FILE, 0o666, dir_fd=folder)


def _blocks(chunks: Iterable[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    """Gather small pieces into blocks worth a system call."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= size:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _write_all(handle: int, data: bytes, path: Path) -> None:
    left = memoryview(data)
    while left:
        left = left[effects.perform("write", path, os.write, handle, left) :]


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically; NaN becomes null, since JSON has no such number."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return the bytes that ``write_json`` writes."""
    return (json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def without_nan(value: Any) -> Any:
    """Return the value with every NaN or infinite number replaced by None.

    >>> without_nan({"few": float("nan"), "many": 0.5})
    {'few': None, 'many': 0.5}
    """
    if isinstance(value, dict):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises:
        DataError: the file is missing, is no regular file, or is not JSON.
    """
    try:
        return json.loads(directories.read_bytes(path).decode("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except DataError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from error


def append_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Append one JSON line a record to a journal, durably; first remove a line that a crash cut short."""
    lines = b"".join(
        json.dumps(without_nan(record), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        for record in records
    )
    if not lines:
        return
    with naming(path, "append to"), directories.opened(path.parent) as folder:
        is_new, handle = _opened_journal(path, folder)
        try:
            whole = _end_of_last_whole_line(handle)
            if whole < os.fstat(handle).st_size:
                effects.perform("truncate", path, os.ftruncate, handle, whole)
            os.lseek(handle, whole, os.SEEK_SET)
            try:
                _write_all(handle, lines, path)
                effects.perform("fsync", path, os.fsync, handle)
            except OSError:
                with contextlib.suppress(OSError):
                    effects.perform("truncate", path, os.ftruncate, handle, whole)
                raise
        finally:
            os.close(handle)
        if is_new:
            effects.perform("fsync", path.parent, os.fsync, folder)


def _opened_journal(path: Path, folder: int) -> tuple[bool, int]:
    """Open a journal for appending; one that has a second name is copied first, so that the other stays as it is."""
    try:
        about = os.lstat(path.name, dir_fd=folder)
    except FileNotFoundError:
        return True, effects.perform("create", path, _journal_handle, path.name, folder)
    directories.refuse(folder, path.name, path, "a file")
    if about.st_nlink > 1:
        copy_file(path, path)
    return False, effects.perform("open", path, _journal_handle, path.name, folder)


def _journal_handle(name: str, folder: int) -> int:
    options = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(name, options, 0o666, dir_fd=folder)


def _end_of_last_whole_line(handle: int, block: int = 4096) -> int:
    position = os.fstat(handle).st_size
    while position > 0:
        start = max(0, position - block)
        newline = os.pread(handle, position - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a journal, line by line; a last line without its end is not there yet.

    Raises:
        DataError: a line before the last is not JSON, or there is no regular file.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(directories.opened_file(path))
        except FileNotFoundError:
            return
        for number, line in enumerate(open(handle, "rb", closefd=False), 1):  # noqa: SIM115
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} is not a journal record: {error}.") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}, line {number} is not a journal record: it is a {type(record).__name__}.")
            yield record


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Give a folder outside every run, for what a library writes itself; it is gone after the block."""
    with contextlib.ExitStack() as stack:
        with naming(Path(tempfile.gettempdir()), "make a scratch folder in"):
            made = effects.perform(
                "mkdir", Path(tempfile.gettempdir()), tempfile.TemporaryDirectory, None, f"synaug-{prefix}-"
            )
            folder = stack.enter_context(made)
        yield Path(folder)


def move_folder(source: Path, target: Path) -> None:
    """Move a finished folder to its place, which must be free or an empty folder, in one step."""
    with naming(target, "move the finished folder to"):
        effects.perform("replace", target, os.replace, source, target)
    sync_folder(target.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a regular file atomically."""
    with naming(source, "read"):
        data = directories.read_bytes(source)
    write_bytes(target, data)


def size(folder: Path) -> int:
    """Return the bytes of all files below the folder; 0 if there is none. Links are not followed."""
    total = 0
    for path in directories.entries_below(folder):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            about = path.lstat()
            total += about.st_size if stat.S_ISREG(about.st_mode) else 0
    return total


def digest(data: bytes) -> str:
    """Return the SHA-256 of the bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a regular file's content, read piece by piece.

    Raises:
        DataError: it is a pipe, a device or the like.
    """
    with directories.opened_file(path) as handle, open(handle, "rb", closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
