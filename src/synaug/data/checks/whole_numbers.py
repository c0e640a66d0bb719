"""Validate numbers passed by callers: arrays of class numbers, counts and shares."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from synaug.data.labels import flat_labels, label_texts
from synaug.errors import DataError, OptionError
from synaug.runtime import is_tensor

_MOST = 10_000_000  # classes or attribute values: an array with this many rows still fits into memory


def whole_numbers(values: object, *, kind: str) -> np.ndarray:
    """Return class or attribute numbers as integers, shape ``(N,)``.

    Args:
        values: a list, array, series or tensor of shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, C)``.
        kind: name of one value in errors, such as ``label``.

    Raises:
        DataError: the values are names or fractions, or there are several per row.

    >>> whole_numbers([[3], [2]], kind="label").tolist(), whole_numbers(np.eye(2), kind="label").tolist()
    ([3, 2], [0, 1])
    """
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        return values  # fast path: the bootstrap calls this thousands of times
    column = flat_labels(values, where=f"The column of {kind}s")
    if not len(column):
        return np.zeros(0, np.int64)
    texts = label_texts(column, where=f"The column of {kind}s").replace({"False": "0", "True": "1"})
    try:
        return np.array([int(text) for text in texts], np.int64)
    except (ValueError, OverflowError):
        raise DataError(f"The {kind}s are names such as {texts.iloc[0]!r}; give whole numbers from 0.") from None


def number_array(values: object, *, kind: str) -> np.ndarray:
    """Return counts or shares as an array of numbers that are nonnegative or NaN.

    Raises:
        DataError: they are not numbers, or are negative or infinite.
    """
    if is_tensor(values):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
        usable = array.dtype.kind in "biuf" and not (array < 0).any() and not np.isinf(array).any()
    except (TypeError, ValueError):
        usable = False
    if not usable:
        raise DataError(f"The {kind} are {type(values).__name__}; give numbers of at least 0.")
    return array


def count_of(value: object, *, kind: str, lowest: int = 1) -> int:
    """Return a count of at least ``lowest`` as an int.

    Raises:
        OptionError: it is not a whole number, or is below ``lowest``.
    """
    if isinstance(value, Integral) and not isinstance(value, bool | np.bool_) and lowest <= int(value) <= _MOST:
        return int(value)
    raise OptionError(f"{kind} must be a whole number from {lowest} to {_MOST:,}, got {value!r:.80}.")
