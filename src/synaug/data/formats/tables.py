"""List the images that a table names: CSV, TSV, JSON lines or Parquet, with a path and a label column.

Known without options: the ``metadata.csv`` of WILDS and Group DRO, the CSV of SubpopBench, and Parquet as
Hugging Face writes it (image bytes in a struct column, class names in the schema).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from synaug.config import DataOptions
from synaug.data.class_names import sorted_names
from synaug.data.formats.listing import SPLIT_NAMES, Listing, PathGuard, check_classes_present
from synaug.data.formats.table_files import Table, read_table
from synaug.data.labels import label_texts
from synaug.data.manifest import Quarantined
from synaug.errors import DataError

PATH_COLUMNS = (
    "image", "path", "file_name", "filename", "img_filename", "image_path", "img_path", "file_path", "filepath",
    "file", "img",
)  # fmt: skip
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "y", "fine_label")
SPLIT_NUMBERS = {"0": "train", "1": "validation", "2": "test"}
WATERBIRDS = {
    "y": {"0": "landbird", "1": "waterbird"},
    "place": {"0": "land", "1": "water"},
}


def list_table(path: Path, options: DataOptions) -> Listing:
    """List the images of a table file; paths in it are relative to its own folder.

    Raises:
        DataError: as ``list_rows`` does.
    """
    return list_rows(read_table(path), options, where=path, root=path.parent)


def list_rows(table: Table, options: DataOptions, *, where: Path | str, root: Path | None) -> Listing:
    """List the images of a table.

    Args:
        table: a row an image.
        options: which columns are what.
        where: what messages call the table.
        root: the folder that paths in it are relative to and may not leave; None for a table that the calling
            program made, whose paths are its own.

    Raises:
        DataError: a column is absent or has no value in a row, a path leaves the folder, or an image has two labels.
    """
    table = _with_known_names(table, options)
    names = list(table.frame.columns)
    place = named_column(options.path, PATH_COLUMNS, names, "path", where)
    label = named_column(options.label, LABEL_COLUMNS, names, "label", where)
    attribute = _optional(options.attribute, _usual_attribute(names, label), names, "attribute", where)
    split = _optional(options.split, "split", names, "split", where)
    frame = pd.DataFrame({"label": _texts(table, label, where)})
    frame["attribute"] = "" if attribute is None else _texts(table, attribute, where, may_lack=True)
    frame["split"] = "train" if split is None else _splits(_texts(table, split, where), split, where)
    frame = frame.assign(**_places(table, place, where, root), **_origins(table))
    class_names = table.class_names.get(label) or sorted_names(frame["label"])
    check_classes_present(class_names, set(frame["label"]), where=where, why="no rows")
    frame, repeated = _each_image_once(frame, where)
    attribute_names = table.class_names.get(attribute or "") or sorted_names(set(frame["attribute"]) - {""})
    return Listing(frame, tuple(class_names), tuple(attribute_names), root=root or Path.cwd(), repeated=repeated)


def _with_known_names(table: Table, options: DataOptions) -> Table:
    """Give the numbers of Waterbirds their names, where the columns are those of its metadata."""
    frame = table.frame
    if options.label not in (None, "y") or not {"img_filename", "y", "split", "place"} <= set(frame.columns):
        return table
    if not all(set(frame[column].astype(str)) <= set(names) for column, names in WATERBIRDS.items()):
        return table
    named = {column: frame[column].astype(str).map(names) for column, names in WATERBIRDS.items()}
    return Table(frame.assign(**named), {column: tuple(names.values()) for column, names in WATERBIRDS.items()})


def _usual_attribute(names: Sequence[str], label: str) -> str | None:
    """Return the attribute column of WILDS (place) or SubpopBench (a), where the label is theirs too."""
    if label != "y" or "split" not in names:
        return None
    return next((name for name in ("place", "a") if name in names), None)


def named_column(asked: str | None, usual: Sequence[str], names: list[str], kind: str, where: Path | str) -> str:
    """Return the column that was asked for or, where none was, the first with one of the usual names.

    Raises:
        DataError: there is none.
    """
    if asked is not None:
        if asked in names:
            return asked
        near = difflib.get_close_matches(asked, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{where} has no {kind} column {asked!r}.{hint} Its columns: {', '.join(names)}.")
    lower = {name.lower(): name for name in reversed(names)}
    found = next((lower[name] for name in usual if name in lower), None)
    if found is None:
        raise DataError(
            f"{where} has no {kind} column with one of the usual names ({', '.join(usual)}). "
            f"Its columns: {', '.join(names)}. Name the right one with the option {kind!r}."
        )
    return found


def _optional(asked: str | None, usual: str | None, names: list[str], kind: str, where: Path | str) -> str | None:
    if asked is not None:
        return named_column(asked, (), names, kind, where)
    return usual if usual in names else None


def _texts(table: Table, column: str, where: Path | str, *, may_lack: bool = False) -> pd.Series[str]:
    """Return a column as text: class names for the numbers of a ClassLabel, '3' for 3 and for 3.0."""
    return label_texts(
        table.frame[column],
        where=f"{where}: the column {column!r}",
        class_names=table.class_names.get(column, ()),
        may_lack=may_lack,
    )


def _splits(values: pd.Series[str], column: str, where: Path | str) -> pd.Series[str]:
    known = SPLIT_NAMES | SPLIT_NUMBERS
    named = values.str.casefold().map(known)
    if named.isna().any():
        got = sorted(set(values[named.isna()]))[:5]
        raise DataError(
            f"{where}: the split column {column!r} has {', '.join(map(repr, got))}. Known: {', '.join(known)}."
        )
    return named


def _origins(table: Table) -> dict[str, Any]:
    """Return the column is_synthetic where the table has one of truth values."""
    kind = table.frame.get("is_synthetic")
    return {"is_synthetic": kind} if kind is not None and pd.api.types.is_bool_dtype(kind) else {}


def _places(table: Table, column: str, where: Path | str, root: Path | None) -> dict[str, Any]:
    """Return the columns id, path and, where images are inside the table, image."""
    contents = pd.Series(table.contents.get(column, [None] * len(table.frame)), dtype=object)
    in_files = contents.isna().to_numpy()
    paths = _paths(table.frame[column][in_files], column, where, root)
    if in_files.all():
        return {"id": paths, "path": paths}
    inner = table.frame[column].astype(str)
    numbered = pd.Series([f"row-{row:07d}" for row in range(len(inner))])
    ids = inner if inner.ne("").all() and inner.is_unique else numbered
    return {"id": ids, "path": paths.reindex(inner.index, fill_value=""), "image": contents}


def _paths(places: pd.Series[Any], column: str, where: Path | str, root: Path | None) -> pd.Series[str]:
    if places.isna().any() or (places.astype(str) == "").any():
        raise DataError(f"{where}: the column {column!r} has no value in some rows.")
    if places.dtype == object and not places.map(lambda value: isinstance(value, str)).all():
        raise DataError(f"{where}: the column {column!r} holds {type(places.iloc[0]).__name__}, not paths.")
    tidy = places.astype(str).str.removeprefix("./")
    if root is not None:
        guard = PathGuard(root)
        for place in tidy:
            guard.check(place)
    return tidy


def _each_image_once(frame: pd.DataFrame, where: Path | str) -> tuple[pd.DataFrame, tuple[Quarantined, ...]]:
    again = frame["id"].duplicated()
    if not again.any():
        return frame, ()
    differing = frame.groupby("id", sort=False)[["label", "split"]].nunique()
    for column, kind in (("label", "labels"), ("split", "splits")):
        several = differing.index[differing[column] > 1]
        if len(several):
            given = frame.loc[frame["id"] == several[0], column].unique()
            raise DataError(
                f"{where} lists {len(several):,} images with several {kind}; the first, {several[0]!r}, has "
                f"{' and '.join(map(repr, given))}. Each image must have one label and one split."
            )
    repeated = tuple(Quarantined(str(name), "is listed again") for name in frame.loc[again, "id"])
    return frame[~again].reset_index(drop=True), repeated
