"""Read the column of a table that marks synthetic images, however it and its values are spelled."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from synaug.errors import DataError

COLUMN = "is_synthetic"
_NAMES = ("issynthetic", "synthetic", "isgenerated")  # without case, spaces, hyphens and underscores
_TRUE = ("true", "1", "yes", "y", "t", "1.0", "synthetic", "generated")
_FALSE = ("false", "0", "no", "n", "f", "0.0", "real", "original")


def origins(frame: pd.DataFrame, where: Path | str) -> dict[str, pd.Series]:
    """Return the column as truth values under the name ``is_synthetic``; empty if the table has none.

    Args:
        frame: the columns of the table that are not used for anything else.
        where: name of the table in messages.

    Raises:
        DataError: two columns mark synthetic images, or a row has another value or none.

    >>> origins(pd.DataFrame({"Is Synthetic": ["No", "yes"]}), "a.csv")["is_synthetic"].tolist()
    [False, True]
    """
    columns = [name for name in frame.columns if _plain(name) in _NAMES]
    if not columns:
        return {}
    if len(columns) > 1:
        raise DataError(
            f"{where}: the columns {' and '.join(map(repr, columns))} both mark synthetic images. Remove or rename all "
            "but one."
        )
    column = columns[0]
    values = frame[column]
    if pd.api.types.is_float_dtype(values) and (values.dropna() == values.dropna().round()).all():
        values = values.astype("Int64")
    texts = values.astype(str).str.strip().str.casefold()
    strange = texts[~texts.isin(_TRUE + _FALSE)]
    if len(strange):
        raise DataError(
            f"{where}: the column {column!r} marks synthetic images and has {str(strange.iloc[0])!r} in row "
            f"{strange.index[0] + 1}; allowed: {', '.join(_TRUE)} and {', '.join(_FALSE)}. Correct the value, or "
            "rename the column if it means something else."
        )
    return {COLUMN: texts.isin(_TRUE)}


def _plain(name: object) -> str:
    return "".join(letter for letter in str(name).casefold() if letter not in " _-")
