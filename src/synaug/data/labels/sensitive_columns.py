"""Read attributes from a table: several columns at once, ranges of numbers, missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from synaug.data.labels.class_names import cell_text, sorted_names
from synaug.data.labels.label_checks import spelling_notes
from synaug.data.labels.labels import label_texts
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


def sensitive_columns(
    frame: pd.DataFrame,
    asked: Sequence[str],
    *,
    value_names: Mapping[str, Sequence[str]] | None = None,
    where: str = "",
) -> dict[str, SensitiveColumn]:
    """Return the requested attributes by name.

    Args:
        frame: one row per image.
        asked: columns; several joined by commas stand for each of them and their intersection.
        value_names: for columns whose numbers have names, the names in order.
        where: name of the table in messages.

    Raises:
        DataError: a column is missing, empty, or has too many values to compare.
    """
    found: dict[str, SensitiveColumn] = {}
    for name in asked:
        parts = attribute_parts(name, list(frame.columns))
        for part in parts:
            if part not in found:
                names = (value_names or {}).get(part, ())
                column = f"the column {part!r}"
                found[part] = _read(frame[part], f"{where}: {column}" if where else column.capitalize(), names)
        if len(parts) > 1:
            found[JOINT.join(parts)] = _intersection([found[part] for part in parts])
    return found


def attribute_parts(asked: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that an attribute option names: one, or several joined by commas.

    >>> attribute_parts("sex, age", ["sex", "age"]), attribute_parts("a,b", ["a,b"])
    (['sex', 'age'], ['a,b'])
    """
    if asked in columns:
        return [asked]
    return list(dict.fromkeys(part.strip() for part in asked.split(JOINT) if part.strip())) or [asked]


def _read(column: pd.Series, where: str, value_names: Sequence[str]) -> SensitiveColumn:
    if value_names:
        return _named(column, where, value_names)
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
        notes += spelling_notes(names, where)
        if len(names) > MOST_VALUES and len(names) > len(texts) / 2:
            raise DataError(
                f"{where} has {len(names):,} different values in {len(texts):,} rows, so it does not name groups. "
                "Give a column with fewer values, such as age bands."
            )
    notes += _note_of_lacking(lacking, where)
    positions = np.full(len(column), -1)
    positions[~lacking] = pd.Index(names).get_indexer(pd.Index(texts))
    return SensitiveColumn(names, positions, tuple(notes))


def _named(column: pd.Series, where: str, names: Sequence[str]) -> SensitiveColumn:
    texts = label_texts(column, where=where, class_names=names, may_lack=True)
    positions = pd.Index(list(names)).get_indexer(pd.Index(texts.to_numpy(object)))
    return SensitiveColumn(tuple(names), positions, _note_of_lacking(positions < 0, where))


def _note_of_lacking(lacking: np.ndarray, where: str) -> tuple[str, ...]:
    number = int(lacking.sum())
    return (f"{where} has no value in {number:,} of {len(lacking):,} rows; they belong to no group.",) if number else ()


def _is_boolean(values: pd.Series) -> bool:
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
    note = f"{lacking:,} of {len(values):,} rows lack one of the attributes; they belong to no combined group."
    return SensitiveColumn(names, positions, (note,) if lacking else ())
