"""Measure fairness between the values of a sensitive attribute, for two or more classes.

Named and defined as in fairlearn if fairlearn defines it (two classes, class 1 positive). With more classes, each class
in turn is the positive one, and the worst and the mean over the classes are reported by name. A rate with no samples is
NaN, and so is everything derived from it.

All public functions take the arrays of ``Predictions``, by keyword.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from synaug.data.checks import count_of
from synaug.data.checks.whole_numbers import whole_numbers
from synaug.errors import OptionError
from synaug.evaluation.validation import check_attributes, check_predictions
from synaug.runtime import WHOLE, check_arguments

_MOST_CELLS = 500_000_000  # of all confusion matrices: 4 GB


class Predictions(TypedDict):
    """Whole numbers of shape ``(N,)``, and the numbers of classes and attribute values."""

    labels: ArrayLike
    predictions: ArrayLike
    attributes: ArrayLike
    num_classes: int
    num_attributes: int


@dataclass(frozen=True)
class Disparity:
    """A gap between attribute values.

    ``positive`` takes class 1 as the positive one, as fairlearn does; NaN unless there are two classes.
    ``worst`` and ``mean`` are over the classes, each the positive one in turn; the worst is the largest
    difference or the smallest ratio.
    """

    positive: float
    worst: float
    mean: float


@dataclass(frozen=True)
class FairnessReport:
    """Accuracies are fractions; groups are class x attribute, row by row; NaN if nothing was measured."""

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
    num_unmeasured_groups: int = 0
    num_small_groups: int = 0

    def disparities(self, *, num_classes: int) -> dict[str, float]:
        """Return each gap by name: of class 1 if there are two classes, else ``_worst`` and ``_mean`` over them."""
        found: dict[str, float] = {}
        for name, gap in vars(self).items():
            if isinstance(gap, Disparity):
                worst_and_mean = {f"{name}_worst": gap.worst, f"{name}_mean": gap.mean}
                found |= {name: gap.positive} if num_classes == 2 else worst_and_mean
        return found


def fairness_report(*, min_cell: int = 0, **arrays: Unpack[Predictions]) -> FairnessReport:
    """Measure everything in this module at once.

    Args:
        min_cell: 0: everything derived from an empty group is NaN. Above: worst and mean are over the groups with
            images, and gaps are between rates of at least this many images.
        arrays: see ``Predictions``.

    Raises:
        DataError: shapes differ or a value is out of range; an unknown attribute (-1) is out of range.
    """
    check_arguments("fairness_report", min_cell=(min_cell, WHOLE))
    counts = confusions_by_attribute(**arrays)
    by_group, sizes = _true_positive_rates(counts).T, counts.sum(axis=2)
    kept = by_group.ravel() if min_cell == 0 else by_group[~np.isnan(by_group)]
    return FairnessReport(
        accuracy_by_attribute=tuple(_accuracies(counts).tolist()),
        accuracy_by_group=tuple(tuple(row) for row in by_group.tolist()),
        worst_group_accuracy=float(kept.min()) if len(kept) else float("nan"),
        mean_group_accuracy=float(kept.mean()) if len(kept) else float("nan"),
        **_gaps(counts, min_cell),
        num_unmeasured_groups=int((sizes == 0).sum()),
        num_small_groups=int(((sizes > 0) & (sizes < min_cell)).sum()),
    )


def _gaps(counts: np.ndarray, least: int) -> dict[str, Disparity]:
    """Return the gaps by their names in ``FairnessReport``; ``least`` is ``min_cell`` of ``fairness_report``."""
    selected = _selection_rates(counts, least)
    positive, negative = _true_positive_rates(counts, least), _false_positive_rates(counts, least)
    found: dict[str, Disparity] = {}
    for kind, between, join, worst in (
        ("difference", _differences, np.maximum, np.max),
        ("ratio", _ratios, np.minimum, np.min),
    ):
        by_class = {
            "demographic_parity": between(selected, least > 0),
            "equal_opportunity": between(positive, least > 0),
            "equalized_odds": join(between(positive, least > 0), between(negative, least > 0)),
        }
        found |= {f"{name}_{kind}": _disparity(gaps, worst, least > 0) for name, gaps in by_class.items()}
    return found


def accuracy_by_attribute(**arrays: Unpack[Predictions]) -> np.ndarray:
    """Return the accuracy per attribute value, shape ``(A,)``.

    >>> accuracy_by_attribute(
    ...     labels=np.array([0, 1, 1]), predictions=np.array([0, 0, 1]), attributes=np.array([0, 0, 1]),
    ...     num_classes=2, num_attributes=3,
    ... )
    array([0.5, 1. , nan])
    """
    return _accuracies(confusions_by_attribute(**arrays))


def _accuracies(counts: np.ndarray) -> np.ndarray:
    return _share(np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2)))


def accuracy_by_group(**arrays: Unpack[Predictions]) -> np.ndarray:
    """Return the accuracy per class and attribute value, shape ``(C, A)``."""
    return _true_positive_rates(confusions_by_attribute(**arrays)).T


def worst_group_accuracy(**arrays: Unpack[Predictions]) -> float:
    """Return the smallest accuracy of a class x attribute group; NaN if a group is empty."""
    return float(accuracy_by_group(**arrays).min())


def mean_group_accuracy(**arrays: Unpack[Predictions]) -> float:
    """Return the plain mean of the accuracies of all groups; NaN if a group is empty."""
    return float(accuracy_by_group(**arrays).mean())


def demographic_parity_difference(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the difference between attribute values in how often the class is predicted."""
    return _gaps(confusions_by_attribute(**arrays), 0)["demographic_parity_difference"]


