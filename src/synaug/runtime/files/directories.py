"""Reach files below a synaug directory without following a symbolic link.

Users may name a directory by any path, including links. Everything below it is synaug's own, and a link there can only
lead outside. So the path is opened one component at a time with ``O_NOFOLLOW``, and every change is made relative to
the descriptor of the last component. This leaves no gap between check and use. A folder mounted inside is rejected as
well; the directory that users name may itself be a mount point.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.runtime.files import effects, mounts
from synaug.runtime.files.names import is_text

LARGEST_TEXT = 20_000_000  # bytes of a file that a person writes
MAX_DEPTH = 64  # levels of nested folders
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: do not wait for the writer of a pipe
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
Replace = Callable[[Path], None]
"""Moves an entry; the argument (its old path) exists only for observers of ``perform``."""
_owned: set[str] = set()  # absolute paths, both as given and resolved


def own(folder: Path) -> Path:
    """Treat the folder as synaug's own from now on: no link below it is followed. Returns the folder.

    Raises:
        OptionError: its path has bytes that are not text, and the libraries that write into it accept only text.
        DataError: it lies in another owned folder and is reached through a link or a mount.
    """
    named = _normal(folder)
    if not is_text(named):
        raise OptionError(
            f"{folder} has a name that is not text in the encoding of this system ({sys.getfilesystemencoding()}), so "
            "synaug cannot write into it. Rename it or choose another folder; if the name is UTF-8, set PYTHONUTF8=1."
        )
    if (root := _root_of(named)) is not None and root != named:
        with contextlib.suppress(FileNotFoundError), opened(folder):
            pass
    _owned.update((named, os.path.realpath(named)))
    return folder


def _normal(path: Path) -> str:
    """Return the absolute path, resolved if it contains '..', whose meaning a link before it would change."""
    return os.path.realpath(path) if ".." in path.parts else os.path.abspath(path)


def _root_of(path: str) -> str | None:
    """Return the outermost owned folder that contains the path or is the path, or None."""
    found, place = None, path
    while True:
        if place in _owned:
            found = place
        above = os.path.dirname(place)
        if above == place:
            return found
        place = above


def is_owned(path: Path) -> bool:
    """Return whether the path is or lies in an owned folder."""
    return _root_of(_normal(path)) is not None


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Yield a descriptor of the folder, opened without following a link below an owned folder.

    Raises:
        DataError: a component below an owned folder is a link, a mount point, or otherwise not a folder.
        FileNotFoundError, OSError: as reported by the system.
    """
    handle = _descend(folder, make=False)
    try:
        yield handle
    finally:
        os.close(handle)


def make(folder: Path) -> None:
    """Create the folder and its missing parents, following no link below an owned folder."""
    os.close(_descend(folder, make=True))


def _descend(folder: Path, *, make: bool) -> int:
    path = _normal(folder)
    root = _root_of(path)
    if root is None:
        if make:
            _make_plainly(folder)
        return os.open(path, _DIRECTORY)
    parts = Path(path).relative_to(root).parts
    chain = [folder, *folder.parents]  # spelled as the caller did, for messages
    if ".." in folder.parts or len(chain) <= len(parts):
        chain = [Path(path), *Path(path).parents]
    places = chain[: len(parts)][::-1]
    if make:
        _make_plainly(chain[len(parts)])
    top = handle = os.open(root, _DIRECTORY)
    try:
        for part, place in zip(parts, places, strict=True):
            below = _step(handle, part, place, top=top, make=make)
            if handle != top:
                os.close(handle)
            handle = below
        if parts:
            mounts.check_folder(handle, top, path)
    except BaseException:
        if handle != top:
            os.close(handle)
        os.close(top)
        raise
    if handle != top:
        os.close(top)
    return handle


def _step(handle: int, part: str, place: Path, *, top: int, make: bool) -> int:
    """Open one component below a descriptor, and create it if asked to, unless the folder is on another mount."""
    try:
        return os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
    except FileNotFoundError:
        if not make:
            raise
    except OSError:
        refuse(handle, part, place, "a folder")
        raise
    mounts.refuse(handle, top, place.parent)
    effects.perform("mkdir", place, _make_one, part, handle)
    effects.perform("fsync", place.parent, os.fsync, handle)
    return os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)


def _make_one(name: str, handle: int) -> None:
    with contextlib.suppress(FileExistsError):  # another process may have been faster
        os.mkdir(name, dir_fd=handle)


