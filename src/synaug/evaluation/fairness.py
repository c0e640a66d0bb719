"""Fairness between the values of a sensitive attribute, for two classes and for more.

Spelt and defined as in fairlearn where that is defined (two classes, class 1 positive). With more classes,
each class in turn is the positive one, and the worst and the mean over the classes are reported by name.
A rate that nobody was there to measure is NaN, and so is everything made from it.

All public functions take the arrays of ``Predictions``, by keyword.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from synaug.evaluation.validation import check_attributes, check_predictions


class Predictions(TypedDict):
    """Whole numbers of shape ``(N,)``, and how many classes and attribute values there are."""

    labels: ArrayLike
    predictions: ArrayLike
    attributes: ArrayLike
    num_classes: int
    num_attributes: int


@dataclass(frozen=True)
class Disparity:
    """A gap between attribute values.

    ``positive`` takes class 1 as the positive one, as fairlearn does; NaN unless there are two classes.
    ``worst`` and ``mean`` are over the classes, each as the positive one in turn; the worst is the largest
    difference or the smallest ratio.
    """

    positive: float
    worst: float
    mean: float


@dataclass(frozen=True)
class FairnessReport:
    """Accuracies are fractions; groups are class x attribute, row by row; NaN where nothing was measured."""

    accuracy_by_attribute: tuple[float, ...]
    accuracy_by_group: tuple[tuple[float, ...], ...]
    worst_group_accuracy: float
    mean_group_accuracy: float
    demographic_parity_difference: Disparity
    demographic_parity_ratio: Disparity
    equal_opportunity_difference: Disparity
    equal_opportunity_ratio: Disparity
    equalized_odds_difference: Disparity
    equalized_odds_ratio: Disparity

    def disparities(self, *, num_classes: int) -> dict[str, float]:
        """Return each gap under its name: of class 1 where there are two, else ``_worst`` and ``_mean`` over them."""
        found: dict[str, float] = {}
        for name, gap in vars(self).items():
            if isinstance(gap, Disparity):
                worst_and_mean = {f"{name}_worst": gap.worst, f"{name}_mean": gap.mean}
                found |= {name: gap.positive} if num_classes == 2 else worst_and_mean
        return found


def fairness_report(**arrays: Unpack[Predictions]) -> FairnessReport:
    """Measure everything in this module at once.

    Raises:
        DataError: shapes differ or a value is out of range; an unknown attribute (-1) is out of range.
    """
    by_group = accuracy_by_group(**arrays)
    return FairnessReport(
        accuracy_by_attribute=tuple(accuracy_by_attribute(**arrays).tolist()),
        accuracy_by_group=tuple(tuple(row) for row in by_group.tolist()),
        worst_group_accuracy=float(by_group.min()),
        mean_group_accuracy=float(by_group.mean()),
        demographic_parity_difference=demographic_parity_difference(**arrays),
        demographic_parity_ratio=demographic_parity_ratio(**arrays),
        equal_opportunity_difference=equal_opportunity_difference(**arrays),
        equal_opportunity_ratio=equal_opportunity_ratio(**arrays),
        equalized_odds_difference=equalized_odds_difference(**arrays),
        equalized_odds_ratio=equalized_odds_ratio(**arrays),
    )


def accuracy_by_attribute(**arrays: Unpack[Predictions]) -> np.ndarray:
    """Return the share of right predictions for each attribute value, shape ``(A,)``.

    >>> accuracy_by_attribute(
    ...     labels=np.array([0, 1, 1]), predictions=np.array([0, 0, 1]), attributes=np.array([0, 0, 1]),
    ...     num_classes=2, num_attributes=3,
    ... )
    array([0.5, 1. , nan])
    """
    counts = confusions_by_attribute(**arrays)
    return _share(np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2)))


def accuracy_by_group(**arrays: Unpack[Predictions]) -> np.ndarray:
    """Return the share of right predictions for each class and attribute value, shape ``(C, A)``."""
    return _true_positive_rates(confusions_by_attribute(**arrays)).T


def worst_group_accuracy(**arrays: Unpack[Predictions]) -> float:
    """Return the smallest accuracy of a class x attribute group; NaN where a group has no image."""
    return float(accuracy_by_group(**arrays).min())


def mean_group_accuracy(**arrays: Unpack[Predictions]) -> float:
    """Return the plain mean of the accuracies of all groups; NaN where a group has no image."""
    return float(accuracy_by_group(**arrays).mean())


def demographic_parity_difference(**arrays: Unpack[Predictions]) -> Disparity:
    """Return how far the attribute values are apart in how often the class is chosen."""
    return _disparity(_differences(_selection_rates(confusions_by_attribute(**arrays))), np.max)


def demographic_parity_ratio(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the smallest over the largest rate at which the class is chosen."""
    return _disparity(_ratios(_selection_rates(confusions_by_attribute(**arrays))), np.min)


