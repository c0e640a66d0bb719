"""Lock a folder for one process, and find the holder of a lock without taking it.

On Linux these are open file description locks (``F_OFD_SETLK``): they end with the process and can be queried, so a
command that only reads never makes another one wait or fail. Other systems use ``flock``, where a query takes a shared
lock for an instant; there a start retries for a second before it fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from synaug.errors import DataError, InUseError
from synaug.runtime.files import directories, effects, mounts
from synaug.runtime.files.names import token_name

_CAN_ASK = sys.platform == "linux" and hasattr(fcntl, "F_OFD_SETLK")
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux
_PATIENCE = 0.0 if _CAN_ASK else 1.0  # seconds in which a reader may hold the lock
_OPTIONS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_NUMBER = 20  # digits of a process ID


@contextlib.contextmanager
def lock(folder: Path, *, name: str = "run", keep: bool = True) -> Iterator[None]:
    """Hold the folder for this process; the system releases the lock when the process ends, however it ends.

    Args:
        folder: created if it is missing; from now on no link below it is followed.
        name: name of the lock; a folder may have several.
        keep: False removes the lock file afterwards.

    Raises:
        InUseError: another process holds it.
        DataError: the lock file's place is taken by something that is not synaug's; it is left alone.
    """
    with effects.naming(folder, "create the folder"):
        directories.make(directories.own(folder))
    path = folder / f".{name}.lock"
    with contextlib.ExitStack() as stack:
        with effects.naming(folder, "open"):
            place = stack.enter_context(directories.opened(folder))
        handle = _held(path, place)
        try:
            with effects.naming(path, "lock"):
                effects.perform("truncate", path, os.ftruncate, handle, 0)
                effects.perform("write", path, os.write, handle, str(os.getpid()).encode())
            yield
        finally:
            try:
                if not keep:
                    with effects.naming(path, "remove"):
                        effects.perform("unlink", path, directories.unlink, path.name, place)
            finally:
                os.close(handle)  # after the removal: once released, the file may be locked by another process


def _held(path: Path, place: int) -> int:
    """Return the descriptor of the locked lock file; retry if another process removed the file in the meantime."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with effects.naming(path, "open the lock file"):
            handle = effects.perform("create", path, _opened, path, place)
        try:
            _check_ours(handle, path)
            mounts.refuse(handle, place, path)
            with effects.naming(path, "lock"):
                is_taken = effects.perform("lock", path, taken, handle)
            if is_taken and _is_same(handle, path.name, place):
                return _with_one_name(handle, path, place)
            if not is_taken and time.monotonic() >= deadline:
                holder = os.pread(handle, _MAX_NUMBER, 0).decode(errors="replace").strip() or "unknown"
                raise InUseError(
                    f"{path.parent} is in use by another synaug process (PID {holder}). Wait for "
                    "it, stop it, or choose another directory."
                )
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        time.sleep(0.0 if is_taken else 0.01)


def _with_one_name(handle: int, path: Path, place: int) -> int:
    """Replace a lock file that has several names (hard links) by one with a single name; return its locked descriptor.

    ``cp -al`` and backup programs copy a folder by hard links to its files. The old file stays locked until the new
    one, which is locked too, has taken its name; the other names keep the old file.
    """
    if os.fstat(handle).st_nlink <= 1:
        return handle
    try:
        own = token_name(path.name)
        with effects.naming(path, "write the lock file"):
            new = effects.perform("create", path.with_name(own), _created, own, place)
            try:
                taken(new)
                effects.perform("replace", path, directories.replacing(place, own, path.name), path.with_name(own))
            except BaseException:
                os.close(new)
                raise
        return int(new)
    finally:
        os.close(handle)


def _created(name: str, place: int) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPTIONS, 0o666, dir_fd=place)


def _opened(path: Path, place: int) -> int:
    """Open the lock file for writing, first without O_CREAT: some systems refuse that on another user's file."""
    try:
        return os.open(path.name, os.O_RDWR | _OPTIONS, dir_fd=place)
    except FileNotFoundError:
        return os.open(path.name, os.O_RDWR | os.O_CREAT | _OPTIONS, 0o666, dir_fd=place)
    except OSError:
        directories.refuse(place, path.name, path, "a file")
        raise


def _check_ours(handle: int, path: Path) -> None:
    """Raise a DataError unless it is a lock file of synaug: a regular file, empty or with a process ID."""
    if stat.S_ISREG(os.fstat(handle).st_mode) and _number(handle) is not None:
        return
    raise DataError(f"{path} is not a lock file of synaug, and was left alone. Move it away.")


def is_lock_file(path: Path) -> bool:
    """Return whether a path is a lock file of synaug: a regular file that contains a process ID or nothing."""
    with contextlib.suppress(OSError, DataError), directories.opened_file(path) as handle:
        return not path.is_symlink() and _number(handle) is not None
    return False


def _number(handle: int) -> int | None:
    """Return the process ID in a lock file, 0 if the file is empty, or None if it contains anything else."""
    content = os.pread(handle, _MAX_NUMBER + 1, 0)
    if len(content) > _MAX_NUMBER or not (content.isdigit() or not content):
        return None
    return int(content or b"0")


def _is_same(handle: int, name: str, place: int) -> bool:
    try:
        return os.path.samestat(os.lstat(name, dir_fd=place), os.fstat(handle))
    except FileNotFoundError:
        return False


def taken(handle: int) -> bool:
    """Lock an open file until it is closed; return whether that succeeded."""
    try:
        if _CAN_ASK:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # systems differ in which one they raise
        return False
    return True


def is_held(handle: int) -> bool:
    """Return whether a live process holds the file; on Linux this query locks nothing."""
    if _CAN_ASK:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found: int = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked))[0]
        return found != fcntl.F_UNLCK
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def holders(folder: Path) -> dict[str, int]:
    """Return the process IDs that hold locks of the folder, keyed by lock name; the folder is only read."""
    found = {}
    with directories.opened(folder) as place:
        for name in sorted(os.listdir(place)):
            if not (name.startswith(".") and name.endswith(".lock")):
                continue
            with contextlib.suppress(OSError):  # not a file, or a file system without locks
                handle = os.open(name, os.O_RDONLY | _OPTIONS, dir_fd=place)
                try:
                    number = _number(handle) if stat.S_ISREG(os.fstat(handle).st_mode) else None
                    if number is not None and is_held(handle):
                        found[name[1:-5]] = number
                finally:
                    os.close(handle)
    return found
