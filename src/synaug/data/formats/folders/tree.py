"""Scan a folder of images: its subfolders and images, and the entries that are skipped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from synaug.data.formats.listing import PathGuard
from synaug.data.images import SUFFIXES, starts_like_an_image
from synaug.data.left_out import LeftOutCounter
from synaug.errors import DataError
from synaug.runtime import kind_of

_OF_SYSTEMS = frozenset(
    ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__", "thumbs")
)
_NO_IMAGES = frozenset((  # suffixes of files that are not opened to see whether they are images
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html", ".htm", ".pdf", ".py",
    ".ipynb", ".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".parquet", ".npy", ".npz", ".mat", ".pkl",
    ".pickle", ".pt", ".pth", ".h5", ".hdf5", ".mp4", ".avi", ".mov", ".mkv", ".webm", ".wav", ".mp3", ".db",
    ".ini", ".log", ".sh", ".names", ".cfg",
))  # fmt: skip
NOT_AN_IMAGE = "is not an image"


@dataclass(frozen=True)
class _Folder:
    folders: list[str]
    images: list[str]


class ImageTree:
    """The folders and images below a root, each folder scanned once; paths are relative to the root.

    Raises:
        DataError: from every method, if a folder is unreadable or a link, or a file is a link out of the root.
    """

    def __init__(self, root: Path, left_out: LeftOutCounter) -> None:
        self.root = root
        self._left_out = left_out
        self._guard = PathGuard(root)
        self._seen: dict[str, _Folder] = {}

    def folders(self, place: str) -> list[str]:
        """Return the sorted names of the subfolders of ``place`` that may contain images."""
        return self._look(place).folders

    def images(self, place: str) -> list[str]:
        """Return the sorted paths of the images directly in ``place``."""
        return self._look(place).images

    def below(self, place: str) -> list[str]:
        """Return the sorted paths of all images below ``place``."""
        found, waiting = [], [place]
        while waiting:
            here = waiting.pop()
            found += self.images(here)
            waiting += [os.path.join(here, name) for name in self.folders(here)]
        return sorted(found)

    def has_images(self, place: str) -> bool:
        """Return whether there is an image anywhere below ``place``."""
        waiting = [place]
        while waiting:
            here = waiting.pop()
            if self.images(here):
                return True
            waiting += [os.path.join(here, name) for name in self.folders(here)]
        return False

    def leave_out(self, reason: str, paths: list[str]) -> None:
        """Count images as skipped."""
        self._left_out.add(reason, *paths)

    def _look(self, place: str) -> _Folder:
        if place not in self._seen:
            self._seen[place] = self._scan(place)
        return self._seen[place]

    def _scan(self, place: str) -> _Folder:
        folders, images = [], []
        try:
            with os.scandir(self.root / place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{self.root / place} cannot be read: {error.strerror}.") from error
        for entry in entries:
            path = os.path.join(place, entry.name)
            if entry.is_dir():
                if reason := _unread_folder(entry):
                    self._left_out.add(reason, path, suffix="folder")
                    continue
                refuse_folder_link(entry, self.root)
                folders.append(entry.name)
            elif entry.name.startswith("."):
                self._left_out.add("is a hidden file", path)
            elif self._is_image(entry, path):
                images.append(path)
            else:
                self._left_out.add(NOT_AN_IMAGE, path)
        return _Folder(folders, images)

    def _is_image(self, entry: os.DirEntry[str], path: str) -> bool:
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in _NO_IMAGES:
            return False
        if entry.is_symlink():
            self._guard.check(path)
        return suffix in SUFFIXES or (entry.is_file() and starts_like_an_image(self.root / path))


def _unread_folder(entry: os.DirEntry[str]) -> str | None:
    """Return the reason for skipping a folder, or None."""
    if entry.name.startswith("."):
        return "is a hidden folder"
    if entry.name.casefold() in _OF_SYSTEMS:
        return "is a folder of the operating system"
    if not entry.is_symlink() and is_ours(Path(entry.path)):
        return "was written by synaug"
    return None


def is_ours(folder: Path) -> bool:
    """Return whether a folder was written by synaug: a run directory or an export."""
    return kind_of(folder) is not None or os.path.lexists(folder / "synaug.lock.json")


def refuse_folder_link(entry: os.DirEntry[str], root: Path) -> None:
    """Raise a DataError if a folder is a link."""
    if entry.is_symlink():
        raise DataError(
            f"{entry.path} is a link to a folder. Such links can lead out of {root} and are not followed by every "
            "library; use a real folder whose files may be links to files inside the data folder."
        )
