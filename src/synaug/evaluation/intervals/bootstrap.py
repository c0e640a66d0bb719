"""Compute bootstrap intervals of numbers other than shares, such as gaps; for shares see ``proportions``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from synaug.evaluation.intervals.proportions import Interval


def resamples(strata: np.ndarray, num_resamples: int, *, seed: int) -> Iterator[np.ndarray]:
    """Yield positions of test images drawn with replacement within each stratum, shape ``(N,)``."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for _ in range(num_resamples):
        yield np.concatenate([part[rng.integers(0, len(part), len(part))] for part in rows])


def percentiles(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Return the ends of the central interval that contains the share ``confidence`` of the values."""
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
