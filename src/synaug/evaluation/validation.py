"""Check arrays of labels, predictions and attributes before measuring anything on them."""

from __future__ import annotations

import numpy as np

from synaug.data.checks import count_of
from synaug.errors import DataError


def check_predictions(*, labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> None:
    """Check that labels and predictions are whole numbers in ``0..num_classes - 1`` and of equal length.

    Raises:
        OptionError: the number of classes is below 1.
        DataError: a shape, type or value is not allowed.
    """
    num_classes = count_of(num_classes, kind="num_classes")
    check_positions("label", labels, num_classes)
    check_positions("prediction", predictions, num_classes)
    if labels.shape != predictions.shape:
        raise DataError(f"There are {len(labels)} labels but {len(predictions)} predictions.")


def check_attributes(*, labels: np.ndarray, attributes: np.ndarray, num_attributes: int) -> None:
    """Check that each label has one attribute in ``0..num_attributes - 1``.

    Raises:
        OptionError: the number of attributes is below 1.
        DataError: a shape, type or value is not allowed.
    """
    num_attributes = count_of(num_attributes, kind="num_attributes")
    check_positions("attribute", attributes, num_attributes)
    if labels.shape != attributes.shape:
        raise DataError(f"There are {len(labels)} labels but {len(attributes)} attributes.")


def check_positions(kind: str, values: np.ndarray, end: int) -> None:
    """Check that the values are one-dimensional whole numbers in ``0..end - 1``.

    Raises:
        DataError: they are not; the message names the first value out of range.
    """
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise DataError(
            f"The {kind}s are {values.dtype} of shape {values.shape}; allowed: whole numbers of shape (N,)."
        )
    outside = values[(values < 0) | (values >= end)]
    if len(outside):
        hint = " Leave out the images whose attribute is unknown." if kind == "attribute" else ""
        article = "An" if kind[0] in "aeiou" else "A"
        raise DataError(f"{article} {kind} is {outside[0]}; allowed: 0 to {end - 1}.{hint}")


def mean_where(values: np.ndarray, chosen: np.ndarray) -> float:
    """Return the mean of the chosen values; NaN if none is chosen.

    >>> mean_where(np.array([1.0, 0.0]), np.array([False, False]))
    nan
    """
    return float(values[chosen].mean()) if chosen.any() else float("nan")
