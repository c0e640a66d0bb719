"""List the images of a table (CSV, TSV, JSON lines or Parquet) with a path and a label column.

Recognized without options: the ``metadata.csv`` of WILDS and Group DRO, the CSV of SubpopBench, and Parquet as written
by Hugging Face (image bytes in a struct column, class names in the schema).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats.folders import NOT_READ
from synaug.data.formats.listing import Listing
from synaug.data.formats.tables.origins import origins
from synaug.data.formats.tables.split_columns import number_notes, split_texts, unread_split_notes, usual_split
from synaug.data.formats.tables.table_files import Table, read_table
from synaug.data.formats.tables.table_paths import file_paths
from synaug.data.labels import JOINT, attribute_parts, check_plausible, label_texts, sorted_names
from synaug.data.labels.sensitive_columns import sensitive_columns
from synaug.data.left_out import LeftOutCounter
from synaug.data.manifest import SINGLE_ATTRIBUTE, Quarantined
from synaug.errors import DataError, columns_of
from synaug.runtime import agreeing, counted

PATH_COLUMNS = (
    "image", "path", "file_name", "filename", "img_filename", "image_path", "img_path", "file_path", "filepath",
    "file", "img", "image_name", "img_name", "image_id", "id_code",
)  # fmt: skip
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "y", "fine_label")
_OPTIONS = {
    "path": "--path (data.path in a recipe)",
    "label": "--label (data.label)",
    "split": "--split-column (data.split)",
    "group": "--group-column (data.group)",
}
_SHOWN = 5
WATERBIRDS = {
    "y": {"0": "landbird", "1": "waterbird"},
    "place": {"0": "land", "1": "water"},
}


def list_table(path: Path, options: DataOptions) -> Listing:
    """List the images of a table file; its paths are relative to its own folder.

    Raises:
        DataError: see ``list_rows``.
    """
    return list_rows(read_table(path), options, where=path, root=path.parent)


def list_rows(table: Table, options: DataOptions, *, where: Path | str, root: Path | None) -> Listing:
    """List the images of a table.

    Args:
        table: one row per image.
        options: which columns to use.
        where: name of the table in messages.
        root: folder that paths are relative to and must not leave; None for a table made by the calling program, whose
            paths are used as they are.

    Raises:
        DataError: a column is missing or lacks a value, a path leaves the folder, or an image has two labels.
    """
    table, left_out, notes = _with_known_names(table, options), LeftOutCounter(), list[str]()
    names = list(table.frame.columns)
    place = named_column(options.path, PATH_COLUMNS, names, "path", where)
    label = named_column(options.label, LABEL_COLUMNS, names, "label", where)
    attribute = _attribute(options.attribute, names, label, where)
    split = options.split and named_column(options.split, (), names, "split", where)
    used = {place, label, options.group, *(attribute_parts(attribute, names) if attribute else ())}
    split = split or usual_split(table.frame, used)
    notes += [] if split else unread_split_notes(names, used, where)
    group = _optional(options.group, None, names, "group", where)
    frame = pd.DataFrame({"label": _texts(table, label, where, may_lack=True)})
    attributes = _attributes(table, attribute, where)
    frame = frame.assign(**attributes.columns)
    frame["split"] = "train"
    if split is not None:
        splits = _texts(table, split, where)
        frame["split"] = split_texts(splits, split, options.splits, where)
        notes += number_notes(splits, split, options.splits, where)
    if group is not None:
        frame["group"] = _texts(table, group, where)
    places, found = _places(table, place, where, root)
    taken = [name for name in {*used, split} if name is not None]
    frame = frame.assign(**places, **origins(table.frame.drop(columns=taken), where))
    frame = _labeled(_of_read_splits(frame, left_out), left_out, label, where)
    notes += found + check_plausible(frame["label"], where=f"{where}: the column {label!r}")
    notes += attributes.notes
    class_names = table.class_names.get(label) or sorted_names(frame["label"])
    class_names, missing = _present(class_names, set(frame["label"]))
    if missing:
        shown = ", ".join(map(repr, missing[:_SHOWN])) + (" ..." if len(missing) > _SHOWN else "")
        notes.append(
            f"{counted(len(missing), 'class')} "
            f"{agreeing(len(missing), 'has', 'have')} a name but no images and "
            f"{agreeing(len(missing), 'is', 'are')} left out: {shown}."
        )
    frame, repeated = _each_image_once(frame, where)
    present = set(frame["attribute"])
    attribute_names = [name for name in attributes.names if name in present or attributes.are_given]
    columns = {"label": label, "attribute": attribute, "split": split, "group": group, "path": place}
    return Listing(
        frame,
        tuple(class_names),
        tuple(attribute_names),
        root=root or Path.cwd(),
        repeated=repeated,
        layout=f"a table with the columns {', '.join(_described(columns, options))}",
        notes=tuple(notes),
        left_out=left_out.result(),
    )


def _described(columns: Mapping[str, str | None], options: DataOptions) -> list[str]:
    """Return each column with its role, and whether it was recognized or an option names it."""
    named = {kind for kind in columns if getattr(options, kind) is not None}
    return [
        f"{column!r} ({kind}{', by option' if kind in named else ''})"
        for kind, column in columns.items()
        if column is not None
    ]


@dataclass(frozen=True)
class _Attributes:
    """Text columns of a listing: ``attribute`` and, for several attributes, one column each; and the values, sorted."""

    columns: dict[str, str | pd.Series | np.ndarray]
    names: tuple[str, ...] = ()
    are_given: bool = False  # by the table's schema, so that values without rows stay
    notes: tuple[str, ...] = ()


def _attribute(asked: str | None, names: list[str], label: str, where: Path | str) -> str | None:
    """Return the attribute column, or several joined by commas, as they are named; None if there is none.

    Raises:
        DataError: a column is missing.
    """
    if asked is None:
        return _optional(None, _usual_attribute(names, label), names, "attribute", where)
    return JOINT.join(named_column(part, (), names, "attribute", where) for part in attribute_parts(asked, names))


def _attributes(table: Table, attribute: str | None, where: Path | str) -> _Attributes:
    if attribute is None:
        return _Attributes({"attribute": ""})
    found = sensitive_columns(table.frame, [attribute], value_names=table.class_names, where=str(where))
    texts = {name: np.array([*column.names, ""], dtype=object)[column.positions] for name, column in found.items()}
    joint, singles = found[attribute], [name for name in found if name != attribute]
    return _Attributes(
        {"attribute": texts[attribute]} | {SINGLE_ATTRIBUTE + name: texts[name] for name in singles},
        names=joint.names,
        are_given=attribute in table.class_names,
        notes=tuple(note for column in found.values() for note in column.notes),
    )


def _of_read_splits(frame: pd.DataFrame, left_out: LeftOutCounter) -> pd.DataFrame:
    """Return the rows in splits that are read, counting the others."""
    unread = frame["split"].str.startswith(NOT_READ)
    for value, part in frame[unread].groupby("split"):
        reason = f"is in the split {str(value).removeprefix(NOT_READ).strip()!r}, which is not read"
        left_out.add(reason, *part["id"], suffix="row")
    return frame[~unread].reset_index(drop=True)


def _labeled(frame: pd.DataFrame, left_out: LeftOutCounter, label: str, where: Path | str) -> pd.DataFrame:
    """Return the rows with a label; only a validation or test split may be entirely unlabeled.

    Raises:
        DataError: a row of another split has no label.
    """
    lacking = frame["label"] == ""
    unlabeled = [split for split, rows in lacking.groupby(frame["split"]) if rows.all() and split != "train"]
    for split in unlabeled:
        left_out.add(
            f"has no label, as the whole {split} split", *frame.loc[frame["split"] == split, "id"], suffix="row"
        )
    kept = ~frame["split"].isin(unlabeled)
    frame, lacking = frame[kept].reset_index(drop=True), lacking[kept].reset_index(drop=True)
    if lacking.any():
        raise DataError(
            f"{where}: the column {label!r} has no value in {int(lacking.sum()):,} of {len(frame):,} rows, "
            f"first in row {int(lacking.to_numpy().argmax()) + 1}. Fill them in or remove the rows."
        )
    return frame


def _present(names: Sequence[str], present: set[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of classes with rows, and of those without."""
    return tuple(name for name in names if name in present), [name for name in names if name not in present]


