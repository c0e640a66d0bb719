"""Choose between classifiers by their predictions on real images that none of them was trained on.

The metric is mean recall or, if groups are known, the accuracy of the worst group, or the mean over the groups if one
of them is too small to judge. The best candidate wins, unless a simple one, trained on real images alone, is within one
standard error of it: with few images, the best of many is usually best by luck (Breiman et al. 1984, "Classification
and Regression Trees", section 3.4.3).
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synaug.data import group_mean, group_mean_error
from synaug.errors import DataError

Metric = Literal["mean_recall", "mean_group_accuracy", "worst_group_accuracy"]
FEWEST_IN_GROUP = 10  # judged images of the smallest group; with fewer, chance decides which group is worst


@dataclass(frozen=True)
class Standing:
    """The score of a candidate with its standard error, and its distance to the best one.

    Fractions; ``behind`` is at least 0, and ``behind_error`` is the standard error of this paired difference.
    """

    name: str
    score: float
    error: float
    behind: float
    behind_error: float


@dataclass(frozen=True)
class Lead:
    """A paired difference of two candidates with its standard error; positive if the first is better.

    ``certainty`` is the probability that the first is better at all, by the normal approximation, 0 to 1.
    """

    difference: float
    error: float

    @property
    def certainty(self) -> float:
        if not self.error > 0:
            return float("nan") if self.difference == 0 or math.isnan(self.error) else float(self.difference > 0)
        return 0.5 * (1 + math.erf(self.difference / self.error / math.sqrt(2)))


def usual_metric(groups: np.ndarray | None) -> Metric:
    """Return the metric that fits the problem.

    Args:
        groups: the group of each image that candidates are judged on, shape ``(N,)``; None: no attribute is known.

    >>> usual_metric(None), usual_metric(np.repeat([0, 1], [90, 10])), usual_metric(np.repeat([0, 1], [90, 9]))
    ('mean_recall', 'worst_group_accuracy', 'mean_group_accuracy')
    """
    if groups is None:
        return "mean_recall"
    smallest = np.unique(groups, return_counts=True)[1].min(initial=len(groups))
    return "worst_group_accuracy" if smallest >= FEWEST_IN_GROUP else "mean_group_accuracy"


def standings(names: list[str], right: np.ndarray, groups: np.ndarray, metric: Metric) -> list[Standing]:
    """Return the standing of each candidate, in the order of ``names``.

    Args:
        names: simplest first.
        right: whether each candidate recognized each image, bool of shape ``(N, K)``.
        groups: class of each image, or class x attribute group for a metric of groups, shape ``(N,)``.
        metric: name of the score.

    Raises:
        DataError: there are no images, or the shapes differ.
    """
    if not len(right) or right.shape != (len(groups), len(names)):
        raise DataError(f"Expected predictions of {len(names)} candidates on images, but got shape {right.shape}.")
    columns = [right[:, position].astype(float) for position in range(len(names))]
    scores = [_score(column, groups, metric) for column in columns]
    best = int(np.argmax(scores))
    found = []
    for name, column, score in zip(names, columns, scores, strict=True):
        ahead = lead(columns[best], column, groups, metric)
        found.append(Standing(name, score, _error(column, groups, metric), ahead.difference, ahead.error))
    return found


def chosen_name(found: list[Standing], *, simple: Container[str] = ()) -> str:
    """Return the best candidate, or the best ``simple`` one if it is at most one standard error behind.

    Of equal candidates the first is taken.
    """
    best = min(found, key=lambda each: each.behind)
    plain = min((each for each in found if each.name in simple), key=lambda each: each.behind, default=best)
    return best.name if plain.behind > plain.behind_error else plain.name


def lead(first: np.ndarray, second: np.ndarray, groups: np.ndarray, metric: Metric) -> Lead:
    """Return how much better one candidate is than another on the same images; both 0 or 1, shape ``(N,)``.

    For worst groups, the error is the larger one of the paired difference within the worst group of either candidate.
    """
    difference = _score(first, groups, metric) - _score(second, groups, metric)
    if metric != "worst_group_accuracy":
        return Lead(difference, group_mean_error(first - second, groups))
    errors = [_group_error((first - second)[groups == _worst(each, groups)]) for each in (first, second)]
    return Lead(difference, max(errors))


def _score(right: np.ndarray, groups: np.ndarray, metric: Metric) -> float:
    if metric != "worst_group_accuracy":
        return group_mean(right, groups)
    return float(right[groups == _worst(right, groups)].mean())


def _error(right: np.ndarray, groups: np.ndarray, metric: Metric) -> float:
    if metric != "worst_group_accuracy":
        return group_mean_error(right, groups)
    return _group_error(right[groups == _worst(right, groups)])


def _worst(right: np.ndarray, groups: np.ndarray) -> int:
    values = np.unique(groups)
    return int(values[np.argmin([right[groups == value].mean() for value in values])])


def _group_error(values: np.ndarray) -> float:
    """Return the standard error of a group's mean, with one added image that is half off, so that it is never 0."""
    spread = float(((values - values.mean()) ** 2).sum()) + 0.25
    return math.sqrt(spread / max(len(values) - 1, 1) / len(values))
