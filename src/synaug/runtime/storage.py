"""Change files safely: the only module that writes, replaces, appends, locks or removes.

A file is written under a temporary name in its own folder, flushed to the disk and then moved into place,
so a reader sees the old content or the new, never a torn mixture. A journal is append-only; a last line cut
short by a crash is ignored on reading and removed before the next append. Every single effect goes through
``perform``, so that a test can let the N-th of them fail, or end the process there, for every N.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from synaug.errors import DataError, EnvironmentFault, InUseError

TEMPORARY = ".incomplete"
_REMOVED = ".removed"
_FULL = {errno.ENOSPC, errno.EDQUOT}


def perform(operation: str, path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """Change a file: what ``operation`` (create, write, fsync, replace, ...) on ``path`` comes down to."""
    return function(*arguments)


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
    missing = []
    with _naming(path, "create the folder"):
        place = path
        while not place.is_dir():
            missing.append(place)
            place = place.parent
        for place in reversed(missing):
            perform("mkdir", place, _make_one, place)
            _sync(place.parent)
    return path


def _make_one(folder: Path) -> None:
    folder.mkdir(exist_ok=True)  # another process may be as quick


def write_bytes(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write the file atomically and durably: complete or as it was before.

    Args:
        path: the file.
        data: all of its content.
        sync: False leaves it to the caller to call ``sync_folder``, once for many files: until then a power cut
            may take the file away again, but never leave a part of it.

    Raises:
        EnvironmentFault: the file cannot be written; what was there is untouched.
    """
    write_chunks(path, [data], sync=sync)


def write_chunks(path: Path, chunks: Iterable[bytes], *, sync: bool = True) -> None:
    """Write the pieces one after the other into a file, atomically and durably; see ``write_bytes``.

    Raises:
        EnvironmentFault: the file cannot be written; what was there is untouched.
    """
    temporary = path.with_name(f".{path.stem[:20]}.{secrets.token_hex(8)}{TEMPORARY}")
    with _naming(path, "write"):
        try:
            handle = perform("create", temporary, os.open, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                with contextlib.suppress(OSError):  # where the file system knows no locks
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # somebody is at work on it
                for block in _blocks(chunks):
                    _write_all(handle, block, temporary)
                perform("fsync", temporary, os.fsync, handle)
                perform("replace", path, os.replace, temporary, path)
            finally:
                os.close(handle)
        except BaseException:
            with contextlib.suppress(OSError):
                perform("unlink", temporary, _unlink, temporary)
            raise
        if sync:
            _sync(path.parent)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


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
        left = left[perform("write", path, os.write, handle, left) :]


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
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from error


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    with _naming(path, "sync"):
        _sync(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        perform("fsync", folder, os.fsync, handle)
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
        is_new = not path.exists()
        handle = perform("create" if is_new else "open", path, os.open, path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            whole = _end_of_last_whole_line(handle)
            if whole < os.fstat(handle).st_size:
                perform("truncate", path, os.ftruncate, handle, whole)
            os.lseek(handle, whole, os.SEEK_SET)
            try:
                _write_all(handle, lines, path)
                perform("fsync", path, os.fsync, handle)
            except OSError:
                with contextlib.suppress(OSError):
                    perform("truncate", path, os.ftruncate, handle, whole)
                raise
        finally:
            os.close(handle)
        if is_new:
            _sync(path.parent)


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
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} is not a journal record: {error}.") from error


@contextlib.contextmanager
def lock(folder: Path, *, name: str = "run") -> Iterator[None]:
    """Hold the folder for this process; the system lets go when the process ends, however it ends.

    Raises:
        InUseError: another process holds it.
    """
    make_folder(folder)
    path = folder / f".{name}.lock"
    with _naming(path, "open the lock file"):
        handle = perform("create", path, os.open, path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with _naming(path, "lock"):
            try:
                perform("lock", path, fcntl.flock, handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(handle, 100).decode(errors="replace").strip() or "unknown"
                raise InUseError(
                    f"{folder} is in use by another synaug process (number {holder}). "
                    "Wait for it, stop it, or choose another folder."
                ) from None
            perform("truncate", path, os.ftruncate, handle, 0)
            perform("write", path, os.write, handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)


def holders(folder: Path) -> dict[str, int]:
    """Return the numbers of the processes that hold locks of the folder now, by the name of the lock."""
    return {path.name[1:-5]: int(path.read_text() or 0) for path in sorted(folder.glob(".*.lock")) if _is_held(path)}


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Give a folder outside every run, for what a library writes itself; it is gone after the block."""
    with contextlib.ExitStack() as stack:
        with _naming(Path(tempfile.gettempdir()), "make a scratch folder in"):
            made = perform("mkdir", Path(tempfile.gettempdir()), tempfile.TemporaryDirectory, None, f"synaug-{prefix}-")
            folder = stack.enter_context(made)
        yield Path(folder)


def remove_temporary(folder: Path) -> None:
    """Remove what interrupted writes and removals left in the folder tree; what a process is writing now stays."""
    for place, folders, names in os.walk(folder):
        for name in [name for name in folders if _is_hidden(name, _REMOVED)]:
            folders.remove(name)
            with _naming(Path(place, name), "remove"):
                _remove_below(Path(place, name))
        for name in names:
            if _is_hidden(name, TEMPORARY) and not _is_held(Path(place, name)):
                remove_file(Path(place, name))


def _is_hidden(name: str, suffix: str) -> bool:
    return name.startswith(".") and name.endswith(suffix)


def _is_held(path: Path) -> bool:
    """Return whether a living process holds the file; the system lets go when a process ends."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True  # finished, just now
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def remove_file(path: Path) -> None:
    """Remove a file that synaug itself made; nothing happens where it is not there."""
    with _naming(path, "remove"):
        perform("unlink", path, _unlink, path)


def remove_tree(folder: Path) -> None:
    """Remove a folder that synaug itself made, for a reader in one step; nothing happens where it is not there."""
    if not folder.exists():
        return
    with _naming(folder, "remove"):
        hidden = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(8)}{_REMOVED}")
        perform("replace", hidden, os.replace, folder, hidden)
        _sync(folder.parent)
        _remove_below(hidden)


def _remove_below(folder: Path) -> None:
    for place, folders, names in os.walk(folder, topdown=False):
        for path in (Path(place, name) for name in [*names, *folders]):
            is_folder = path.is_dir() and not path.is_symlink()
            perform("rmdir" if is_folder else "unlink", path, os.rmdir if is_folder else os.unlink, path)
    perform("rmdir", folder, os.rmdir, folder)


def move_folder(source: Path, target: Path) -> None:
    """Move a finished folder to its place, which must be free or an empty folder, in one step."""
    with _naming(target, "move the finished folder to"):
        perform("replace", target, os.replace, source, target)
    sync_folder(target.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    write_bytes(target, source.read_bytes())


def size(folder: Path) -> int:
    """Return the bytes of all files below the folder; 0 where there is none."""
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in found if path.exists())


def digest(data: bytes) -> str:
    """Return the SHA-256 of the bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
