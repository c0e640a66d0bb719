"""The listing: a source's description of its images, before any of them is opened.

Columns of ``Listing.frame``, all text: ``id``; ``path`` relative to ``root``, empty if the image is in memory;
``label``, one of ``class_names``; ``attribute``, one of ``attribute_names``, or empty if unknown; ``split``; for images
in memory also ``image``, with encoded bytes or uint8 arrays; and, if the source has it, ``is_synthetic``, booleans.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from synaug.data.labels import check_class_names
from synaug.data.manifest import LeftOut, Quarantined
from synaug.errors import DataError


@dataclass(frozen=True, eq=False)
class Listing:
    """Images as described by their source.

    ``unusable`` images were skipped and count as unreadable; ``repeated`` ones were skipped and do not. ``origin`` is
    the exact source, such as a Hub id with its commit. ``layout``, ``notes`` and ``left_out`` are those of the
    manifest.
    """

    frame: pd.DataFrame
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    root: Path
    unusable: tuple[Quarantined, ...] = ()
    repeated: tuple[Quarantined, ...] = ()
    origin: str = ""
    layout: str = ""
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def check_listing(listing: Listing, *, where: Path | str) -> None:
    """Check that a classifier can be trained on the listing.

    Raises:
        DataError: there are no images, only one class, or class names that are not allowed.
    """
    if not len(listing.frame):
        raise DataError(f"{where} names no usable images.{_first(listing.unusable)}")
    check_class_names(listing.class_names)
    if len(listing.class_names) < 2:
        raise DataError(
            f"{where} has only one class, {listing.class_names[0]!r}, but a classifier needs at least two. Give the "
            "folder above all classes, or name the column of the classes with --label."
        )


def texts(paths: Iterable[str]) -> tuple[list[str], tuple[Quarantined, ...]]:
    """Return the paths that are valid text, and those that are not UTF-8, which no table or report could contain."""
    good, bad = [], []
    for path in paths:
        shown = path.encode(errors="backslashreplace").decode()
        if shown == path:
            good.append(path)
        else:
            bad.append(Quarantined(shown, "has a name that is not UTF-8"))
    return good, tuple(bad)


def _first(unusable: Sequence[Quarantined]) -> str:
    return "".join(f" {item.path}: {item.reason}." for item in unusable[:3])


class PathGuard:
    """Rejects paths that leave a root, directly or through a link; each folder is resolved once."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._inside: dict[str, bool] = {"": True}

    def check(self, path: str) -> None:
        """Check one relative path.

        Raises:
            DataError: the path is absolute, has '..' or a NUL, or passes a link that leads out of the root.
        """
        if "\0" in path or os.path.isabs(path) or ".." in path.split("/"):
            raise DataError(
                f"The path {path!r} is not allowed: paths must be relative to {self._root} and stay inside it, "
                "without '..'. Move the table beside the images, or copy the images there."
            )
        folder = os.path.dirname(path)
        if folder not in self._inside:
            self._inside[folder] = self._leads_inside(folder)
        full = os.path.join(self._root, path)
        if not self._inside[folder] or (os.path.islink(full) and not self._leads_inside(path)):
            raise DataError(
                f"The path {path!r} is a link that leads out of {self._root}. Copy or hard-link the images into it."
            )

    def _leads_inside(self, path: str) -> bool:
        return Path(os.path.realpath(self._root / path)).is_relative_to(self._root)
