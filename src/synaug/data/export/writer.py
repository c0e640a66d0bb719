"""Write real and synthetic images to one folder that torchvision and ``datasets`` load as is.

::

    out/train/<class>/<id>.<ext>   real and synthetic images
    out/test/...                   real images (and validation/, if there is a validation split)
    out/train/metadata.parquet     one row per image: file, label, source, provenance
    out/README.md                  data card; its header lists splits and columns for ``datasets``
    out/croissant.json             the same for Croissant readers
    out/SHA256SUMS                 digest of every other file

The folder is filled under a temporary name and moved to ``out`` once it is complete. Repeating the call resumes an
interrupted export, and leaves a finished one with the same content unchanged; see ``runtime.new_folder``.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from synaug.data.changed_files import naming_changed_files
from synaug.data.color_mode import color_mode
from synaug.data.export.croissant import CROISSANT, croissant_text
from synaug.data.export.dataset_card import column_kinds, make_card, metadata_pieces, plain_value
from synaug.data.export.digests import DIGESTS, read_digests
from synaug.data.export.file_index import ExportedFiles, public_id
from synaug.data.groups import class_counts
from synaug.data.images import Encoding, decoded, encode, encoded, file_bytes, marked, recorded_bytes
from synaug.data.labels import check_class_names
from synaug.data.manifest import SPLITS, Manifest, joined
from synaug.errors import ChangedFileError, DataError
from synaug.runtime import (
    Progress,
    agreeing,
    counted,
    is_free,
    put_in_place,
    remove_left_over,
    silent,
    stop_here,
    storage,
    taken,
    without_warnings,
    work_folder,
)
from synaug.runtime.files import directories
from synaug.runtime.records import changed_files, named

CARD = "README.md"
_ENTRIES = frozenset({*SPLITS, CARD, CROISSANT, DIGESTS})
OF_THE_WHOLE = (CARD, CROISSANT)  # apart from the images and one table per split
METADATA = "metadata.parquet"  # typed: datasets infers JSON types from the first lines
KEPT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")  # supported by torchvision
SUFFIX_OF = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "PPM": ".ppm"}
FROM_REAL = ("intra", "inter")  # variants that start from a real image
_OWN_COLUMNS = ("file_name", "label", "id", "source", "is_synthetic", "attribute", "image")
_CHUNK = 256


@dataclass(frozen=True)
class _Facts:
    """Facts about the images beyond the manifest, by row."""

    columns: dict[str, pd.api.extensions.ExtensionArray | np.ndarray]
    kinds: dict[str, str]
    positions: np.ndarray

    def of(self, row: int, *names: str) -> dict[str, object]:
        """Return the facts with these names, or all, as JSON values; None if unknown."""
        position = self.positions[row]
        return {
            name: None if position < 0 else plain_value(self.columns[name][position], self.kinds[name])
            for name in names or self.kinds
        }


def export_dataset(
    real: Manifest,
    synthetic: Manifest | None,
    out: Path,
    *,
    provenance: pd.DataFrame | None = None,
    card: Mapping[str, object] | None = None,
    progress: Progress = silent,
) -> None:
    """Write the images of both manifests to the new folder ``out``.

    All images have one mode, gray only if all are gray. Real files of that mode are copied byte for byte. Others become
    PNG, so that every library sees the same pixels: gray images in a color set, 16-bit, CMYK and transparent images,
    and formats torchvision does not read. Synthetic images get the IPTC mark, which leaves their pixels unchanged.

    Args:
        real: real images; every split is written.
        synthetic: synthetic images of the same classes, or None; each row goes to the split it names.
        out: a folder that is missing or empty.
        provenance: one row per synthetic image, with the column or index ``id``; its columns are added to the metadata.
            If ``variant`` is intra or inter, the mark states that generation started from a real image.
        card: ``name``, ``description``, ``license`` and other facts for the data card.
        progress: called with the number of images written.

    Raises:
        OptionError: ``out`` contains something else.
        DataError: an image changed since it was read, or a class name cannot be a folder name.
        EnvironmentFault: the disk is full or not writable.
    """
    out = out.resolve()
    images = real if synthetic is None else joined(real, synthetic)
    del real, synthetic  # free their memory: the joined manifest has all rows
    content = _content_digest(images)
    has_place = is_free(out, content, _ENTRIES)
    if not has_place and not _has_as_many(out, images):
        raise taken(out)
    _check_images(images)
    facts = _facts_of(images, provenance)
    with work_folder(out, content, _ENTRIES) as folder:
        with naming_changed_files(images):
            files = _write_images(images, facts, folder, progress)
        _write_rest(files, images, facts, dict(card or {}), folder)
        if has_place:
            put_in_place(folder, out, kind="export", last=DIGESTS)
            return
        is_same = all(mine == theirs for mine, theirs in zip_longest(_digest_lines(folder), _digest_lines(out)))
        storage.remove_tree(folder)
    if not is_same:
        raise taken(out)
    _check_finished(out)
    remove_left_over(out)
    storage.sync_folder(out.parent)


def _check_finished(out: Path) -> None:
    """Check that every file of an earlier export of the same content is as it was written.

    Raises:
        ChangedFileError: one is not.
    """
    directories.own(out)
    changed = changed_files((out / path, sha256) for path, sha256 in read_digests(out).items())
    if changed:
        raise ChangedFileError(
            f"{out} holds this export already, but {len(changed):,} of its files changed or disappeared: "
            f"{named(changed)}. Remove {out}, or choose another folder with --out.",
            changed[0],
        )


def _has_as_many(out: Path, images: Manifest) -> bool:
    """Return whether the folder is an export with this number of files, and so worth a full comparison."""
    wanted = len(images) + images.frame["split"].nunique()
    return (out / DIGESTS).is_file() and sum(1 for _ in _digest_lines(out)) == wanted


def _digest_lines(out: Path) -> Iterator[str]:
    """Yield the digest lines of images and tables, not of the card and Croissant file, which contain the date."""
    with (
        directories.opened_file(out / DIGESTS) as handle,
        open(handle, encoding="utf-8", newline="\n", closefd=False) as file,
    ):
        yield from (line for line in file if line.rstrip("\n").partition("  ")[2] not in OF_THE_WHOLE)


def _check_images(images: Manifest) -> None:
    check_class_names(images.class_names)
    again = images.frame["id"][images.frame["id"].duplicated()]
    if len(again):
        raise DataError(
            f"{counted(len(again), 'image')} "
            f"{agreeing(len(again), 'shares', 'share')} an id with another, the first {again.iloc[0]!r}."
        )
    counts = class_counts(images.split("train").labels, images.num_classes)
    if not counts.all():
        name = images.class_names[int(np.flatnonzero(counts == 0)[0])]
        raise DataError(f"The class {name!r} has no training images, so it would have no folder and no number.")
    if (images.is_synthetic & (images.frame["split"] != "train").to_numpy(bool)).any():
        raise DataError(
            "A synthetic image is in the test or validation split; only real images may be used for testing."
        )


def _facts_of(images: Manifest, provenance: pd.DataFrame | None) -> _Facts:
    table = pd.DataFrame() if provenance is None else provenance
    table = table.set_index("id") if "id" in table.columns else table
    if table.index.has_duplicates:
        raise DataError("The provenance has two rows for one id.")
    table = table.drop(columns=[name for name in _OWN_COLUMNS if name in table.columns])
    positions = table.index.get_indexer(pd.Index(images.frame["id"])) if len(table) else np.full(len(images), -1)
    return _Facts({str(name): table[name].array for name in table.columns}, column_kinds(table), positions)


def _content_digest(images: Manifest) -> str:
    rows = pd.util.hash_pandas_object(images.frame[["id", "label", "split", "sha256"]], index=False).to_numpy()
    return storage.digest(rows.tobytes() + "\0".join(images.class_names).encode())


def _write_images(images: Manifest, facts: _Facts, folder: Path, progress: Progress) -> ExportedFiles:
    files, mode = ExportedFiles(images), color_mode(images)
    for split, label in images.frame[["split", "label"]].drop_duplicates().itertuples(index=False):
        storage.make_folder(folder / split / images.class_names[label])

    def write(row: int) -> tuple[int, str, str]:
        from_real = "variant" in facts.kinds and facts.of(row, "variant")["variant"] in FROM_REAL
        return _write_image(images, row, files, folder, mode=mode, from_real=from_real)

    with without_warnings(), ThreadPoolExecutor(16) as pool:
        for start in range(0, len(images), _CHUNK):
            stop_here()
            progress("writing images", start, len(images), "")
            for written in pool.map(write, range(start, min(start + _CHUNK, len(images)))):
                files.add(*written)
    progress("writing images", len(images), len(images), "")
    return files


def _write_image(
    images: Manifest, row: int, files: ExportedFiles, folder: Path, *, mode: str, from_real: bool
) -> tuple[int, str, str]:
    """Write the image of a row and return the row, the suffix of its file and the file's digest."""
    data, suffix = _content(images, row, mode)
    if images.frame["source"].iat[row] == "synthetic":
        data, suffix = _with_mark(data, suffix, from_real=from_real)
    path, sha256 = folder / files.place(row, suffix), storage.digest(data)
    if not path.exists() or storage.file_digest(path) != sha256:  # already there after an interrupted call
        storage.write_bytes(path, data, sync=False)
    return row, suffix, sha256


