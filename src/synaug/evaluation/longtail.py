"""Measure long-tail accuracy: per class, and for classes with many, medium and few training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synaug.data import shot_bins
from synaug.data.checks import count_of, number_array
from synaug.data.checks.whole_numbers import whole_numbers
from synaug.errors import DataError
from synaug.evaluation.validation import check_predictions, mean_where


@dataclass(frozen=True)
class LongtailReport:
    """Fractions in [0, 1]; NaN without test images.

    ``accuracy`` is the share of correctly classified test images; on a balanced test set it equals ``mean_recall``.
    ``mean_recall``, ``many``, ``medium`` and ``few`` are means over the classes that have test images. ``worst_class``
    is the smallest recall and ``worst_class_label`` its class; they are NaN and None if any class has no test image,
    since the worst class is then unknown.
    """

    accuracy: float
    mean_recall: float
    many: float
    medium: float
    few: float
    worst_class: float
    worst_class_label: int | None
    per_class: tuple[float, ...]


def class_recalls(*, labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the share of each class's images that are recognized, shape ``(C,)``; NaN for a class without images.

    >>> class_recalls(labels=np.array([0, 0, 1]), predictions=np.array([0, 1, 1]), num_classes=3)
    array([0.5, 1. , nan])
    """
    check_predictions(labels=labels, predictions=predictions, num_classes=num_classes)
    totals = np.bincount(labels, minlength=num_classes)
    right = np.bincount(labels[labels == predictions], minlength=num_classes)
    return np.divide(right, totals, out=np.full(num_classes, np.nan), where=totals > 0)


def longtail_report(
    *, labels: ArrayLike, predictions: ArrayLike, num_classes: int, class_counts: ArrayLike
) -> LongtailReport:
    """Measure predictions for real test images of a long-tailed set.

    Args:
        labels: true classes of the test images, shape ``(N,)``.
        predictions: predicted classes, shape ``(N,)``.
        num_classes: number of classes.
        class_counts: real *training* images per class, shape ``(C,)``; they decide many, medium and few.

    Raises:
        DataError: shapes differ or a value is out of range.
    """
    labels = whole_numbers(labels, kind="label")
    predictions = whole_numbers(predictions, kind="prediction")
    class_counts, num_classes = (
        number_array(class_counts, kind="class counts"),
        count_of(num_classes, kind="num_classes"),
    )
    if class_counts.shape != (num_classes,):
        raise DataError(
            f"class_counts has shape {class_counts.shape}; expected one count for each of {num_classes} classes."
        )
    recalls = class_recalls(labels=labels, predictions=predictions, num_classes=num_classes)
    tested = ~np.isnan(recalls)
    bins = shot_bins(class_counts)
    worst = int(recalls.argmin()) if tested.all() else None
    return LongtailReport(
        accuracy=mean_where(labels == predictions, np.ones(len(labels), bool)),
        mean_recall=mean_where(recalls, tested),
        many=mean_where(recalls, tested & bins.many),
        medium=mean_where(recalls, tested & bins.medium),
        few=mean_where(recalls, tested & bins.few),
        worst_class=float("nan") if worst is None else float(recalls[worst]),
        worst_class_label=worst,
        per_class=tuple(recalls.tolist()),
    )
