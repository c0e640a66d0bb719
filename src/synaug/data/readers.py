"""Read labeled images from any supported source into a manifest."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image

from synaug.config import DataOptions
from synaug.data.benchmarks import FIELDS, is_faces, list_benchmark, list_faces
from synaug.data.checks import check_stays_in
from synaug.data.completeness import complete_classes, without_synthetic_tests
from synaug.data.export import check_unchanged, export_of
from synaug.data.formats import (
    Listing,
    PathGuard,
    check_listing,
    is_hub_id,
    is_saved,
    is_shards,
    list_hub,
    list_saved,
    list_shards,
)
from synaug.data.formats.folders import is_image_name, is_ours, list_folders, subfolders
from synaug.data.formats.memory import Source, table_in_memory
from synaug.data.formats.tables import LABEL_COLUMNS, list_rows, list_table, read_table, way_out
from synaug.data.formats.tables import SUFFIXES as TABLE_SUFFIXES
from synaug.data.images import decoded, file_bytes, frame_notes, is_marked, num_frames
from synaug.data.images.thumbnails import thumbnails
from synaug.data.labels import windows_notes
from synaug.data.manifest import COLUMNS, SINGLE_ATTRIBUTE, Manifest, Quarantined
from synaug.data.manifest_file import read_manifest
from synaug.data.similarity import with_duplicates
from synaug.errors import DataError, OptionError
from synaug.runtime import (
    FUNCTION,
    KINDS,
    PATH,
    TRUTH,
    Progress,
    check_arguments,
    instance_of,
    kind_of,
    silent,
    stop_here,
    storage,
    without_warnings,
)
from synaug.runtime.files import directories
from synaug.runtime.records import current_digest

METADATA = tuple(f"metadata{suffix}" for suffix in (".csv", ".jsonl", ".parquet"))
_CHUNK = 512


def read_data(
    source: Source,
    options: DataOptions | None = None,
    *,
    check: bool = True,
    progress: Progress = silent,
) -> Manifest:
    """Return the manifest of a data set.

    Args:
        source: a class-per-folder tree, with or without split folders; a folder with ``metadata.csv`` (or .jsonl,
            .parquet), such as Waterbirds; a UTKFace folder; a table (.csv, .tsv, .jsonl, .parquet) with a path and a
            label column, or with embedded images; ``hf:ID`` or ``hf:ID@REVISION``, a data set on the Hub, or a folder
            saved by ``datasets``; WebDataset shards (a ``.tar`` or a folder of them); the files of a known data set
            (``options.benchmark``). In memory: a data frame with such columns; a torch data set of (image, label), read
            from its files or arrays if it is torchvision's; a ``datasets.Dataset``; a pair (images, labels) of an
            array or of paths; a dict of these by split name; or a manifest, which is returned unchanged.
        options: columns, and the share of unreadable images to accept.
        check: decode every image, record its digest and quarantine it if it is unreadable. Without it, digests are
            empty and broken images are noticed only later.
        progress: called with the number of images checked.

    Raises:
        DataError: the data cannot be used; the message gives the reason.
        OptionError: an option does not apply to this kind of data.
    """
    check_arguments(
        "read_data",
        options=(options, instance_of(DataOptions, words="DataOptions").or_none),
        check=(check, TRUTH),
        progress=(progress, FUNCTION),
    )
    if isinstance(source, Manifest):
        return source
    options = options or DataOptions()
    if isinstance(source, str | os.PathLike):
        _check_place(source)
        path = Path(source).expanduser()
        if path.is_file() and _is_manifest(path):
            return _checked_manifest(path, accept_changed=options.accept_changed)
        where, listing = str(path), list_images(path, options)
    else:
        where = f"The {type(source).__name__}"
        listing = list_rows(table_in_memory(source), options, where=where, root=None)
    check_listing(listing, where=where)
    checks = list(_checks(listing, progress)) if check else [Checked()] * len(listing.frame)
    if check and isinstance(source, str | os.PathLike) and not options.accept_changed:
        listing = _as_exported(listing, checks, is_whole=path.is_dir())
    return _manifest(listing, checks, options, where)


def _check_place(source: str | os.PathLike[str]) -> None:
    """Reject a source that cannot be a path: empty, a URL, with a NUL character, or with a name that is too long."""
    check_arguments("read_data", source=(source, PATH))
    text = os.fspath(source)
    if not text.strip():
        raise DataError("The path of the data is empty. Give a folder with one folder per class, or a table of images.")
    if "://" in text:
        raise DataError(f"{text} is a URL, and synaug reads files only. Download the data and give their path.")


def _as_exported(listing: Listing, checks: Sequence[Checked], *, is_whole: bool) -> Listing:
    """Compare the images of an exported folder with its digests; return the listing, with a note on added ones.

    Raises:
        ChangedFileError: images changed or disappeared.
    """
    export = export_of(listing.root)
    if export is None:
        return listing
    prefix = "" if export == listing.root else f"{listing.root.resolve().name}/"
    files = {f"{prefix}{path}": check.sha256 for path, check in zip(listing.frame["path"], checks, strict=True) if path}
    note = check_unchanged(export, files, below=prefix, is_whole=is_whole)
    return replace(listing, notes=(*listing.notes, note)) if note else listing


def _checked_manifest(path: Path, *, accept_changed: bool) -> Manifest:
    """Return a manifest given as data: like any table, it may refer to images in its own folder only."""
    manifest = read_manifest(path)
    check_stays_in(path.parent, manifest.root, path)
    guard = PathGuard(path.parent if manifest.root is None else manifest.root)
    for place in manifest.frame["path"]:
        if place:
            guard.check(place)
    return _recorded_again(manifest) if accept_changed else manifest


def _recorded_again(manifest: Manifest) -> Manifest:
    """Return the manifest with the digests that its files have now.

    Raises:
        DataError: one cannot be read.
    """
    digests = manifest.frame["sha256"].to_numpy(object, copy=True)
    for row, place in enumerate(manifest.frame["path"]):
        if place:
            digests[row] = current_digest(manifest.absolute_path(row))
    return replace(manifest, frame=manifest.frame.assign(sha256=digests))


def list_images(path: Path, options: DataOptions) -> Listing:
    """List the images at a path: the known data set in the options, or whatever is found there.

    Raises:
        DataError: there is nothing usable.
    """
    if options.benchmark is not None:
        return list_benchmark(path, options)
    if is_hub_id(path):
        return list_hub(path, options)
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        return list_table(path, options)
    if is_shards(path):
        return list_shards(path, options)
    if path.is_file():
        raise DataError(f"{path} is not a table; supported suffixes: {', '.join(TABLE_SUFFIXES)}.{way_out(path)}")
    if path.exists() and not path.is_dir():
        what = directories.kind_of(path.stat().st_mode)
        raise DataError(f"{path} is {what}, not a file. Give a folder with one folder per class, or a table of images.")
    if not path.is_dir():
        near = difflib.get_close_matches(path.name, os.listdir(path.parent) if path.parent.is_dir() else [], n=1)
        hint = f" Did you mean {str(path.parent / near[0])!r}?" if near else ""
        raise DataError(
            f"{path} does not exist.{hint} Pass a folder with one subfolder per class, or a table of images."
        )
    if (kind := kind_of(path)) in ("run", "bench", "classifier"):
        raise DataError(f"{path} is a {KINDS[kind]} of synaug, not a data set. Give the images that it was made from.")
    if is_saved(path):
        return list_saved(path, options)
    if is_ours(path) and not (path / "train").is_dir():
        raise DataError(f"{path} was written by synaug and is not a data set. Give the folder of the real images.")
    return _list_metadata(path, options) or _list_folder(path, options)


def _list_metadata(path: Path, options: DataOptions) -> Listing | None:
    """List the images in a folder's metadata file, or return None to read classes from folders.

    Raises:
        DataError: there are two such files, or the only one has no label column and there are no class folders.
    """
    inside = subfolders(path)
    within = [path / inside[0]] if len(inside) == 1 else []  # a folder around everything
    found = ([folder / name for name in METADATA if (folder / name).is_file()] for folder in (path, *within))
    tables = next((tables for tables in found if tables), [])
    if len(tables) > 1:
        raise DataError(f"{path} has {tables[0].name} and {tables[1].name}; name the one to read.")
    if not tables:
        return None
    columns = [str(name).casefold() for name in read_table(tables[0]).frame.columns]
    if options.label is None and not set(columns) & set(LABEL_COLUMNS) and subfolders(path):
        listing = _list_folder(path, options)
        note = f"{tables[0].name} has no label column, so the classes are the folders."
        return replace(listing, notes=(note, *listing.notes))
    return list_table(tables[0], options)


def _list_folder(path: Path, options: DataOptions) -> Listing:
    if is_faces(path) or (options.label in FIELDS and not subfolders(path)):
        return list_faces(path, options)
    columns = {kind: getattr(options, kind) for kind in ("label", "attribute", "path", "split", "group")}
    given = [f"{kind} {value!r}" for kind, value in columns.items() if value is not None]
    if given:
        raise OptionError(
            f"{path} is a class-per-folder tree without columns, but the options name {', '.join(given)}. "
            f"Give a table ({', '.join(TABLE_SUFFIXES)}) or a folder with {METADATA[0]} for that."
        )
    if not subfolders(path):
        lying = any(is_image_name(name) for name in os.listdir(path))
        raise DataError(
            f"{path} has {'images but no class folders' if lying else 'no images'}. Put the images of each class "
            "into a folder named after it, or list them in a table with a path and a label column."
        )
    return list_folders(path, options)


@dataclass(frozen=True)
class Checked:
    """The outcome of opening an image: its digest, or why it cannot be used."""

    sha256: str = ""
    fault: str = ""
    is_synthetic: bool = False
    frames: int = 1
    thumbnail: np.ndarray | None = None


def _checks(listing: Listing, progress: Progress) -> Iterator[Checked]:
    """Decode every image once, in threads, and yield the outcomes in order."""
    total = len(listing.frame)
    contents = listing.frame["image"].to_numpy() if "image" in listing.frame else np.full(total, None)
    paths = listing.frame["path"].to_numpy()
    with without_warnings(), ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        for start in range(0, total, _CHUNK):
            stop_here()
            progress("checking images", start, total, "")
            chunk = [
                listing.root / path if content is None else content
                for path, content in zip(paths[start : start + _CHUNK], contents[start : start + _CHUNK], strict=True)
            ]
            yield from pool.map(_check_image, chunk)
    progress("checking images", total, total, "")


def _check_image(image: bytes | np.ndarray | Path) -> Checked:
    if isinstance(image, np.ndarray):
        return Checked(sha256=storage.digest(image.tobytes()), thumbnail=thumbnails([Image.fromarray(image)])[0])
    try:
        data = image if isinstance(image, bytes) else file_bytes(image)
        picture = decoded(data)
    except DataError as error:
        return Checked(fault=str(error))
    return Checked(storage.digest(data), "", is_marked(data), num_frames(data), thumbnails([picture])[0])


def _manifest(listing: Listing, checks: Sequence[Checked], options: DataOptions, where: str) -> Manifest:
    faults = np.array([check.fault for check in checks], dtype=object)
    broken = faults != ""
    names = listing.frame["id"].to_numpy()
    unusable = (*listing.unusable, *map(Quarantined, names[broken], faults[broken]))
    _check_budget(unusable, len(listing.frame) + len(listing.unusable), options.max_unreadable, where)
    is_synthetic = np.array([check.is_synthetic for check in checks], bool)
    if "is_synthetic" in listing.frame:
        is_synthetic |= listing.frame["is_synthetic"].to_numpy(bool)
    frame = listing.frame.assign(
        label=_positions(listing.frame["label"], listing.class_names),
        attribute=_positions(listing.frame["attribute"], listing.attribute_names),
        source=np.where(is_synthetic, "synthetic", "real"),
        sha256=[check.sha256 for check in checks],
    )
    columns = [*COLUMNS, *(name for name in map(str, frame) if name == "image" or name.startswith(SINGLE_ATTRIBUTE))]
    manifest = Manifest(
        frame=frame.loc[~broken, columns].reset_index(drop=True),
        class_names=listing.class_names,
        attribute_names=listing.attribute_names,
        root=listing.root,
        quarantined=(*unusable, *listing.repeated),
        origin=listing.origin,
        layout=listing.layout,
        notes=(
            *listing.notes,
            *windows_notes(listing.class_names),
            *frame_notes(names.tolist(), [check.frames for check in checks]),
        ),
        left_out=listing.left_out,
    )
    small = [check.thumbnail for check in checks if check.thumbnail is not None]
    if len(small) == len(manifest):  # every image was opened
        manifest = with_duplicates(
            manifest,
            np.stack(small) if options.near_duplicates and small else None,
            frame.loc[~broken, "group"].tolist() if "group" in frame else None,
            options.duplicates,
            where=where,
        )
    manifest = without_synthetic_tests(manifest)
    return complete_classes(manifest, "train", options.incomplete_classes, where=where)


def _positions(values: pd.Series[str], names: Sequence[str]) -> pd.Series[int]:
    """Return the position of each value among the names; -1 if it is not one of them."""
    return values.map({name: position for position, name in enumerate(names)}).fillna(-1).astype(np.int64)


def _check_budget(unusable: Sequence[Quarantined], total: int, allowed: float, where: str) -> None:
    if len(unusable) > allowed * total:
        first = "; ".join(f"{item.path} {item.reason}" for item in unusable[:5])
        raise DataError(
            f"{len(unusable):,} of {total:,} images in {where} cannot be used; at most {allowed:.1%} are allowed. "
            f"The first: {first}. Repair or remove them, or allow more with max_unreadable."
        )


def _is_manifest(path: Path) -> bool:
    if path.suffix != ".parquet":
        return False
    try:
        return b"synaug" in (pq.read_schema(directories.checked(path)).metadata or {})
    except (OSError, ValueError):
        return False