def _record(images: Manifest, row: int, file_name: str, facts: _Facts) -> dict[str, object]:
    """Return the metadata of a file, whose name is relative to its split."""
    frame = images.frame
    record: dict[str, object] = {
        "file_name": file_name,
        "label": images.class_names[images.labels[row]],
        "id": public_id(str(frame["id"].iat[row])),
        "source": str(frame["source"].iat[row]),
        "is_synthetic": bool(frame["source"].iat[row] == "synthetic"),
    }
    if images.num_attributes:
        attribute = images.attributes[row]
        record["attribute"] = images.attribute_names[attribute] if attribute >= 0 else None
    row_facts = facts.of(row)
    if isinstance(guide := row_facts.get("guide"), str):
        row_facts["guide"] = public_id(guide)
    if isinstance(guides := row_facts.get("guides"), list):
        row_facts["guides"] = [public_id(str(name)) for name in guides]
    return record | row_facts


def _content(images: Manifest, row: int, mode: str) -> tuple[bytes, str]:
    """Return the encoded bytes and their suffix; images of another mode become PNG."""
    value = images.frame["image"].iat[row] if "image" in images.frame else None
    if isinstance(value, np.ndarray | bytes):
        data, suffix = encoded(value), ""
    else:
        path = images.absolute_path(row)
        expected = str(images.frame["sha256"].iat[row] or "")
        try:
            data, suffix = recorded_bytes(path, expected) if expected else file_bytes(path), path.suffix.lower()
        except ChangedFileError:
            raise
        except DataError as error:
            raise DataError(f"{path} {error}.") from error
    kind, is_plain = _header(data, mode)
    kept = suffix if suffix in KEPT_SUFFIXES else SUFFIX_OF.get(kind, "")
    if kept and is_plain:
        return data, kept
    return encode(decoded(data).convert(mode), Encoding()), ".png"


