"""Measure spurious correlation: accuracy per class x attribute group, and three averages with three names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synaug.data.checks import number_array
from synaug.data.checks.whole_numbers import whole_numbers
from synaug.errors import DataError
from synaug.evaluation.fairness import accuracy_by_group


@dataclass(frozen=True)
class SpuriousReport:
    """Accuracies in [0, 1]; NaN if a group has no test image.

    ``by_group`` is in the order ``label * num_attributes + attribute``. ``worst_group_accuracy`` is its
    minimum, ``mean_group_accuracy`` its plain mean, ``train_weighted_accuracy`` its mean weighted by the
    *training* images of each group: the "average accuracy" of Waterbirds (Sagawa et al. 2020), which WILDS
    calls adjusted. ``accuracy`` is the share of correctly classified test images.
    """

    accuracy: float
    by_group: tuple[float, ...]
    worst_group_accuracy: float
    mean_group_accuracy: float
    train_weighted_accuracy: float


def spurious_report(
    *,
    labels: ArrayLike,
    predictions: ArrayLike,
    attributes: ArrayLike,
    num_classes: int,
    num_attributes: int,
    train_group_counts: ArrayLike,
) -> SpuriousReport:
    """Measure predictions for test images whose attribute was correlated with the class in training.

    Args:
        labels: true classes, shape ``(N,)``.
        predictions: predicted classes, shape ``(N,)``.
        attributes: the spurious attribute, shape ``(N,)``.
        num_classes: number of classes.
        num_attributes: number of attribute values.
        train_group_counts: real training images per group, shape ``(C, A)`` or ``(C * A,)``.

    Raises:
        DataError: shapes differ or a value is out of range.
    """
    labels = whole_numbers(labels, kind="label")
    predictions = whole_numbers(predictions, kind="prediction")
    rates = accuracy_by_group(
        labels=labels,
        predictions=predictions,
        attributes=attributes,
        num_classes=num_classes,
        num_attributes=num_attributes,
    ).ravel()
    return SpuriousReport(
        accuracy=float((labels == predictions).mean()) if len(labels) else float("nan"),
        by_group=tuple(rates.tolist()),
        worst_group_accuracy=float(rates.min()),
        mean_group_accuracy=float(rates.mean()),
        train_weighted_accuracy=train_weighted_accuracy(rates, train_group_counts=train_group_counts),
    )


def train_weighted_accuracy(group_accuracies: np.ndarray, *, train_group_counts: ArrayLike) -> float:
    """Return the mean of group accuracies weighted by training counts; a group without weight is left out.

    >>> train_weighted_accuracy(np.array([1.0, 0.0]), train_group_counts=np.array([95, 5]))
    0.95
    """
    weights = number_array(train_group_counts, kind="group counts").astype(np.float64).ravel()
    rates = np.asarray(group_accuracies, np.float64).ravel()
    if weights.shape != rates.shape:
        raise DataError(f"train_group_counts has {weights.size} groups; expected {rates.size}.")
    if (weights < 0).any() or weights.sum() == 0:
        raise DataError("train_group_counts must be 0 or more, and not all 0.")
    used = weights > 0
    return float(rates[used] @ weights[used] / weights.sum())