def equal_opportunity_difference(**arrays: Unpack[Predictions]) -> Disparity:
    """Return how far the attribute values are apart in how often the class is recognised."""
    return _disparity(_differences(_true_positive_rates(confusions_by_attribute(**arrays))), np.max)


def equal_opportunity_ratio(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the smallest over the largest rate at which the class is recognised."""
    return _disparity(_ratios(_true_positive_rates(confusions_by_attribute(**arrays))), np.min)


def equalized_odds_difference(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the larger of the gaps in true and in false positive rate."""
    counts = confusions_by_attribute(**arrays)
    gaps = _differences(_true_positive_rates(counts)), _differences(_false_positive_rates(counts))
    return _disparity(np.maximum(*gaps), np.max)


def equalized_odds_ratio(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the smaller of the ratios of true and of false positive rates."""
    counts = confusions_by_attribute(**arrays)
    found = _ratios(_true_positive_rates(counts)), _ratios(_false_positive_rates(counts))
    return _disparity(np.minimum(*found), np.min)


def confusions_by_attribute(
    *, labels: ArrayLike, predictions: ArrayLike, attributes: ArrayLike, num_classes: int, num_attributes: int
) -> np.ndarray:
    """Return one confusion matrix an attribute value, int64 ``(A, C, C)``: attribute, true class, chosen class.

    Raises:
        DataError: shapes differ or a value is out of range.
    """
    labels, predictions, attributes = np.asarray(labels), np.asarray(predictions), np.asarray(attributes)
    check_predictions(labels=labels, predictions=predictions, num_classes=num_classes)
    check_attributes(labels=labels, attributes=attributes, num_attributes=num_attributes)
    cells = (attributes.astype(np.int64) * num_classes + labels) * num_classes + predictions
    counts = np.bincount(cells, minlength=num_attributes * num_classes**2)
    return counts.reshape(num_attributes, num_classes, num_classes)


def _selection_rates(counts: np.ndarray) -> np.ndarray:
    """Return P(prediction = c | attribute = a), shape ``(A, C)``."""
    return _share(counts.sum(axis=1), counts.sum(axis=(1, 2))[:, None])


def _true_positive_rates(counts: np.ndarray) -> np.ndarray:
    """Return P(prediction = c | label = c, attribute = a), shape ``(A, C)``."""
    return _share(np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2))


def _false_positive_rates(counts: np.ndarray) -> np.ndarray:
    """Return P(prediction = c | label is not c, attribute = a), shape ``(A, C)``."""
    wrong = counts.sum(axis=1) - np.diagonal(counts, axis1=1, axis2=2)
    return _share(wrong, counts.sum(axis=(1, 2))[:, None] - counts.sum(axis=2))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where the whole is 0."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _differences(rates: np.ndarray) -> np.ndarray:
    """Return the largest minus the smallest rate of each class, shape ``(C,)``."""
    return rates.max(axis=0) - rates.min(axis=0)


def _ratios(rates: np.ndarray) -> np.ndarray:
    """Return the smallest over the largest rate of each class, shape ``(C,)``; NaN where both are 0."""
    return _share(rates.min(axis=0), rates.max(axis=0))


def _disparity(by_class: np.ndarray, worst: Callable[[np.ndarray], float]) -> Disparity:
    positive = float(by_class[1]) if len(by_class) == 2 else float("nan")
    return Disparity(positive=positive, worst=float(worst(by_class)), mean=float(by_class.mean()))
