"""Change files safely: the only module that writes, replaces, appends or removes.

A file is written under a temporary name in its own folder, flushed to disk and then moved into place, so a reader
gets either the old content or the new, never a mixture. A journal is append-only: a last line cut short by a crash is
ignored by readers and removed before the next append. Every effect goes through ``effects.perform``, so a test can
make the N-th one fail, or end the process there, for every N. Inside folders that synaug owns, no link is followed
(see ``directories``). Temporary names carry a token of synaug, and cleanup touches only files and folders with that
token.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast, overload

from synaug.errors import DataError
from synaug.runtime.files import TEMPORARY as TEMPORARY
from synaug.runtime.files import directories, effects, locks, mounts, naming, token_name
from synaug.runtime.files import holders as holders
from synaug.runtime.files import is_lock_file as is_lock_file
from synaug.runtime.files import lock as lock
from synaug.runtime.files import remove_file as remove_file
from synaug.runtime.files import remove_temporary as remove_temporary
from synaug.runtime.files import remove_tree as remove_tree
from synaug.runtime.files import sync_folder as sync_folder

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value read from a JSON file whose content is not known."""
JsonObject: TypeAlias = "dict[str, Json]"

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make_folder(path: Path) -> Path:
    """Create the folder and its parents if they are missing.

    Raises:
        DataError: a link or a file is in the way, inside a folder that synaug owns.
        EnvironmentFault: it cannot be created.
    """
    with naming(path, "create the folder"):
        directories.make(path)
    return path


def write_bytes(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write the file atomically and durably: it ends up complete, or as it was before.

    Args:
        path: the file.
        data: the complete content.
        sync: False leaves the call of ``sync_folder`` to the caller, once for many files: until then a power cut can
            undo the write, but never leave part of the file.

    Raises:
        EnvironmentFault: the file cannot be written; the previous content is untouched.
        DataError: its place, or a folder above it, is a link or otherwise of the wrong kind; nothing is touched.
    """
    write_chunks(path, [data], sync=sync)


def write_chunks(path: Path, chunks: Iterable[bytes], *, sync: bool = True) -> None:
    """Write the chunks into a file one after another, atomically and durably; see ``write_bytes``.

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
    """Create and lock a temporary file; the lock shows other processes that the file is in use.

    Another process may find it between the two steps, take it for debris of a crash and remove it: then try again.
    """
    while True:
        temporary = path.with_name(token_name(path.stem))
        handle = effects.perform("create", temporary, _created, temporary.name, folder)
        is_locked = True
        with contextlib.suppress(OSError):  # a file system without locks, on which nothing is cleaned up either
            is_locked = locks.taken(handle)
        if is_locked and os.fstat(handle).st_nlink:
            return temporary, handle
        os.close(handle)


def _created(name: str, folder: int) -> int:
    return os.open(name, _NEW_FILE, 0o666, dir_fd=folder)


def _blocks(chunks: Iterable[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    """Merge small chunks into blocks worth a system call."""
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
    """Write UTF-8 text atomically; bytes of a path that are not UTF-8 are written as escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: object) -> None:
    """Write a JSON document atomically; NaN becomes null, because JSON has no NaN."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Return the bytes that ``write_json`` writes."""
    return _encoded(json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _encoded(json_text: str) -> bytes:
    """Return JSON text as UTF-8; bytes of a path that are not UTF-8 become escapes, which readers turn back."""
    return json_text.encode(errors="backslashreplace")  # a lone surrogate becomes \udcff, as JSON spells it


@overload
def without_nan(value: Mapping[str, object]) -> JsonObject: ...
@overload
def without_nan(value: object) -> Json: ...
def without_nan(value: object) -> Json:
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
    return cast("Json", value)  # anything else makes json.dumps raise


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises:
        DataError: the file is missing, is not a regular file, or is not JSON.
    """
    try:
        data = directories.read_bytes(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except DataError:  # a ValueError, too, whose message is complete
        raise
    except (OSError, ValueError) as error:  # a path with a null byte
        raise DataError(f"{path} cannot be read as JSON: {error}.") from error
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from error


def append_records(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Append one JSON line per record to a journal, durably; a line cut short by a crash is removed first."""
    lines = b"".join(
        _encoded(json.dumps(without_nan(record), ensure_ascii=False, separators=(",", ":")) + "\n")
        for record in records
    )
    if not lines:
        return
    with naming(path, "append to"), directories.opened(path.parent) as folder:
        is_new, handle = _opened_journal(path, folder)
        try:
            if directories.is_owned(path):
                mounts.refuse(handle, folder, path)
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
    """Open a journal for appending; a hard link is copied first, so that the other name keeps its content."""
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
    """Yield the records of a journal in order; an incomplete last line is ignored.

    Raises:
        DataError: a line before the last is not JSON, or the path is not a regular file.
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
    """Yield a folder outside every run for files that a library writes itself; it is removed after the block."""
    with contextlib.ExitStack() as stack:
        with naming(Path(tempfile.gettempdir()), "make a scratch folder in"):
            created = effects.perform(
                "mkdir", Path(tempfile.gettempdir()), tempfile.TemporaryDirectory, None, f"synaug-{prefix}-"
            )
            folder = stack.enter_context(created)
        yield Path(folder)


def move_folder(source: Path, target: Path) -> None:
    """Move a finished folder into place in one step; the target must be absent or an empty folder."""
    with naming(target, "move the finished folder to"):
        effects.perform("replace", target, os.replace, source, target)
    sync_folder(target.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a regular file atomically."""
    with naming(source, "read"):
        data = directories.read_bytes(source)
    write_bytes(target, data)


def size(folder: Path) -> int:
    """Return the total size in bytes of all files below the folder; 0 if it is missing. Links are not followed."""
    total = 0
    for path in directories.entries_below(folder):
        with contextlib.suppress(FileNotFoundError):  # removed in the meantime
            about = path.lstat()
            total += about.st_size if stat.S_ISREG(about.st_mode) else 0
    return total


def digest(data: bytes) -> str:
    """Return the SHA-256 of the bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a regular file, read in blocks.

    Raises:
        DataError: the path is not a regular file but, for example, a pipe or a device.
    """
    with directories.opened_file(path) as handle, open(handle, "rb", closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