def _header(data: bytes, mode: str) -> tuple[str, bool]:
    """Return the format, and whether every library sees the same pixels in this mode without conversion."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format or "", image.mode == mode and "transparency" not in image.info
    except UnidentifiedImageError:  # a format that needs an extra package
        return "", False


def _with_mark(data: bytes, suffix: str, *, from_real: bool) -> tuple[bytes, str]:
    if suffix not in (".png", ".jpg", ".jpeg", ".webp"):
        data, suffix = encode(decoded(data), Encoding()), ".png"
    return marked(data, from_real=from_real), suffix


def _write_rest(files: ExportedFiles, images: Manifest, facts: _Facts, card: dict[str, object], folder: Path) -> None:
    """Write metadata, cards and digests, in this order, after making the names of all images durable."""
    rows = files.in_order()
    for place in files.folders():
        storage.sync_folder(folder / place)
    columns = {"id": "text", "source": "text", "is_synthetic": "bool"} | (
        {"attribute": "text"} if images.num_attributes else {}
    )
    columns |= facts.kinds
    tables = {}
    for split in files.splits:
        path = folder / split / METADATA
        storage.write_chunks(path, metadata_pieces(_records(files, rows, split, images, facts), columns))
        tables[split] = storage.file_digest(path)
    order = sorted(range(images.num_classes), key=images.class_names.__getitem__)
    card_text = make_card(
        counts={name: counts[order] for name, counts in _counts(images)},
        class_names=[images.class_names[label] for label in order],
        columns=columns,
        about=card,
    )
    described = croissant_text(about=card, columns=columns, tables=tables, suffixes=sorted(files.suffixes))
    others = [(sha256, f"{split}/{METADATA}") for split, sha256 in tables.items()]
    for name, text in ((CARD, card_text), (CROISSANT, described)):
        storage.write_text(folder / name, text)
        others.append((storage.digest(text.encode()), name))
    lines = heapq.merge(files.digest_lines(rows), sorted(others))
    storage.write_chunks(folder / DIGESTS, (f"{sha256}  {path}\n".encode() for sha256, path in lines))


def _records(
    files: ExportedFiles, rows: np.ndarray, split: str, images: Manifest, facts: _Facts
) -> Iterator[dict[str, object]]:
    """Yield the metadata of a split's files, in row order."""
    for row in files.of_split(rows, split):
        yield _record(images, row, files.path(row).removeprefix(f"{split}/"), facts)


def _counts(images: Manifest) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the nonempty columns of the card's table."""
    splits = images.frame["split"].to_numpy(object)
    for split in SPLITS:
        for source, is_synthetic in (("real", False), ("synthetic", True)):
            chosen = (splits == split) & (images.is_synthetic == is_synthetic)
            if chosen.any():
                yield f"{split}, {source}", class_counts(images.labels[chosen], images.num_classes)