def demographic_parity_ratio(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the smallest over the largest rate at which the class is predicted."""
    return _gaps(confusions_by_attribute(**arrays), 0)["demographic_parity_ratio"]


def equal_opportunity_difference(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the difference between attribute values in how often the class is recognized."""
    return _gaps(confusions_by_attribute(**arrays), 0)["equal_opportunity_difference"]


def equal_opportunity_ratio(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the smallest over the largest rate at which the class is recognized."""
    return _gaps(confusions_by_attribute(**arrays), 0)["equal_opportunity_ratio"]


def equalized_odds_difference(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the larger of the gaps in true and in false positive rate."""
    return _gaps(confusions_by_attribute(**arrays), 0)["equalized_odds_difference"]


def equalized_odds_ratio(**arrays: Unpack[Predictions]) -> Disparity:
    """Return the smaller of the ratios of true and of false positive rates."""
    return _gaps(confusions_by_attribute(**arrays), 0)["equalized_odds_ratio"]


def confusions_by_attribute(
    *, labels: ArrayLike, predictions: ArrayLike, attributes: ArrayLike, num_classes: int, num_attributes: int
) -> np.ndarray:
    """Return one confusion matrix per attribute value, int64 ``(A, C, C)``: attribute, true class, predicted class.

    Raises:
        DataError: shapes differ or a value is out of range.
    """
    num_classes, num_attributes = (
        count_of(value, kind=kind) for value, kind in ((num_classes, "num_classes"), (num_attributes, "num_attributes"))
    )
    if num_attributes * num_classes**2 > _MOST_CELLS:
        raise OptionError(
            f"{num_classes:,} classes and {num_attributes:,} attribute values make more than {_MOST_CELLS:,} cells."
        )
    labels = whole_numbers(labels, kind="label")
    predictions = whole_numbers(predictions, kind="prediction")
    attributes = whole_numbers(attributes, kind="attribute")
    check_predictions(labels=labels, predictions=predictions, num_classes=num_classes)
    check_attributes(labels=labels, attributes=attributes, num_attributes=num_attributes)
    cells = (attributes.astype(np.int64) * num_classes + labels) * num_classes + predictions
    counts = np.bincount(cells, minlength=num_attributes * num_classes**2)
    return counts.reshape(num_attributes, num_classes, num_classes)


def _selection_rates(counts: np.ndarray, least: int = 0) -> np.ndarray:
    """Return P(prediction = c | attribute = a), shape ``(A, C)``."""
    return _share(counts.sum(axis=1), counts.sum(axis=(1, 2))[:, None], least)


def _true_positive_rates(counts: np.ndarray, least: int = 0) -> np.ndarray:
    """Return P(prediction = c | label = c, attribute = a), shape ``(A, C)``."""
    return _share(np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), least)


def _false_positive_rates(counts: np.ndarray, least: int = 0) -> np.ndarray:
    """Return P(prediction = c | label is not c, attribute = a), shape ``(A, C)``."""
    wrong = counts.sum(axis=1) - np.diagonal(counts, axis1=1, axis2=2)
    return _share(wrong, counts.sum(axis=(1, 2))[:, None] - counts.sum(axis=2), least)


def _share(part: np.ndarray, whole: np.ndarray, least: int = 0) -> np.ndarray:
    """Return part / whole; NaN if the whole is 0 or below ``least``."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole >= max(1, least))


def _differences(rates: np.ndarray, known_only: bool) -> np.ndarray:
    """Return the largest minus the smallest rate of each class, shape ``(C,)``."""
    low, high = _ends(rates, known_only)
    return high - low


def _ratios(rates: np.ndarray, known_only: bool) -> np.ndarray:
    """Return the smallest over the largest rate of each class, shape ``(C,)``; NaN if both are 0."""
    low, high = _ends(rates, known_only)
    return np.divide(low, high, out=np.full(low.shape, np.nan), where=high > 0)


def _ends(rates: np.ndarray, known_only: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest rate per class; NaN if any is NaN or, of the known ones, under two remain."""
    if not known_only:
        return rates.min(axis=0), rates.max(axis=0)
    known = ~np.isnan(rates)
    several = known.sum(axis=0) > 1
    low, high = np.where(known, rates, np.inf).min(axis=0), np.where(known, rates, -np.inf).max(axis=0)
    return np.where(several, low, np.nan), np.where(several, high, np.nan)


def _disparity(by_class: np.ndarray, worst: Callable[[np.ndarray], float], known_only: bool) -> Disparity:
    positive = float(by_class[1]) if len(by_class) == 2 else float("nan")
    kept = by_class[~np.isnan(by_class)] if known_only else by_class
    if not len(kept):
        return Disparity(positive, float("nan"), float("nan"))
    return Disparity(positive=positive, worst=float(worst(kept)), mean=float(kept.mean()))
