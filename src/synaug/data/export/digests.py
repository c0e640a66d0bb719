"""The digests of an exported folder: read them, and compare the files with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from synaug.data.export.croissant import CROISSANT
from synaug.data.manifest import SPLITS
from synaug.errors import ChangedFileError, DataError
from synaug.runtime import kind_of, storage
from synaug.runtime.files import directories
from synaug.runtime.records import named

DIGESTS = "SHA256SUMS"
_LENGTH = 64  # hexadecimal digits


def export_of(folder: Path) -> Path | None:
    """Return the folder itself if it is an export, its parent if it is a split of one, otherwise None."""
    whole = folder.resolve()
    for place in (folder, *([whole.parent] if whole.name in SPLITS else [])):
        if (place / DIGESTS).is_file() and (kind_of(place) == "export" or (place / CROISSANT).is_file()):
            return place
    return None


def read_digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file of an export, by its path in the folder.

    Raises:
        DataError: the file with the digests is missing or damaged.
    """
    try:
        lines = directories.read_bytes(folder / DIGESTS).decode().splitlines()
    except OSError as error:
        raise DataError(
            f"{folder} was not written by 'synaug export': {DIGESTS} cannot be read ({error.strerror})."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{folder / DIGESTS} is damaged: {error}.") from error
    digests = {}
    for number, line in enumerate(lines, 1):
        sha256, separator, path = line.partition("  ")
        if len(sha256) != _LENGTH or not separator or not _stays_inside(path):
            raise DataError(f"{folder / DIGESTS}, line {number} is not a digest and a path inside the folder.")
        digests[path] = sha256
    return digests


def _stays_inside(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def check_unchanged(export: Path, files: Mapping[str, str], *, below: str = "", is_whole: bool = True) -> str:
    """Compare the images of an export and its tables with its digests before they are used as data.

    Args:
        export: the folder.
        files: SHA-256 of the images that are used, by path in the export; empty if the file cannot be read.
        below: ``train/`` if only that split is used; empty: all of them.
        is_whole: whether all images there are used, so that a missing one is noticed.

    Returns:
        A note about images that were added to the folder since, or an empty text.

    Raises:
        ChangedFileError: an image changed, or is missing.
        DataError: the file with the digests is damaged.
    """
    recorded = read_digests(export)
    files = {**_table_digests(export, recorded, below), **files}
    changed = sorted(path for path, sha256 in files.items() if recorded.get(path, sha256) != sha256)
    here = [path for path in _images(recorded) if path.startswith(below)] if is_whole else []
    missing = sorted(set(here) - files.keys())
    if changed or missing:
        facts = [
            f"{len(paths):,} {'file' if len(paths) == 1 else 'files'} {what} ({named(map(Path, paths))})"
            for what, paths in (("changed", changed), ("disappeared", missing))
            if paths
        ]
        raise ChangedFileError(
            f"{export} changed since 'synaug export' wrote it: {' and '.join(facts)}, compared with {DIGESTS}. Restore "
            "the folder or export it again. To use it as it is, set data.accept_changed: true in a recipe, or "
            "--set data.accept_changed=true.",
            export / [*changed, *missing][0],
        )
    added = sorted(files.keys() - recorded.keys())
    what = "image was" if len(added) == 1 else "images were"
    return f"{len(added):,} {what} added to the export since: {named(map(Path, added))}." if added else ""


def _table_digests(export: Path, recorded: Iterable[str], below: str) -> dict[str, str]:
    """Return the current digests of the splits' tables, for those that exist."""
    tables = [path for path in recorded if path.startswith(below) and path.count("/") == 1]
    return {path: storage.file_digest(export / path) for path in tables if (export / path).is_file()}


def _images(recorded: Iterable[str]) -> list[str]:
    """Return the paths of images: those in the folder of a class."""
    return [path for path in recorded if path.count("/") == 2]
