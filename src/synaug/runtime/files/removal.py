"""Remove what synaug itself made, and nothing else: no link is followed, and what is not ours stays where it is."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from synaug.errors import EnvironmentFault
from synaug.runtime.files import directories, effects, locks
from synaug.runtime.files.effects import naming
from synaug.runtime.files.names import REMOVED, TEMPORARY, is_token_name, token_name


def remove_temporary(folder: Path) -> None:
    """Remove what interrupted writes and removals left in the folder tree; what a process is writing now stays.

    Only regular files and real folders whose name carries the token of synaug go; links are neither followed nor
    removed.
    """
    try:
        with naming(folder, "open"), directories.opened(folder):  # no link is in the way
            pass
    except EnvironmentFault as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise
    for path in directories.entries_below(folder, descend=lambda entry: not is_token_name(entry.name)):
        if is_token_name(path.name, REMOVED):
            _remove_folder(path)
        elif is_token_name(path.name, TEMPORARY):
            _remove_if_left(path)


def _remove_folder(path: Path) -> None:
    with naming(path, "remove"), directories.opened(path.parent) as folder, contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path.name, dir_fd=folder).st_mode):
            directories.remove_below(folder, path.name, path)


def _remove_if_left(path: Path) -> None:
    """Remove a temporary file that no living process holds; the writer notices if it was just about to lock it."""
    with naming(path, "remove"), directories.opened(path.parent) as folder:
        try:
            if not stat.S_ISREG(os.lstat(path.name, dir_fd=folder).st_mode):
                return
            handle = os.open(path.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except (FileNotFoundError, PermissionError):  # finished just now, or another person's
            return
        try:
            is_left = False
            with contextlib.suppress(OSError):  # a file system without locks
                is_left = locks.taken(handle)
            if is_left:
                effects.perform("unlink", path, directories.unlink, path.name, folder)
        finally:
            os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file that synaug itself made; nothing happens if it is not there.

    Raises:
        DataError: there is a link, a folder or the like in its place, which is left alone.
    """
    with naming(path, "remove"), contextlib.suppress(FileNotFoundError), directories.opened(path.parent) as folder:
        directories.refuse(folder, path.name, path, "a file")
        effects.perform("unlink", path, directories.unlink, path.name, folder)


def remove_tree(folder: Path, *, names: Collection[str] | None = None, last: str = "") -> None:
    """Remove a folder that synaug itself made, for a reader in one step; nothing happens if it is not there.

    Args:
        folder: what to remove.
        names: of the files that are synaug's, in the folder and in folders in it; anything else is left alone where
            it is, and then so is the folder. Default: all that is in it.
        last: of these files the one that is removed last, so that an interrupted call can be repeated.

    Raises:
        DataError: there is a link or a file in its place, which is left alone.
    """
    with naming(folder, "remove"), contextlib.suppress(FileNotFoundError), directories.opened(folder.parent) as above:
        directories.refuse(above, folder.name, folder, "a folder")
        os.lstat(folder.name, dir_fd=above)
        if names is not None and _has_others(folder, names):
            _remove_own(folder, names, last)
            return
        hidden = folder.with_name(token_name(folder.name, REMOVED))
        effects.perform("replace", hidden, directories.replacing(above, folder.name, hidden.name), folder)
        effects.perform("fsync", folder.parent, os.fsync, above)
        directories.remove_below(above, hidden.name, hidden)


def _is_own(path: Path, names: Collection[str]) -> bool:
    is_named = path.name in names or is_token_name(path.name, TEMPORARY)
    return is_named and stat.S_ISREG(path.lstat().st_mode)


def _has_others(folder: Path, names: Collection[str]) -> bool:
    """Return whether a folder holds anything but files of those names and folders with such files."""
    with directories.opened(folder) as handle:
        mount = directories.device_of_mount(handle)
    for path in directories.entries_below(folder):
        if stat.S_ISDIR(path.lstat().st_mode):
            with directories.opened(path) as handle:
                if directories.device_of_mount(handle) != mount or not os.listdir(handle):
                    return True
        elif not _is_own(path, names):
            return True
    return False


def _remove_own(folder: Path, names: Collection[str], last: str) -> None:
    own = [path for path in directories.entries_below(folder) if _is_own(path, names)]
    for path in sorted(own, key=lambda path: (path == folder / last, path)):
        if path == folder / last:
            directories.sync_folder(folder)
        remove_file(path)
    directories.sync_folder(folder)
