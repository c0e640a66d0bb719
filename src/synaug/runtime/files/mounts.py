"""Recognize files and folders mounted inside a synaug folder: they are somebody else's, whatever their names.

A bind mount may show another folder of the same file system, so devices do not suffice. On Linux, each mount has a
number that the system reports for an open descriptor. Other systems have no bind mounts; there, devices are compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from synaug.errors import DataError, EnvironmentFault

_REMEMBERED = 10_000
_checked: dict[str, tuple[int, int, int, int]] = {}
"""By path: device and inode of a folder and of its outermost owned folder, which were found to be on one mount.

Reading a mount's number takes 8 microseconds, comparing device and inode 1, and a foreign folder differs in these too.
"""


def mount_of(handle: int) -> bytes:
    """Return an identifier of the mount that a descriptor is on; it differs even for two mounts of one file system.

    Raises:
        EnvironmentFault: the system does not report it, for example with too many open files.
    """
    try:
        about = os.open(f"/proc/self/fdinfo/{handle}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            number = os.read(about, 1000).partition(b"mnt_id:")[2].partition(b"\n")[0].strip()
        finally:
            os.close(about)
    except FileNotFoundError:  # not Linux, or no /proc
        number = b""
    except OSError as error:  # must not look like another mount
        raise EnvironmentFault(f"The mount of an open folder cannot be found: {error}") from error
    return number or b"device %d" % os.fstat(handle).st_dev


def check_folder(handle: int, top: int, path: str) -> None:
    """Check that a folder is on the mount of the owned folder that it is in; ``top`` may itself be a mount point.

    Args:
        handle: descriptor of the folder.
        top: descriptor of the outermost owned folder above it.
        path: its absolute path.

    Raises:
        DataError: something is mounted there, or on a folder above it.
    """
    here, above = os.fstat(handle), os.fstat(top)
    identity = (here.st_dev, here.st_ino, above.st_dev, above.st_ino)
    if _checked.get(path) == identity:
        return
    refuse(handle, top, path)
    if len(_checked) >= _REMEMBERED:
        _checked.clear()
    _checked[path] = identity


def refuse(handle: int, folder: int, place: Path | str) -> None:
    """Raise a DataError if a file or folder is on a different mount from a folder above it."""
    if mount_of(handle) != mount_of(folder):
        raise DataError(
            f"{place} is on another mount than the synaug folder that contains it, so it is not synaug's and was left "
            "alone. Unmount it, mount the whole run directory or output folder instead, or choose another folder."
        )


def without_mounts(folder: int) -> Callable[[os.PathLike[str]], bool]:
    """Return a function that returns whether a path is a real folder (no link) on the same mount as an open folder."""
    mount = mount_of(folder)

    def is_inside(path: os.PathLike[str]) -> bool:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # removed or replaced in the meantime, or unreadable
            return False
        try:
            return mount_of(handle) == mount
        finally:
            os.close(handle)

    return is_inside
