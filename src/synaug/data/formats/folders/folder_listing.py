"""List a class-per-folder tree, whatever lies above, beside or below the class folders."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats.folders.layout import recognized_layout
from synaug.data.formats.folders.tree import ImageTree
from synaug.data.formats.listing import Listing, texts
from synaug.data.images import SUFFIXES
from synaug.data.left_out import LeftOutCounter
from synaug.data.manifest import Quarantined


def list_folders(root: Path, options: DataOptions | None = None) -> Listing:
    """List the images of class folders; classes are sorted by name, as in torchvision.

    Above the classes there may be folders of splits or parts, or a single folder around everything. Split folders are
    recognized only if they contain folders but no images of their own, because a *class* may be called ``train``.

    Raises:
        DataError: there are no class folders, it is ambiguous which they are, or a link leads out of the root.
    """
    options = options or DataOptions()
    left_out = LeftOutCounter()
    tree = ImageTree(root, left_out)
    layout = recognized_layout(tree, layout=options.layout, splits=options.splits)
    rows: list[tuple[str, str, str]] = []
    unusable: list[Quarantined] = []
    for folder in layout.classes:
        paths, bad = texts(tree.below(folder.place))
        rows += [(path, folder.label, folder.split) for path in paths]
        unusable += bad
    frame = pd.DataFrame(rows, columns=["path", "label", "split"], dtype=str)
    return Listing(
        frame=frame.assign(id=frame["path"], attribute=""),
        class_names=tuple(sorted({folder.label for folder in layout.classes})),
        attribute_names=(),
        root=root,
        unusable=tuple(unusable),
        layout="; ".join(layout.description),
        notes=tuple(layout.notes),
        left_out=left_out.result(),
    )


def subfolders(folder: Path) -> list[str]:
    """Return the sorted names of the subfolders that may contain images.

    Raises:
        DataError: the folder cannot be read, or a subfolder is a link.
    """
    return ImageTree(folder, LeftOutCounter()).folders("")


def is_image_name(name: str) -> bool:
    """Return whether a file name looks like an image's; hidden files do not count."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def image_files(root: Path, place: str = "") -> list[str]:
    """Return the image files under ``root/place``, sorted, relative to the root; hidden files are skipped.

    Raises:
        DataError: a link leads out of the root, or a folder is a link (which ``datasets`` would not follow).
    """
    return ImageTree(root, LeftOutCounter()).below(place)
