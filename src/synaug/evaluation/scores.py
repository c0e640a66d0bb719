"""Compute all scores of one classifier on the test images, as the entries of a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from typing import cast

import numpy as np

from synaug.data import ShotBins, shot_bins
from synaug.evaluation.calibration import expected_calibration_error
from synaug.evaluation.fairness import accuracy_by_group, fairness_report
from synaug.evaluation.intervals import (
    Share,
    intervals_of,
    mean_interval,
    named_intervals,
    resamples,
    shares_of,
    wilson_interval,
    worst_interval,
)
from synaug.evaluation.longtail import longtail_report
from synaug.evaluation.spurious import train_weighted_accuracy
from synaug.schemas import GroupScores, Intervals, Scores

DISPARITIES = ("demographic_parity_difference", "equal_opportunity_difference", "equalized_odds_difference")
MIN_CELL = 10  # images below which a rate does not drive a difference
RESAMPLES = 200  # of the test images, for the intervals of differences between groups


def scores(
    *,
    labels: np.ndarray,
    probabilities: np.ndarray,
    attributes: np.ndarray,
    class_names: Sequence[str],
    attribute_names: Sequence[str],
    class_counts: np.ndarray,
    train_group_counts: np.ndarray,
    min_cell: int = MIN_CELL,
    seed: int = 0,
) -> Scores:
    """Return accuracies and gaps as fractions, NaN if undefined, and 95 % intervals.

    Intervals of shares and of their means are Wilson's (see ``proportions``), those of gaps between groups are
    bootstrapped.

    Args:
        labels: true classes, shape ``(N,)``.
        probabilities: probability of each class, shape ``(N, C)``.
        attributes: shape ``(N,)``, -1: unknown; those rows belong to no group.
        class_names: one per class.
        attribute_names: one per attribute value; empty if no attribute is known.
        class_counts: real training images per class, shape ``(C,)``.
        train_group_counts: real training images per group, shape ``(C, A)``.
        min_cell: images that a group needs to count in the gaps; see ``between_groups``.
        seed: random seed of the bootstrap.

    Returns:
        ``accuracy``, ``mean_recall``, ``many``, ``medium``, ``few``, ``worst_class``, ``per_class``,
        ``calibration_error``, ``intervals`` and, if test images have two attribute values, the entries of
        ``between_groups``.
    """
    predictions = probabilities.argmax(1)
    report = longtail_report(
        labels=labels, predictions=predictions, num_classes=len(class_names), class_counts=class_counts
    )
    shares = shares_of(labels, labels == predictions, len(class_names))
    found: Scores = {
        "accuracy": report.accuracy,
        "mean_recall": report.mean_recall,
        "many": report.many,
        "medium": report.medium,
        "few": report.few,
        "worst_class": report.worst_class,
        "calibration_error": expected_calibration_error(labels=labels, probabilities=probabilities),
        "per_class": dict(zip(class_names, report.per_class, strict=True)),
    }
    groups = between_groups(
        labels=labels,
        predictions=predictions,
        attributes=attributes,
        class_names=class_names,
        attribute_names=attribute_names,
        train_group_counts=train_group_counts,
        min_cell=min_cell,
        seed=seed,
    )
    of_classes = class_intervals(shares, shot_bins(class_counts)) | {"per_class": named_intervals(shares, class_names)}
    return cast("Scores", found | groups | {"intervals": of_classes | groups.get("intervals", {})})


def between_groups(
    *,
    labels: np.ndarray,
    predictions: np.ndarray,
    attributes: np.ndarray,
    class_names: Sequence[str],
    attribute_names: Sequence[str],
    train_group_counts: np.ndarray,
    min_cell: int = MIN_CELL,
    seed: int = 0,
) -> GroupScores:
    """Return the scores between the groups of class and attribute; none if the images have only one value.

    The worst and the mean are those of the groups with images. Gaps are between groups of at least ``min_cell`` images
    or, if no group has that many, between all.

    Returns:
        The entries of ``group_scores``, ``per_group``, ``intervals``, ``min_cell``, and ``num_unmeasured_groups`` and
        ``num_small_groups`` of ``FairnessReport``.
    """
    known = np.flatnonzero(attributes >= 0)
    if len(np.unique(attributes[known])) < 2:
        return {}
    strata = labels[known] * len(attribute_names) + attributes[known]
    groups = [f"{name} x {attribute}" for name in class_names for attribute in attribute_names]
    sizes = np.bincount(strata, minlength=len(groups))
    least = min_cell if sizes.max() >= min_cell else 1

    def measured(rows: np.ndarray) -> dict[str, float]:
        return group_scores(
            labels=labels[rows],
            predictions=predictions[rows],
            attributes=attributes[rows],
            num_classes=len(class_names),
            num_attributes=len(attribute_names),
            train_group_counts=train_group_counts,
            min_cell=least,
        )

    found = measured(known)
    rates = accuracy_by_group(
        labels=labels[known],
        predictions=predictions[known],
        attributes=attributes[known],
        num_classes=len(class_names),
        num_attributes=len(attribute_names),
    )
    cells = shares_of(strata, (labels == predictions)[known], len(groups))
    drawn = [measured(known[rows]) for rows in resamples(strata, RESAMPLES, seed=seed)]
    averages = group_intervals(cells, weights=train_group_counts.ravel().tolist())
    ends = (
        intervals_of(drawn)
        | {"per_group": named_intervals(cells, groups)}
        | {name: ends for name, ends in averages.items() if not math.isnan(found[name])}
    )
    more: GroupScores = {
        "per_group": dict(zip(groups, rates.ravel().tolist(), strict=True)),
        "intervals": cast("Intervals", ends),
        "min_cell": least,
        "num_unmeasured_groups": int((sizes == 0).sum()),
        "num_small_groups": int(((sizes > 0) & (sizes < least)).sum()),
    }
    return cast("GroupScores", found | more)


def class_intervals(shares: Sequence[Share], bins: ShotBins) -> dict[str, tuple[float, float]]:
    """Return the ends of the intervals of the averages over classes, by their names in ``LongtailReport``."""
    whole = Share(sum(share.right for share in shares), sum(share.total for share in shares))
    averaged = {"mean_recall": np.ones(len(shares), bool), "many": bins.many, "medium": bins.medium, "few": bins.few}
    ends = {name: mean_interval(shares, chosen.astype(float).tolist()) for name, chosen in averaged.items()}
    every = shares if all(share.total for share in shares) else []  # else the worst class is unknown
    found = {"accuracy": wilson_interval(whole)} | ends | {"worst_class": worst_interval(every)}
    return {name: astuple(interval) for name, interval in found.items()}


def group_intervals(shares: Sequence[Share], *, weights: Sequence[float]) -> dict[str, tuple[float, float]]:
    """Return the ends of the intervals of the averages over groups, by their names in ``group_scores``."""
    found = {
        "worst_group_accuracy": worst_interval(shares),
        "mean_group_accuracy": mean_interval(shares),
        "train_weighted_accuracy": mean_interval(shares, weights),
    }
    return {name: astuple(interval) for name, interval in found.items()}


def group_scores(
    *,
    labels: np.ndarray,
    predictions: np.ndarray,
    attributes: np.ndarray,
    num_classes: int,
    num_attributes: int,
    train_group_counts: np.ndarray,
    min_cell: int = 0,
) -> dict[str, float]:
    """Return the scores between groups, by their names in ``FairnessReport``; see there for ``min_cell``.

    Gaps are those of class 1 if there are two classes, as in fairlearn; with more, each class in turn is the positive
    one, and ``_worst`` and ``_mean`` over the classes are returned.
    """
    report = fairness_report(
        labels=labels,
        predictions=predictions,
        attributes=attributes,
        num_classes=num_classes,
        num_attributes=num_attributes,
        min_cell=min_cell,
    )
    by_group = np.array(report.accuracy_by_group)
    found = {
        "worst_group_accuracy": report.worst_group_accuracy,
        "mean_group_accuracy": report.mean_group_accuracy,
        "train_weighted_accuracy": train_weighted_accuracy(by_group, train_group_counts=train_group_counts),
    }
    gaps = report.disparities(num_classes=num_classes)
    return found | {name: gap for name, gap in gaps.items() if name.startswith(DISPARITIES)}
