"""Compare two classifiers on the same test images, or two methods over the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synaug.errors import DataError


@dataclass(frozen=True)
class PairedDifference:
    """The mean of second minus first over ``num_pairs`` pairs, with the ends of its interval; NaN if undefined."""

    mean: float
    low: float
    high: float
    num_pairs: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def paired_difference(first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95) -> PairedDifference:
    """Return by how much the second exceeds the first, paired by seed, with Student's interval.

    Two methods with the same seeds share images, order and initial weights, so their difference varies less than each
    of them; a single pair has no interval.

    Args:
        first: one value per seed.
        second: one value per seed, in the same order.
        confidence: confidence of the interval, 0 to 1.

    Raises:
        DataError: the numbers of values differ.

    >>> difference = paired_difference([0.80, 0.82, 0.81], [0.81, 0.84, 0.84])
    >>> round(difference.mean, 3), round(difference.low, 3), round(difference.high, 3)
    (0.02, -0.005, 0.045)
    """
    if len(first) != len(second):
        raise DataError(f"Pairs need as many first as second values, but got {len(first)} and {len(second)}.")
    differences = np.asarray(second, float) - np.asarray(first, float)
    num = len(differences)
    mean = float(differences.mean()) if num else math.nan
    if num < 2:
        return PairedDifference(mean, math.nan, math.nan, num)
    from scipy.stats import t

    half = float(t.ppf((1 + confidence) / 2, num - 1) * differences.std(ddof=1) / math.sqrt(num))
    return PairedDifference(mean, mean - half, mean + half, num)


def mcnemar(*, labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Return the exact two-sided p-value of McNemar's test that two classifiers err equally often.

    Only images that exactly one of them classifies correctly count; without any, the value is 1.

    Args:
        labels: true classes, shape ``(N,)``.
        first: predictions of the first classifier, shape ``(N,)``.
        second: predictions of the second.

    Raises:
        DataError: shapes differ.

    >>> labels = np.zeros(12, int)
    >>> round(mcnemar(labels=labels, first=[1] * 9 + [0] * 3, second=[0] * 9 + [1] + [0] * 2), 4)
    0.0215
    """
    labels, first, second = (np.asarray(each) for each in (labels, first, second))
    if not labels.shape == first.shape == second.shape:
        raise DataError(f"Labels and predictions differ in shape: {labels.shape}, {first.shape} and {second.shape}.")
    better = int(((first != labels) & (second == labels)).sum())
    worse = int(((first == labels) & (second != labels)).sum())
    if better + worse == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue)
