"""List ImageNet-LT and related sets: an image folder, and list files with one line ``path label`` per image."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats import Listing, PathGuard
from synaug.errors import DataError
from synaug.runtime.files import directories


def list_list_files(root: Path, files: dict[str, str], options: DataOptions) -> Listing:
    """List the images in the list files; each class is named after its folder, a WordNet synset.

    Args:
        root: the image folder; paths in the list files are relative to it.
        files: split -> name of its list file in the folder ``options.lists``, or in the root.
        options: ``lists``.

    Raises:
        DataError: a list file is missing or malformed, or a path leaves the root.
    """
    folder = Path(options.lists).expanduser() if options.lists else root
    frame = pd.concat([_read(folder / name, split) for split, name in files.items()], ignore_index=True)
    guard = PathGuard(root)
    for path in frame["path"]:
        guard.check(path)
    names = frame.groupby("number")["label"].agg(["first", "nunique"])
    if (names["nunique"] > 1).any() or names["first"].duplicated().any():
        raise DataError(
            f"The list files in {folder} assign two numbers to one class folder; they belong to different data sets."
        )
    return Listing(
        frame=frame.drop(columns="number").assign(id=frame["path"], attribute=""),
        class_names=tuple(names["first"]),
        attribute_names=(),
        root=root,
    )


def _read(path: Path, split: str) -> pd.DataFrame:
    try:
        lines = directories.read_bytes(path).decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The list file {path} cannot be read: {error}. Put it beside the images, or name its folder in data.lists."
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place, _, label = line.strip().rpartition(" ")
        if not label.isdecimal() or "/" not in place:
            raise DataError(f"{path}, line {number} is {line!r}, not 'folder/image label' with a whole number.")
        rows.append((place, place.split("/")[-2], int(label), split))
    return pd.DataFrame(rows, columns=["path", "label", "number", "split"])
