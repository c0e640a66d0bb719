"""Validate a manifest that was read from a file, which somebody else may have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np
import pandas as pd

from synaug.errors import DataError

_TEXTS = ("id", "path", "split", "source", "sha256")
_SOURCES = ("real", "synthetic")


def manifest_fault(
    frame: pd.DataFrame, about: object, *, columns: Sequence[str], splits: Sequence[str], single: str
) -> str:
    """Return the first fault in the description or the columns of a manifest; empty if there is none.

    Args:
        frame: the rows.
        about: the description in the file's metadata.
        columns: required columns.
        splits: allowed splits.
        single: prefix of the columns of single attributes.
    """
    if not isinstance(about, dict):
        return "it has no description"
    return _description_fault(about) or _frame_fault(frame, about, columns, splits, single)


def _description_fault(about: Mapping[str, object]) -> str:
    for name in ("class_names", "attribute_names"):
        names = about.get(name)
        if not _are_texts(names):
            return f"its {name} are not a list of names"
        if len(set(names)) < len(names):
            return f"its {name} contain a name twice"
    if "root" not in about or not (about["root"] is None or isinstance(about["root"], str)):
        return "its root is not a folder"
    items = about.get("quarantined")
    if not isinstance(items, list) or not all(_are_texts(item) and len(item) == 2 for item in items):
        return "its quarantined images are not pairs of a path and a reason"
    return ""


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _frame_fault(
    frame: pd.DataFrame, about: Mapping[str, list[str]], columns: Sequence[str], splits: Sequence[str], single: str
) -> str:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        return f"it lacks the columns {', '.join(missing)}"
    for name in (*_TEXTS, *(name for name in frame.columns if str(name).startswith(single))):
        if not frame[name].map(lambda value: isinstance(value, str)).all():
            return f"its column {name!r} is not text"
    for name, low, names in (("label", 0, "class_names"), ("attribute", -1, "attribute_names")):
        if not pd.api.types.is_integer_dtype(frame[name]):
            return f"its column {name!r} is not whole numbers"
        values = frame[name].to_numpy()
        if len(values) and not low <= values.min() <= values.max() < len(about[names]):
            return f"its column {name!r} has a number out of the range of its {names}"
    for name, allowed in (("split", splits), ("source", _SOURCES)):
        if not frame[name].isin(allowed).all():
            return f"its column {name!r} has values other than {', '.join(allowed)}"
    if frame["id"].duplicated().any():
        return "two of its rows have the same id"
    if "image" in frame and not frame["image"].map(lambda value: value is None or isinstance(value, bytes)).all():
        return "its images are not encoded"
    if np.any(frame["path"].str.contains("\0", regex=False)):
        return "one of its paths contains a NUL character"
    return ""


def check_stays_in(folder: Path, root: Path | None, where: Path) -> None:
    """Check that a manifest's images lie in its own folder, as those of any table must.

    Raises:
        DataError: they lie elsewhere.
    """
    if root is None or root.resolve().is_relative_to(folder.resolve()):
        return
    raise DataError(
        f"{where} refers to images in {root}, outside its own folder {folder}. Give the images themselves, or move the "
        "table beside them."
    )
