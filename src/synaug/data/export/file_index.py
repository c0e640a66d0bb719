"""Index the path and digest of each exported image, in about forty bytes per image."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synaug.data.manifest import Manifest
from synaug.errors import DataError
from synaug.runtime import storage
from synaug.runtime.security import is_machine_path

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_DIGEST_BYTES = 32


class ExportedFiles:
    """The files of a manifest's images, one per row; filled by ``add`` in any order."""

    def __init__(self, images: Manifest) -> None:
        self._ids = images.frame["id"].array
        self._splits, split_names = images.frame["split"].factorize()
        self._labels = images.labels
        self._folders = [[f"{split}/{name}/" for name in images.class_names] for split in split_names]
        self._suffixes = np.zeros(len(images), np.uint8)
        self._digests = np.zeros((len(images), _DIGEST_BYTES), np.uint8)
        self.suffixes: list[str] = []
        self.splits = sorted(split_names)
        self._split_names = list(split_names)
        self._shared = self._rows_of_shared_names()

    def __len__(self) -> int:
        return len(self._labels)

    def place(self, row: int, suffix: str) -> str:
        """Return the path, relative to the export, of a row's image with this file suffix."""
        return f"{self._folder(row)}{stem(str(self._ids[row]), is_shared=row in self._shared)}{suffix}"

    def _folder(self, row: int) -> str:
        return self._folders[self._splits[row]][self._labels[row]]

    def _rows_of_shared_names(self) -> frozenset[int]:
        """Return the rows whose file name would collide with another's, even if only by letter case.

        Names are compared by 64 bits of their digest: eight bytes per image.
        """
        names = np.empty(len(self), np.uint64)
        for row in range(len(self)):
            name = f"{self._folder(row)}{stem(str(self._ids[row]))}".casefold()
            names[row] = int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest())
        _, places, uses = np.unique(names, return_inverse=True, return_counts=True)
        return frozenset(np.flatnonzero(uses[places] > 1).tolist())

    def add(self, row: int, suffix: str, sha256: str) -> None:
        """Record that the image of a row was written."""
        if suffix not in self.suffixes:
            self.suffixes.append(suffix)
        self._suffixes[row] = self.suffixes.index(suffix)
        self._digests[row] = np.frombuffer(bytes.fromhex(sha256), np.uint8)

    def path(self, row: int) -> str:
        """Return the path of a row's file, relative to the export."""
        return self.place(row, self.suffixes[self._suffixes[row]])

    def folders(self) -> list[str]:
        """Return the folders with images, relative to the export, sorted."""
        return sorted(self._folders[split][label] for split, label in self._places())

    def in_order(self) -> np.ndarray:
        """Return the rows ordered by path, int64 of shape ``(N,)``.

        Raises:
            DataError: two paths are equal on a file system that ignores letter case.
        """
        parts = [np.zeros(0, np.int64)]
        for split, label in sorted(self._places(), key=lambda place: self._folders[place[0]][place[1]]):
            rows = np.flatnonzero((self._splits == split) & (self._labels == label))
            paths = [self.path(int(row)) for row in rows]
            if len({path.casefold() for path in paths}) < len(paths):
                raise DataError("Two images would have the same file name. Give the images distinct ids.")
            parts.append(rows[sorted(range(len(rows)), key=paths.__getitem__)])
        return np.concatenate(parts)

    def of_split(self, rows: np.ndarray, split: str) -> np.ndarray:
        """Return the rows that belong to a split."""
        return rows[self._splits[rows] == self._split_names.index(split)]

    def digest_lines(self, rows: np.ndarray) -> Iterator[tuple[str, str]]:
        """Yield digest and path of the rows, sorted by both; the rows must come sorted by path."""
        words = self._digests[rows].view(">u8")
        for row in rows[np.lexsort(words.T[::-1])]:
            yield self._digests[row].tobytes().hex(), self.path(row)

    def _places(self) -> list[tuple[int, int]]:
        return sorted(set(zip(self._splits.tolist(), self._labels.tolist(), strict=True)))


def stem(name: str, *, is_shared: bool = False) -> str:
    """Return a file name for an id: the id itself if it is plain, otherwise a plain approximation.

    Args:
        name: the id.
        is_shared: another id would get the same name; then the name is the full digest.

    >>> stem("0a1b-3"), stem("cat/001.png")
    ('0a1b-3', '001-a27aebec')
    """
    if _PLAIN_NAME.fullmatch(name) and not is_shared:
        return name
    if is_shared:
        return storage.digest(name.encode(errors="surrogatepass"))
    likeness = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem).strip("-")[:60] or "image"
    return f"{likeness}-{storage.digest(name.encode())[:8]}"


def public_id(name: str) -> str:
    """Return an image's id for an exported table: still unique, but without folders of this machine.

    >>> public_id("cat/001.png"), public_id("/home/me/cat/001.png")
    ('cat/001.png', '001-228aeb74')
    """
    return stem(name) if is_machine_path(name) else name