def _with_known_names(table: Table, options: DataOptions) -> Table:
    """Replace the numbers of Waterbirds by names, if the columns are those of its metadata."""
    frame = table.frame
    if options.label not in (None, "y") or not {"img_filename", "y", "split", "place"} <= set(frame.columns):
        return table
    if not all(set(frame[column].astype(str)) <= set(names) for column, names in WATERBIRDS.items()):
        return table
    named = {column: frame[column].astype(str).map(names) for column, names in WATERBIRDS.items()}
    return Table(frame.assign(**named), {column: tuple(names.values()) for column, names in WATERBIRDS.items()})


def _usual_attribute(names: Sequence[str], label: str) -> str | None:
    """Return the attribute column of WILDS (place) or SubpopBench (a), if the label column is theirs too."""
    if label != "y" or "split" not in names:
        return None
    return next((name for name in ("place", "a") if name in names), None)


def named_column(asked: str | None, usual: Sequence[str], names: list[str], kind: str, where: Path | str) -> str:
    """Return the requested column or, without a request, the first with one of the usual names.

    Raises:
        DataError: there is none.
    """
    if asked is not None:
        if asked in names:
            return asked
        near = difflib.get_close_matches(asked, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        way = "Name one of them, or leave the option out"
        raise DataError(f"{where} has no {kind} column {asked!r}.{hint} {columns_of(names, asked)} {way}.")
    lower = {name.lower(): name for name in reversed(names)}
    found = next((lower[name] for name in usual if name in lower), None)
    if found is None:
        raise DataError(
            f"{where} has no {kind} column with one of the usual names ({', '.join(usual)}). "
            f"{columns_of(names)} Name the right one with {_OPTIONS.get(kind, f'--{kind}')}."
        )
    return found


def _optional(asked: str | None, usual: str | None, names: list[str], kind: str, where: Path | str) -> str | None:
    if asked is not None:
        return named_column(asked, (), names, kind, where)
    return usual if usual in names else None


def _texts(table: Table, column: str, where: Path | str, *, may_lack: bool = False) -> pd.Series[str]:
    """Return a column as text: class names for the numbers of a ClassLabel, '3' for both 3 and 3.0."""
    return label_texts(
        table.contents.get(column, table.frame[column]),  # a text column may be stored as bytes
        where=f"{where}: the column {column!r}",
        class_names=table.class_names.get(column, ()),
        may_lack=may_lack,
    )


def _places(table: Table, column: str, where: Path | str, root: Path | None) -> tuple[dict[str, pd.Series], list[str]]:
    """Return the columns id, path and (for images inside the table) image, and notes on the paths."""
    contents = pd.Series(table.contents.get(column, [None] * len(table.frame)), dtype=object)
    in_files = contents.isna().to_numpy()
    paths, notes = _paths(table.frame[column][in_files], column, where, root)
    if in_files.all():
        return {"id": paths, "path": paths}, notes
    inner = table.frame[column].astype(str)
    numbered = pd.Series([f"row-{row:07d}" for row in range(len(inner))])
    ids = inner if inner.ne("").all() and inner.is_unique else numbered
    return {"id": ids, "path": paths.reindex(inner.index, fill_value=""), "image": contents}, notes


def _paths(places: pd.Series, column: str, where: Path | str, root: Path | None) -> tuple[pd.Series[str], list[str]]:
    if places.isna().any() or (places.astype(str).str.strip() == "").any():
        raise DataError(f"{where}: the column {column!r} has no value in some rows.")
    if places.dtype == object and not places.map(lambda value: isinstance(value, str | int)).all():
        raise DataError(f"{where}: the column {column!r} holds {type(places.iloc[0]).__name__}, not paths.")
    texts = places.astype(str)
    return (texts.str.removeprefix("./"), []) if root is None else file_paths(texts, root=root, where=where)


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
                f"{where} lists {counted(len(several), 'image')} with several {kind}; the first, {several[0]!r}, has "
                f"{' and '.join(map(repr, given))}. Each image must have one label and one split."
            )
    repeated = tuple(Quarantined(str(name), "is listed again") for name in frame.loc[again, "id"])
    return frame[~again].reset_index(drop=True), repeated
