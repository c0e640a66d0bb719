"""List a class-per-folder tree, with or without split folders above the classes."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from synaug.data.codec import SUFFIXES
from synaug.data.formats.listing import SPLIT_NAMES, Listing, PathGuard, texts
from synaug.data.manifest import SPLITS, Quarantined
from synaug.errors import DataError


def list_folders(root: Path) -> Listing:
    """List ``root/<class>/**`` or ``root/<split>/<class>/**``; classes are sorted by name, as in torchvision.

    Split folders are recognised only where every folder at the top has a split's name and holds folders but no
    images of its own, because a *class* may be called ``train``.

    Raises:
        DataError: there are no class folders, one is empty, or a link leads out of the root.
    """
    tops = subfolders(root)
    splits = _split_folders(root, tops)
    places = [(split, top, name) for top, split in splits.items() for name in subfolders(root / top)]
    if not splits:
        places = [("train", "", name) for name in tops]
    rows: list[tuple[str, str, str]] = []
    unusable: list[Quarantined] = []
    for split, top, name in places:
        paths, bad = texts(_class_images(root, os.path.join(top, name)))
        rows += [(path, name, split) for path in paths]
        unusable += bad
    frame = pd.DataFrame(rows, columns=["path", "label", "split"], dtype=str)
    return Listing(
        frame=frame.assign(id=frame["path"], attribute=""),
        class_names=tuple(sorted({name for _, _, name in places})),
        attribute_names=(),
        root=root,
        unusable=tuple(unusable),
    )


def _split_folders(root: Path, tops: list[str]) -> dict[str, str]:
    """Return top folder -> split, empty where the top folders are classes."""
    above_classes = [
        top for top in tops
        if top.casefold() in SPLIT_NAMES and subfolders(root / top) and not _has_images(root / top)
    ]  # fmt: skip
    others = [top for top in tops if top not in above_classes]
    if above_classes and others:
        raise DataError(
            f"{root} has the split folder {above_classes[0]!r} beside the folder {others[0]!r}, so it is unclear "
            f"which are classes. Have only split folders at the top ({', '.join(SPLIT_NAMES)}), or only classes."
        )
    if above_classes and "train" not in map(str.casefold, above_classes):
        raise DataError(f"{root} has the split folders {', '.join(above_classes)} but no 'train'.")
    splits = {top: SPLIT_NAMES[top.casefold()] for top in above_classes}
    return dict(sorted(splits.items(), key=lambda item: SPLITS.index(item[1])))


def _class_images(root: Path, place: str) -> list[str]:
    paths = image_files(root, place)
    if not paths:
        raise DataError(
            f"The class folder {root / place} is empty: it has no file that ends in {', '.join(SUFFIXES)}. "
            "Add images or remove the folder."
        )
    return paths


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; hidden ones are left out.

    Raises:
        DataError: the folder cannot be read, or one in it is a link.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error
    for entry in found:
        _refuse_folder_link(entry, folder)
    return sorted(entry.name for entry in found)


def is_image_name(name: str) -> bool:
    """Return whether a file name looks like an image's; hidden files do not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def _has_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image_name(entry.name) and entry.is_file() for entry in entries)


def image_files(root: Path, place: str = "") -> list[str]:
    """Return the image files under ``root/place``, sorted, relative to the root; hidden ones are left out.

    Raises:
        DataError: a link leads out of the root, or a folder is a link (which ``datasets`` would not follow).
    """
    guard = PathGuard(root)
    found: list[str] = []
    waiting = [place]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError as error:
            raise DataError(f"{root / folder} cannot be read: {error.strerror}.") from error
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                _refuse_folder_link(entry, root)
                waiting.append(path)
            elif is_image_name(entry.name):
                if entry.is_symlink():
                    guard.check(path)
                found.append(path)
    return sorted(found)


def _refuse_folder_link(entry: os.DirEntry[str], root: Path) -> None:
    if entry.is_symlink():
        raise DataError(
            f"{entry.path} is a link to a folder. Such links can lead out of {root} and are not followed by every "
            "library; use a real folder whose files may be links to files inside the data folder."
        )
