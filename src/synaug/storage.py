"""Change files safely: the only module that writes, replaces, appends, locks or removes.

A file is written under a temporary name in its own folder, flushed to the disk and then moved into place,
so a reader sees the old content or the new, never a torn mixture. A journal is append-only; a last line cut
short by a crash is ignored on reading and removed before the next append.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from synaug.errors import DataError, EnvironmentFault, OptionError

TEMPORARY = ".incomplete"
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def _naming(path: Path, action: str) -> Iterator[None]:
    """Turn an operating system error into one that names the file and the cause."""
    try:
        yield
    except OSError as error:
        way_out = "Free some space and run the same command again." if error.errno in _FULL else ""
        raise EnvironmentFault(f"Cannot {action} {path}: {error.strerror or error}. {way_out}".strip()) from error


def make_folder(path: Path) -> Path:
    """Create the folder and its parents where they are missing."""
    with _naming(path, "create the folder"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_bytes(path: Path, data: bytes) -> None:
    """Write the file atomically and durably: complete or as it was before.

    Raises:
        EnvironmentFault: the file cannot be written; what was there is untouched.
    """
    write_chunks(path, [data])


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Write the pieces one after the other into a file, atomically and durably.

    Raises:
        EnvironmentFault: the file cannot be written; what was there is untouched.
    """
    temporary = path.with_name(f".{path.stem[:20]}.{secrets.token_hex(8)}{TEMPORARY}")
    with _naming(path, "write"):
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                for block in _blocks(chunks):
                    _write_all(handle, block)
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _blocks(chunks: Iterable[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    """Gather small pieces into blocks worth a system call."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= size:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _write_all(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically; NaN becomes null, since JSON has no such number."""
    write_text(path, json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from error


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    with _naming(path, "sync"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def append_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Append one JSON line a record to a journal, durably; first remove a line that a crash cut short."""
    lines = b"".join(
        json.dumps(without_nan(record), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        for record in records
    )
    if not lines:
        return
    with _naming(path, "append to"):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            whole = _end_of_last_whole_line(handle)
            os.ftruncate(handle, whole)
            os.lseek(handle, whole, os.SEEK_SET)
            try:
                _write_all(handle, lines)
                os.fsync(handle)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, whole)
                raise
        finally:
            os.close(handle)


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
        DataError: a line before the last is not JSON.
    """
    if not path.exists():
        return
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number} is not a journal record: {error}.") from error


@contextlib.contextmanager
def lock(folder: Path, *, name: str = "run") -> Iterator[None]:
    """Hold the folder for this process; the system lets go when the process ends, however it ends.

    Raises:
        OptionError: another process holds it.
    """
    make_folder(folder)
    path = folder / f".{name}.lock"
    with _naming(path, "open the lock file"):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 100).decode(errors="replace").strip() or "unknown"
            raise OptionError(
                f"{folder} is in use by another synaug process (number {holder}). "
                "Wait for it, stop it, or choose another folder."
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def remove_temporary(folder: Path) -> None:
    """Remove what interrupted writes left in the folder tree."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        with _naming(path, "remove"):
            path.unlink(missing_ok=True)


def remove_file(path: Path) -> None:
    """Remove a file that synaug itself made; nothing happens where it is not there."""
    with _naming(path, "remove"):
        path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder that synaug itself made; nothing happens where it is not there."""
    if folder.exists():
        with _naming(folder, "remove"):
            shutil.rmtree(folder)


def move_folder(source: Path, target: Path) -> None:
    """Move a finished folder to its place, which must be free or an empty folder, in one step."""
    with _naming(target, "move the finished folder to"):
        os.replace(source, target)
    sync_folder(target.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    write_bytes(target, source.read_bytes())


def digest(data: bytes) -> str:
    """Return the SHA-256 of the bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
