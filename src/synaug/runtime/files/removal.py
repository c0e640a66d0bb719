"""Remove only what synaug itself wrote: links are not followed, and all other files stay in place."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from synaug.errors import EnvironmentFault
from synaug.runtime.files import directories, effects, locks, mounts
from synaug.runtime.files.effects import naming
from synaug.runtime.files.names import REMOVED, TEMPORARY, is_token_name, token_name


def remove_temporary(folder: Path) -> None:
    """Remove the debris of interrupted writes and removals in a folder tree, but no file that is being written.

    Only regular files and real folders whose name carries synaug's token are removed; links are neither followed nor
    removed, and mounted files and folders are left alone.
    """
    try:
        with naming(folder, "open"), directories.opened(folder) as handle:
            is_inside = mounts.without_mounts(handle)
    except EnvironmentFault as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise
    for path in directories.entries_below(
        folder, descend=lambda entry: not is_token_name(entry.name) and is_inside(entry)
    ):
        if is_token_name(path.name, REMOVED):
            _remove_folder(path)
        elif is_token_name(path.name, TEMPORARY):
            _remove_if_left(path)


def _remove_folder(path: Path) -> None:
    with naming(path, "remove"), directories.opened(path.parent) as folder, contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path.name, dir_fd=folder).st_mode):
            directories.remove_below(folder, path.name, path)


def _remove_if_left(path: Path) -> None:
    """Remove a temporary file unless a live process holds it; a writer about to lock it notices and creates another."""
    with naming(path, "remove"), directories.opened(path.parent) as folder:
        try:
            if not stat.S_ISREG(os.lstat(path.name, dir_fd=folder).st_mode):
                return
            handle = os.open(path.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except (FileNotFoundError, PermissionError):  # just finished, or another user's
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
    """Remove a file written by synaug, if it exists.

    Raises:
        DataError: its place is taken by a link or a folder, for example; that is left alone.
    """
    with naming(path, "remove"), contextlib.suppress(FileNotFoundError), directories.opened(path.parent) as folder:
        directories.refuse(folder, path.name, path, "a file")
        effects.perform("unlink", path, directories.unlink, path.name, folder)


def remove_tree(folder: Path, *, names: Collection[str] | None = None, last: str = "") -> None:
    """Remove a folder written by synaug, if it exists; for readers it vanishes in one step.

    Args:
        folder: the folder to remove.
        names: names of synaug's files in the folder and its subfolders; anything else stays in place, and so does the
            folder. Default: remove all contents.
        last: the one of these files to remove last, so that an interrupted call can be repeated.

    Raises:
        DataError: its place is taken by a link or a file; that is left alone.
    """
    with naming(folder, "remove"), contextlib.suppress(FileNotFoundError), directories.opened(folder.parent) as above:
        directories.refuse(above, folder.name, folder, "a folder")
        os.lstat(folder.name, dir_fd=above)
        if names is not None and _has_others(folder, names):
            _remove_own(folder, names, last)
            return
        _check_no_mount(folder)
        hidden = folder.with_name(token_name(folder.name, REMOVED))
        effects.perform("replace", hidden, directories.replacing(above, folder.name, hidden.name), folder)
        effects.perform("fsync", folder.parent, os.fsync, above)
        directories.remove_below(above, hidden.name, hidden)


def _check_no_mount(folder: Path) -> None:
    """Raise an EnvironmentFault if something is mounted below a folder, before any of it is removed."""
    with directories.opened(folder) as handle:
        is_inside = mounts.without_mounts(handle)
    for path in directories.entries_below(folder, descend=is_inside):
        if stat.S_ISDIR(path.lstat().st_mode) and not is_inside(path):
            raise EnvironmentFault(f"Cannot remove {folder}: {path} is a mount point. Unmount it first.")


def _is_own(path: Path, names: Collection[str]) -> bool:
    is_named = path.name in names or is_token_name(path.name, TEMPORARY)
    return is_named and stat.S_ISREG(path.lstat().st_mode)


def _has_others(folder: Path, names: Collection[str]) -> bool:
    """Return whether a folder contains anything other than files with these names and subfolders of such files."""
    with directories.opened(folder) as handle:
        is_inside = mounts.without_mounts(handle)
    for path in directories.entries_below(folder, descend=is_inside):
        if not stat.S_ISDIR(path.lstat().st_mode):
            if not _is_own(path, names):
                return True
        elif not is_inside(path) or not os.listdir(path):
            return True
    return False


def _remove_own(folder: Path, names: Collection[str], last: str) -> None:
    with directories.opened(folder) as handle:
        is_inside = mounts.without_mounts(handle)
    own = [path for path in directories.entries_below(folder, descend=is_inside) if _is_own(path, names)]
    for path in sorted(own, key=lambda path: (path == folder / last, path)):
        if path == folder / last:
            # The other removals must be on disk first, since this file shows that some are still due.
            directories.sync_folder(folder)
        remove_file(path)
    directories.sync_folder(folder)