def _make_plainly(folder: Path) -> None:
    """Create a folder named by the user, and its parents; links in that path are the user's own and are followed."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        handle = os.open(place.parent, _DIRECTORY)
        try:
            effects.perform("mkdir", place, _make_one, place.name, handle)
            effects.perform("fsync", place.parent, os.fsync, handle)
        finally:
            os.close(handle)


def refuse(handle: int, name: str, place: Path | str, wanted: str) -> None:
    """Raise a DataError if this name exists but is not of the ``wanted`` kind: ``a file`` or ``a folder``."""
    try:
        mode = os.lstat(name, dir_fd=handle).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISREG(mode) if wanted == "a file" else stat.S_ISDIR(mode):
        return
    raise DataError(
        f"{place} is {kind_of(mode)}, not {wanted} of synaug, and was left alone. synaug follows no links and opens no "
        "pipes or devices inside its own folders. Move it away, or choose another folder."
    )


def kind_of(mode: int) -> str:
    """Return the kind of an entry in words.

    >>> kind_of(0o010644), kind_of(0o100644)
    ('a named pipe', 'a file')
    """
    return next((words for applies, words in _KINDS if applies(mode)), "a file")


@contextlib.contextmanager
def opened_file(path: Path) -> Iterator[int]:
    """Yield a descriptor for reading a regular file; a pipe or device is rejected instead of blocking.

    Raises:
        DataError: it is not a regular file, or there is a link in the way below an owned folder.
        FileNotFoundError, OSError: as reported by the system.
    """
    if is_owned(path):
        with opened(path.parent) as folder:
            try:
                handle = os.open(path.name, _TO_READ | os.O_NOFOLLOW, dir_fd=folder)
            except FileNotFoundError:
                raise
            except OSError:  # a link or a socket
                refuse(folder, path.name, path, "a file")
                raise
    else:
        handle = os.open(path, _TO_READ)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise DataError(f"{path} is {kind_of(mode)}, not a file.")
        yield handle
    finally:
        os.close(handle)


def read_bytes(path: Path, *, limit: int | None = None) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        limit: maximum size in bytes.

    Raises:
        DataError: it is not a regular file, exceeds the limit, or there is a link in the way.
        FileNotFoundError, OSError: as reported by the system.
    """
    with opened_file(path) as handle, open(handle, "rb", closefd=False) as file:
        if limit is None:
            return file.read()
        data = file.read(limit + 1)  # fstat is no guide: files in /proc have size 0 and may be endless
    if len(data) > limit:
        raise DataError(f"{path} has more than {limit:,} bytes.")
    return data


def read_text(path: Path, *, limit: int = LARGEST_TEXT) -> str:
    """Return the content of a regular file as UTF-8 text, with or without a byte order mark; see ``read_bytes``.

    Raises:
        DataError, OSError: as ``read_bytes``.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_bytes(path, limit=limit).decode("utf-8-sig")


def checked(path: Path) -> Path:
    """Return a path that a library may open: that of a regular file, with no link in the way below an owned folder.

    Raises:
        DataError: it is not such a file.
        FileNotFoundError, OSError: as reported by the system.
    """
    with opened_file(path):
        return path


def entries_below(folder: Path, *, descend: Callable[[os.DirEntry[str]], bool] = lambda _: True) -> Iterator[Path]:
    """Yield every entry below a folder at any depth, including links, which are not followed.

    Args:
        folder: where to start.
        descend: called with each real folder; False skips its contents.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:  # removed in the meantime, unreadable, or too long a path
            continue
        for entry in entries:
            yield Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and descend(entry):
                waiting.append(entry.path)


def remove_below(handle: int, name: str, place: Path, *, depth: int = MAX_DEPTH) -> None:
    """Remove an owned folder and its contents relative to the parent's descriptor, without following links.

    Raises:
        EnvironmentFault: something is mounted inside, or it is nested more deeply than any synaug folder.
    """
    below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
    try:
        if mounts.mount_of(below) != mounts.mount_of(handle):
            raise EnvironmentFault(f"Cannot remove {place}: something is mounted there. Unmount it first.")
        if not depth:
            raise EnvironmentFault(
                f"Cannot remove {place}: it is nested more deeply than a synaug folder. Move it away."
            )
        for entry in sorted(os.listdir(below)):
            try:
                if stat.S_ISDIR(os.lstat(entry, dir_fd=below).st_mode):
                    remove_below(below, entry, place / entry, depth=depth - 1)
                else:
                    effects.perform("unlink", place / entry, unlink, entry, below)
            except FileNotFoundError:  # another process is removing it as well
                continue
    finally:
        os.close(below)
    effects.perform("rmdir", place, rmdir, name, handle)


def unlink(name: str, handle: int) -> None:
    """Remove a name below a descriptor if it exists."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=handle)


def rmdir(name: str, handle: int) -> None:
    """Remove an empty folder below a descriptor if it exists."""
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=handle)


def replacing(folder: int, source: str, target: str) -> Replace:
    """Return a function that moves a file within an open folder; its argument is for observers of ``perform``."""

    def replace(_source: Path) -> None:
        os.replace(source, target, src_dir_fd=folder, dst_dir_fd=folder)

    return replace


def moving(name: str, before: int, after: int) -> Replace:
    """Return a function that moves an entry from one open folder to another, in which its name must be free."""

    def replace(_source: Path) -> None:
        os.replace(name, name, src_dir_fd=before, dst_dir_fd=after)

    return replace


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk, which makes created, moved and removed names durable."""
    with effects.naming(path, "sync"), opened(path) as folder:
        effects.perform("fsync", path, os.fsync, folder)
