"""All that is measured of one classifier on the test images, as the entries of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from synaug.evaluation.bootstrap import intervals_of, recall_intervals, resamples
from synaug.evaluation.calibration import expected_calibration_error
from synaug.evaluation.fairness import accuracy_by_group, fairness_report
from synaug.evaluation.longtail import longtail_report
from synaug.evaluation.spurious import train_weighted_accuracy

DISPARITIES = ("demographic_parity_difference", "equal_opportunity_difference", "equalized_odds_difference")
RESAMPLES = 200  # of the test images, for the intervals of what is measured between groups


def scores(
    *,
    labels: np.ndarray,
    probabilities: np.ndarray,
    attributes: np.ndarray,
    class_names: Sequence[str],
    attribute_names: Sequence[str],
    class_counts: np.ndarray,
    train_group_counts: np.ndarray,
    seed: int = 0,
) -> dict[str, Any]:
    """Return accuracies and gaps as fractions, NaN where undefined, and 95 % bootstrap intervals.

    Args:
        labels: true classes, shape ``(N,)``.
        probabilities: of each class, shape ``(N, C)``.
        attributes: shape ``(N,)``, -1 where unknown; those rows count for no group.
        class_names: one a class.
        attribute_names: one an attribute value; none where no attribute is known.
        class_counts: real training images a class, shape ``(C,)``.
        train_group_counts: real training images a group, shape ``(C, A)``.
        seed: of the intervals.

    Returns:
        ``accuracy``, ``mean_recall``, ``many``, ``medium``, ``few``, ``worst_class``, ``per_class``,
        ``calibration_error``, ``intervals`` and, where test images have two attribute values, the entries of
        ``group_scores`` with their intervals, and ``per_group``.
    """
    predictions = probabilities.argmax(1)
    report = longtail_report(
        labels=labels, predictions=predictions, num_classes=len(class_names), class_counts=class_counts
    )
    recalls = recall_intervals(labels=labels, predictions=predictions, num_classes=len(class_names), seed=seed)
    found: dict[str, Any] = {
        "accuracy": report.accuracy,
        "mean_recall": report.mean_recall,
        "many": report.many,
        "medium": report.medium,
        "few": report.few,
        "worst_class": report.worst_class,
        "calibration_error": expected_calibration_error(labels=labels, probabilities=probabilities),
        "per_class": dict(zip(class_names, report.per_class, strict=True)),
        "intervals": {"per_class": dict(zip(class_names, map(astuple, recalls), strict=True))},
    }
    known = np.flatnonzero(attributes >= 0)
    if len(np.unique(attributes[known])) < 2:
        return found

    def between_groups(rows: np.ndarray) -> dict[str, float]:
        return group_scores(
            labels=labels[rows],
            predictions=predictions[rows],
            attributes=attributes[rows],
            num_classes=len(class_names),
            num_attributes=len(attribute_names),
            train_group_counts=train_group_counts,
        )

    found |= between_groups(known)
    per_group, ends = _by_group(
        labels[known], predictions[known], attributes[known], class_names, attribute_names, seed=seed
    )
    strata = labels[known] * len(attribute_names) + attributes[known]
    drawn = [between_groups(known[rows]) for rows in resamples(strata, RESAMPLES, seed=seed)]
    found["per_group"] = per_group
    found["intervals"] |= {"per_group": ends} | intervals_of(drawn)
    return found


def _by_group(
    labels: np.ndarray,
    predictions: np.ndarray,
    attributes: np.ndarray,
    class_names: Sequence[str],
    attribute_names: Sequence[str],
    *,
    seed: int,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return the accuracy of each class with each attribute value, and the ends of its interval, by name."""
    rates = accuracy_by_group(
        labels=labels,
        predictions=predictions,
        attributes=attributes,
        num_classes=len(class_names),
        num_attributes=len(attribute_names),
    )
    names = [f"{name} x {attribute}" for name in class_names for attribute in attribute_names]
    strata = labels * len(attribute_names) + attributes
    right = labels == predictions
    ends = recall_intervals(
        labels=strata, predictions=np.where(right, strata, (strata + 1) % len(names)), num_classes=len(names), seed=seed
    )
    return dict(zip(names, rates.ravel().tolist(), strict=True)), dict(zip(names, map(astuple, ends), strict=True))


def group_scores(
    *,
    labels: np.ndarray,
    predictions: np.ndarray,
    attributes: np.ndarray,
    num_classes: int,
    num_attributes: int,
    train_group_counts: np.ndarray,
) -> dict[str, float]:
    """Return what is measured between groups, by the names of ``FairnessReport``.

    Gaps are those of class 1 where there are two classes, as in fairlearn; with more, each class in turn is the
    positive one, and ``_worst`` and ``_mean`` over the classes are given.
    """
    report = fairness_report(
        labels=labels,
        predictions=predictions,
        attributes=attributes,
        num_classes=num_classes,
        num_attributes=num_attributes,
    )
    by_group = np.array(report.accuracy_by_group)
    found = {
        "worst_group_accuracy": report.worst_group_accuracy,
        "mean_group_accuracy": report.mean_group_accuracy,
        "train_weighted_accuracy": train_weighted_accuracy(by_group, train_group_counts=train_group_counts),
    }
    gaps = report.disparities(num_classes=num_classes)
    return found | {name: gap for name, gap in gaps.items() if name.startswith(DISPARITIES)}
