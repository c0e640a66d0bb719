"""Read sensitive attributes from a table of predictions: several columns, ranges of numbers, missing values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from synaug.data.class_names import cell_text, sorted_names
from synaug.data.labels import label_texts
from synaug.errors import DataError

MOST_NUMBERS = 12  # distinct numbers in a column; more become ranges
MOST_VALUES = 50
QUARTERS = (0.25, 0.5, 0.75)
JOINT = ","  # separates the columns of an intersection
BETWEEN = " & "  # separates the values of an intersection


@dataclass(frozen=True, eq=False)
class SensitiveColumn:
    """Values of an attribute: positions in ``names``, int64 of shape ``(N,)``; -1 for a row without a value."""

    names: tuple[str, ...]
    positions: np.ndarray
    notes: tuple[str, ...] = field(default=())


def sensitive_columns(frame: pd.DataFrame, asked: Sequence[str]) -> dict[str, SensitiveColumn]:
    """Return the requested attributes by name.

    Args:
        frame: a row per image.
        asked: columns; several joined by commas stand for each of them and for their intersection.

    Raises:
        DataError: a column is missing, empty, or has too many values to compare.
    """
    found: dict[str, SensitiveColumn] = {}
    for name in asked:
        parts = [name] if name in frame.columns else [part.strip() for part in name.split(JOINT)]
        for part in parts:
            if part not in found:
                found[part] = _read(frame[part])
        if len(parts) > 1:
            found[JOINT.join(parts)] = _intersection([found[part] for part in parts])
    return found


def _read(column: pd.Series[Any]) -> SensitiveColumn:
    where = f"The column {str(column.name)!r}"
    lacking = (column.isna() | (column.astype(str).str.strip() == "")).to_numpy()
    if lacking.all():
        raise DataError(f"{where} is empty.")
    present, notes = column[~lacking], []
    numbers = pd.to_numeric(present.astype(str), errors="coerce") if not _is_boolean(present) else pd.Series([np.nan])
    if numbers.notna().all() and (numbers.nunique() > MOST_NUMBERS or (numbers != numbers.round()).any()):
        texts, names = _ranges(numbers, where)
        notes.append(f"{where} has {numbers.nunique():,} different numbers; they are compared in ranges.")
    else:
        texts = label_texts(present, where=where).map(cell_text).to_numpy(object)
        names = tuple(sorted_names(set(texts)))
        if len(names) > MOST_VALUES and len(names) > len(texts) / 2:
            raise DataError(
                f"{where} has {len(names):,} different values in {len(texts):,} rows, so it does not name groups. "
                "Give a column with fewer values, such as age bands."
            )
    if lacking.any():
        notes.append(f"{where} has no value in {int(lacking.sum()):,} of {len(column):,} rows; they are left out.")
    positions = np.full(len(column), -1)
    positions[~lacking] = pd.Index(names).get_indexer(pd.Index(texts))
    return SensitiveColumn(names, positions, tuple(notes))


def _is_boolean(values: pd.Series[Any]) -> bool:
    return pd.api.types.infer_dtype(values, skipna=True) == "boolean"


def _ranges(numbers: pd.Series[float], where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return range names for numbers, cut at quartiles into about equally many rows, and the names in order."""
    if not np.isfinite(numbers).all():
        raise DataError(f"{where} has values that are not finite numbers.")
    cuts = np.unique(np.quantile(numbers, QUARTERS))
    low, high = float(numbers.min()), float(numbers.max())
    edges = [low, *cuts[(cuts > low) & (cuts < high)].tolist(), high]
    *below, (start, end) = pairwise(edges)
    names = (*(f"{low:g} to below {high:g}" for low, high in below), f"{start:g} to {end:g}")
    return np.array(names, object)[np.searchsorted(edges[1:-1], numbers, side="right")], names


def _intersection(columns: Sequence[SensitiveColumn]) -> SensitiveColumn:
    """Return the attribute whose values are the combinations that occur; unknown if any part is unknown."""
    values = np.stack([column.positions for column in columns], 1)
    known = np.asarray((values >= 0).all(1))
    cells, places = np.unique(values[known], axis=0, return_inverse=True)
    if not len(cells):
        raise DataError("No row has a value in all of the attributes that are to be combined.")
    names = tuple(
        BETWEEN.join(column.names[place] for column, place in zip(columns, cell, strict=True))
        for cell in cells.tolist()
    )
    positions = np.full(len(values), -1)
    positions[known] = places.ravel()
    lacking = len(values) - int(known.sum())
    note = f"{lacking:,} of {len(values):,} rows lack one of the attributes; they are left out."
    return SensitiveColumn(names, positions, (note,) if lacking else ())
