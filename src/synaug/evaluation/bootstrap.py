"""Bootstrap intervals of numbers that are no shares, such as a gap between groups; for shares see ``proportions``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from synaug.errors import DataError, OptionError
from synaug.evaluation.proportions import Interval, check_confidence


def bootstrap_interval(
    metric: Callable[[np.ndarray], float],
    *,
    strata: np.ndarray,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of a metric over resampled test images.

    Images are drawn with replacement within each stratum, so every class keeps its number of images.

    Args:
        metric: called with positions of test images, shape ``(N,)``; returns the number of interest.
        strata: whole numbers of shape ``(N,)``: the class, or the group, of each test image.
        num_resamples: how often images are drawn from the start.
        confidence: share of the resamples between the ends.
        seed: decides what is drawn.

    Raises:
        OptionError: ``num_resamples`` or ``confidence`` is not allowed.
        DataError: there are no images.

    >>> right = np.array([1.0] * 80 + [0.0] * 20)
    >>> bootstrap_interval(lambda chosen: right[chosen].mean(), strata=np.zeros(100, int))
    Interval(low=0.72, high=0.88)
    """
    _check(num_resamples, confidence)
    if not len(strata):
        raise DataError("There are no test images, so no interval is defined.")
    values = [metric(rows) for rows in resamples(strata, num_resamples, seed=seed)]
    return percentiles(np.array(values), confidence)


def resamples(strata: np.ndarray, num_resamples: int, *, seed: int) -> Iterator[np.ndarray]:
    """Yield positions of test images drawn with replacement within each stratum, shape ``(N,)``."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for _ in range(num_resamples):
        yield np.concatenate([part[rng.integers(0, len(part), len(part))] for part in rows])


def _check(num_resamples: int, confidence: float) -> None:
    if num_resamples < 1:
        raise OptionError(f"num_resamples must be at least 1, got {num_resamples}.")
    check_confidence(confidence)


def percentiles(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Return the ends between which the middle share ``confidence`` of the values lies."""
    outside = (1 - confidence) / 2
    low, high = np.quantile(values, [outside, 1 - outside])
    return Interval(float(low), float(high))


def intervals_of(drawn: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the ends of each number's interval over resamples; a dict of numbers becomes a dict of ends.

    >>> intervals_of([{"rate": 0.25, "by_class": {"cat": 0.5}}] * 2)
    {'rate': (0.25, 0.25), 'by_class': {'cat': (0.5, 0.5)}}
    """
    found: dict[str, Any] = {}
    for name, value in drawn[0].items():
        values = [each[name] for each in drawn]
        found[name] = intervals_of(values) if isinstance(value, Mapping) else astuple(percentiles(np.array(values)))
    return found
