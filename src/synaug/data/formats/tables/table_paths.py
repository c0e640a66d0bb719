"""Resolve the paths in a table: as written, with backslashes, below the table's folder, or without a suffix."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd

from synaug.data.formats.folders import ImageTree
from synaug.data.formats.listing import PathGuard
from synaug.data.left_out import LeftOutCounter
from synaug.errors import DataError

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_TRIED = 50  # sample of paths that decides whether a table contains file paths


def file_paths(places: pd.Series[str], *, root: Path, where: Path | str) -> tuple[pd.Series[str], list[str]]:
    """Return paths relative to the root, and notes on how they were resolved.

    If the path as written is not a file, backslashes become slashes, surrounding blanks are stripped, and absolute
    paths inside the root become relative. If no path exists, the images below the root are searched by name, then by
    name without suffix, as in ``image_id,label`` tables of competitions.

    Raises:
        DataError: a path is a URL, leaves the root, or matches several files.
    """
    guard, notes = PathGuard(root), []
    cleaned = {place: _cleaned(place, root) for place in pd.unique(places)}
    for kind, number in _changes(cleaned).items():
        notes.append(f"{number:,} paths {kind}.")
    for place, path in cleaned.items():
        if _URL.match(path):
            raise DataError(
                f"{where} has the URL {place!r}, and synaug reads files only. Download the images and list their paths."
            )
        guard.check(path)
    if cleaned and not _any_exists(list(cleaned.values()), root):
        found, how = _searched(list(cleaned.values()), root, where)
        if found:
            cleaned = {place: found.get(path, path) for place, path in cleaned.items()}
            notes.append(how)
    return places.map(cleaned), notes


def local_path(place: str) -> str:
    """Return the path of a ``file://`` URL on this machine; anything else as it is.

    >>> local_path("file:///data/a%20b.png"), local_path("a%20b.png"), local_path("https://host/a.png")
    ('/data/a b.png', 'a%20b.png', 'https://host/a.png')
    """
    if place[:7].casefold() != "file://":
        return place
    parts = urlsplit(place)
    return url2pathname(parts.path) if parts.netloc in ("", "localhost") else place


def _cleaned(place: str, root: Path) -> str:
    """Return the path as it was most likely meant, unless a file of exactly that name exists."""
    path = local_path(place).removeprefix("./")
    if ("\\" in path or path != path.strip()) and not os.path.lexists(root / path):
        path = path.strip().replace("\\", "/").removeprefix("./")
    if os.path.isabs(path):
        for base in (os.path.abspath(root), os.path.realpath(root)):
            if path.startswith(base + os.sep):
                return os.path.relpath(path, base)
    return path


def _changes(cleaned: dict[str, str]) -> dict[str, int]:
    numbers: dict[str, int] = defaultdict(int)
    for place, path in cleaned.items():
        if "\\" in place and "\\" not in path:
            numbers["have backslashes, read as slashes"] += 1
        if os.path.isabs(local_path(place.strip())) and not os.path.isabs(path):
            numbers["are absolute and inside the table's folder, read as relative to it"] += 1
    return numbers


def _any_exists(paths: Sequence[str], root: Path) -> bool:
    step = max(1, len(paths) // _TRIED)
    return any(os.path.exists(root / path) for path in paths[::step])


def _searched(paths: Sequence[str], root: Path, where: Path | str) -> tuple[dict[str, str], str]:
    """Return table path -> path below the root, for names that match exactly one image, and a note."""
    files = ImageTree(root, LeftOutCounter()).below("")
    for name_of, what in ((os.path.basename, "file names"), (_stem, "file names without suffix")):
        index: dict[str, list[str]] = defaultdict(list)
        for file in files:
            index[name_of(file)].append(file)
        matches = {path: index[os.path.basename(path)] for path in paths if os.path.basename(path) in index}
        several = [path for path, found in matches.items() if len(_under(found, path)) > 1]
        if several:
            raise DataError(
                f"{where}: {several[0]!r} stands for several images: {', '.join(matches[several[0]][:3])}. Write the "
                "path of each image, relative to the table's folder."
            )
        found = {path: _under(files_of, path)[0] for path, files_of in matches.items() if _under(files_of, path)}
        if found:
            example = next(iter(found.items()))
            return found, f"Paths are {what}, found below the table's folder: {example[0]!r} is {example[1]!r}."
    return {}, ""


def _under(files: Sequence[str], path: str) -> list[str]:
    """Return the files in a folder that ends like the path's folder, or all if there are none."""
    folder = os.path.dirname(path)
    ends = [file for file in files if not folder or os.path.dirname(file).endswith(folder)]
    return ends or list(files)


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
