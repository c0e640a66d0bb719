"""Normalize labels of any kind to one text per row.

Every label except folder names passes through here: labels of tables, arrays, frames, data sets, samplers and
predictions. So `1`, `1.0` and `" 1 "` are the same class everywhere, and values that cannot be classes are rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from synaug.errors import DataError
from synaug.runtime import is_tensor

MISSING = ""
MULTI_LABEL = (
    "synaug needs exactly one class per image; multi-label data are not supported. Keep one label per image, or make "
    "one table per label."
)
_LARGEST_EXACT = 2**53  # beyond it, a float no longer represents one whole number
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]\d+)?")
_PLAIN_INTEGER = re.compile(r"[+-]?\d+")
_NO_NUMBER = ("nan", "none", "null", "na", "<na>")  # missing values in a column of numbers; elsewhere possible names
_BOOLEANS = {"true": "True", "false": "False"}
INVISIBLE_ENDS = (
    "\0\t\n\v\f\r\x1c\x1d\x1e\x1f "
    "\u0085\u00a0\u00ad\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200e\u200f"
    "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
_SEQUENCES = (list, tuple, set, frozenset, np.ndarray)


def label_texts(
    values: Any,
    *,
    where: str,
    class_names: Sequence[str] = (),
    may_lack: bool = False,
) -> pd.Series[str]:
    """Return labels as text, shape ``(N,)``: ``"3"`` for 3, 3.0, ``" 3 "`` and, in a column of numbers, ``"3.0"``.

    Args:
        values: a list, array, series, tensor or categorical of shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, C)``.
        where: name of the column in errors.
        class_names: names for whole numbers, as in a ``ClassLabel``; numbers out of range count as missing.
        may_lack: return ``""`` for rows without a label instead of raising an error.

    Raises:
        DataError: a row has no label or several, or the values are fractions, scores or objects.

    >>> label_texts([1.0, 2.0], where="y").tolist(), label_texts(["cat ", "dog"], where="y").tolist()
    (['1', '2'], ['cat', 'dog'])
    >>> label_texts([[0, 1], [1, 0]], where="y", class_names=("cat", "dog")).tolist()
    ['dog', 'cat']
    """
    column = flat_labels(values, where=where)
    texts = _texts_of(column, where)
    if len(class_names):
        texts = _named(texts, class_names)
    lacking = (texts == MISSING).to_numpy()
    if lacking.any() and not may_lack:
        raise DataError(
            f"{where} has no value in {int(lacking.sum()):,} of {len(texts):,} rows, "
            f"first in row {int(lacking.argmax()) + 1}. Fill them in or remove the rows."
        )
    return texts


def flat_labels(values: Any, *, where: str) -> pd.Series[Any]:
    """Return one label per row: columns ``(N, 1)`` and one-element lists are flattened, one-hot rows become numbers.

    Raises:
        DataError: the values have another shape, such as several labels, scores or pairs per row.

    >>> flat_labels([[4], [2]], where="y").tolist(), flat_labels(np.eye(2), where="y").tolist()
    ([4, 2], [0, 1])
    """
    if isinstance(values, pd.Series) and not _holds_sequences(values):
        return values.reset_index(drop=True)
    array = _plain_array(values)
    if array.ndim == 0:
        raise DataError(f"{where} is {type(values).__name__}, not one label per image.")
    if not len(array):
        return pd.Series([], dtype=object)
    if array.dtype == object:
        array = _of_objects([_unwrapped(value) for value in array.reshape(len(array), -1).tolist()], where)
    if array.ndim > 1:
        array = _of_rows(array, where)
    return pd.Series(array).infer_objects()


def _holds_sequences(values: pd.Series[Any]) -> bool:
    return pd.api.types.is_object_dtype(values) and any(
        isinstance(value, _SEQUENCES) or is_tensor(value) for value in values
    )


def _plain_array(values: Any) -> np.ndarray:
    """Return values as an array, of dtype object if rows are sequences of different types or lengths."""
    if is_tensor(values):  # a tensor
        values = values.detach().cpu().numpy()
    elif hasattr(values, "toarray"):  # a sparse matrix, as returned by multi-label binarizers
        values = values.toarray()
    elif isinstance(values, pd.DataFrame):
        values = values.to_numpy()
    if isinstance(values, np.ma.MaskedArray):
        return _object_array([None if value is np.ma.masked else value for value in values])
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        return np.array(None, object)
    if isinstance(values, pd.Categorical):
        return np.asarray(values.astype(object))
    return _object_array(list(values))


def _object_array(values: list[Any]) -> np.ndarray:
    """Return an object array ``(N,)`` of the values; ``np.array`` would unpack sequences."""
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _unwrapped(value: Any) -> Any:
    """Return the value inside nested one-element lists, arrays and tensors."""
    while isinstance(value, _SEQUENCES) or is_tensor(value):
        if is_tensor(value):
            value = value.detach().cpu().numpy()
        held = value.tolist() if isinstance(value, np.ndarray) else list(value)
        if not isinstance(held, list):  # an array of shape ()
            return held
        if len(held) != 1:
            return held or None
        value = held[0]
    return value.item() if isinstance(value, np.generic) else value


def _of_objects(values: list[Any], where: str) -> np.ndarray:
    """Return objects as an array, two-dimensional if each is a sequence of equally many numbers."""
    lengths = {len(value) if isinstance(value, list) else 0 for value in values}
    if lengths <= {0}:
        return _object_array(values)
    try:
        rows = np.array(values)
    except ValueError:
        rows = np.array(None)
    if rows.ndim == 2 and rows.dtype.kind in "biuf":
        return rows
    example = next(value for value in values if isinstance(value, list))
    raise DataError(f"{where} has several values in a row, such as {_shown(example)}. {MULTI_LABEL}")


def _of_rows(array: np.ndarray, where: str) -> np.ndarray:
    """Return one value per row of an array with more than one dimension."""
    if array.size == len(array):
        return array.reshape(len(array))
    if array.ndim > 2:
        raise DataError(f"{where} has the shape {array.shape}; allowed: (N,), (N, 1) and one-hot (N, C).")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where} has several values in a row, such as {_shown(array[0].tolist())}. {MULTI_LABEL}")
    sums = array.sum(1, dtype=np.float64)
    if np.isin(array, (0, 1)).all():
        if (sums == 1).all():
            return array.argmax(1)
        row = int((sums != 1).argmax())
        raise DataError(
            f"{where} has the shape {array.shape} with {int(sums[row])} ones in row {row + 1}, where one-hot labels "
            f"have a single one. {MULTI_LABEL}"
        )
    if array.dtype.kind == "f" and (array >= 0).all() and np.allclose(sums, 1, atol=1e-3):
        raise DataError(
            f"{where} has the shape {array.shape} and holds probabilities, not classes. Take the likeliest class of "
            "each row first, such as values.argmax(axis=1)."
        )
    raise DataError(
        f"{where} has the shape {array.shape}, with rows such as {_shown(array[0].tolist())}; allowed: (N,), (N, 1) "
        f"and one-hot (N, C). {MULTI_LABEL}"
    )


def _texts_of(column: pd.Series[Any], where: str) -> pd.Series[str]:
    lacking = column.isna().to_numpy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    present = column[~lacking]
    kind = pd.api.types.infer_dtype(present, skipna=True)
    if kind == "empty":
        texts = present.astype(str)
    elif kind == "boolean":
        texts = present.astype(bool).astype(str)
    elif kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        texts = _of_numbers(present, where)
    elif kind == "string":
        texts = _of_texts(present.astype(str), where)
    else:
        texts = _of_texts(pd.Series([_scalar_text(value, where) for value in present], present.index, dtype=str), where)
    return texts.astype(object).reindex(column.index, fill_value=MISSING)


def _of_numbers(values: pd.Series[Any], where: str) -> pd.Series[str]:
    if pd.api.types.is_integer_dtype(values):
        return values.astype(str)
    numbers = values.astype(float)
    _check_whole(numbers, where)
    return values.map(int).astype(str)


def _check_whole(numbers: pd.Series[float], where: str) -> None:
    bad = ~np.isfinite(numbers) | (numbers.abs() > _LARGEST_EXACT)
    if bad.any():
        raise DataError(
            f"{where} has the value {numbers[bad].iloc[0]:g}, which is out of range for a class number; allowed: "
            f"whole numbers up to {_LARGEST_EXACT:,}."
        )
    fractions = numbers != numbers.round()
    if fractions.any():
        raise DataError(
            f"{where} has fractions such as {numbers[fractions].iloc[0]:g}, not classes. Give the class of each image "
            "as a name or a whole number; of scores, take the likeliest class (or compare them with a threshold)."
        )


def _of_texts(texts: pd.Series[str], where: str) -> pd.Series[str]:
    """Strip texts; in a column of numbers or booleans, spell equal values alike."""
    distinct = pd.unique(texts)
    named = dict(zip(distinct, _written_alike([stripped(text) for text in distinct], where), strict=True))
    return texts.map(named)


def stripped(text: str) -> str:
    r"""Return a text without blanks and invisible characters at its ends.

    >>> stripped("\u200b cat\ufeff "), stripped("\u00a0")
    ('cat', '')
    """
    return text.strip(INVISIBLE_ENDS)


def _written_alike(names: list[str], where: str) -> list[str]:
    folded = [name.casefold() for name in names]
    if names and all(name in _BOOLEANS for name in folded if name):
        return [_BOOLEANS.get(name, MISSING) for name in folded]
    numeric = [bool(_NUMBER.fullmatch(name)) for name in names]
    others = {name for name, is_number in zip(folded, numeric, strict=True) if not is_number}
    if not any(numeric) or not others <= {MISSING, *_NO_NUMBER}:
        return names
    written = [name for name, is_number in zip(names, numeric, strict=True) if is_number]
    if all(_PLAIN_INTEGER.fullmatch(name) for name in written):  # keep leading zeros, which may be codes
        return [name if is_number or not name else MISSING for name, is_number in zip(names, numeric, strict=True)]
    _check_whole(pd.Series([float(name) for name in written]), where)
    return [
        (name if _PLAIN_INTEGER.fullmatch(name) else str(int(float(name)))) if is_number else MISSING
        for name, is_number in zip(names, numeric, strict=True)
    ]


def _scalar_text(value: Any, where: str) -> str:
    """Return one value of a column of mixed types as text."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{where} has the bytes {_shown(value)}, which are not UTF-8.") from error
    if isinstance(value, bool | np.bool_):
        return str(int(value))  # among numbers; a column of booleans only keeps its words
    if isinstance(value, float | np.floating):
        _check_whole(pd.Series([float(value)]), where)
        return str(int(value))
    if isinstance(value, complex | dict) or callable(value):
        raise DataError(f"{where} has {type(value).__name__} values such as {_shown(value)}, not classes.")
    return str(value)


def _named(texts: pd.Series[str], class_names: Sequence[str]) -> pd.Series[str]:
    """Return the class names for numbers; names are kept, and other values are missing."""
    numbered = {str(number): name for number, name in enumerate(class_names)}
    known = numbered | {name: name for name in class_names}
    return texts.map(lambda text: numbered.get(text, known.get(text, MISSING)))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
