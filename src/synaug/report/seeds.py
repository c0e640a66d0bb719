"""Combine the results of several seeds: the mean and the standard deviation of every number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import cast

import numpy as np

from synaug.schemas import Result, Scores, SeedScores

_NOT_MEASURED = ("method", "seed", "synthetic", "options", "uses_synthetic", "is_bound", "problem", "validation")


def by_method(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return the results by method, one per seed, in their original order."""
    methods: dict[str, list[Result]] = {}
    for result in results:
        methods.setdefault(str(result["method"]), []).append(result)
    return methods


def over_seeds(results: Sequence[Result]) -> dict[str, SeedScores]:
    """Return the ``seeds`` part of a report: ``num_seeds``, ``mean`` and ``deviation`` of each method.

    ``mean`` and ``deviation`` use the names of a result; empty if no method has two seeds.
    """
    methods = by_method(results)
    if all(len(runs) < 2 for runs in methods.values()):
        return {}
    return {
        name: {
            "num_seeds": len(runs),
            "mean": cast("Scores", _without(mean_result(runs), "intervals")),
            "deviation": deviations(runs),
        }
        for name, runs in methods.items()
    }


def mean_result(runs: Sequence[Result]) -> Scores:
    """Return the mean of each number of one method's results; for an interval, the means of its ends.

    >>> mean_result([{"accuracy": 0.5, "intervals": {"accuracy": [0.25, 0.5]}},
    ...              {"accuracy": 1.0, "intervals": {"accuracy": [0.75, 1.0]}}])
    {'accuracy': 0.75, 'intervals': {'accuracy': [0.5, 0.75]}}
    """
    return cast("Scores", _merged([_without(run, *_NOT_MEASURED) for run in runs], mean))


def deviations(runs: Sequence[Result]) -> Scores:
    """Return the standard deviation (n - 1) of each number of one method's results; NaN for a single result.

    >>> deviations([{"accuracy": 0.5}, {"accuracy": 0.75}, {"accuracy": 1.0}]), deviations([{"accuracy": 0.5}])
    ({'accuracy': 0.25}, {'accuracy': nan})
    """
    return cast("Scores", _merged([_without(run, *_NOT_MEASURED, "intervals") for run in runs], deviation))


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN if empty or if any value is NaN."""
    return float(np.mean(values)) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation (n - 1); NaN for a single number, or if any is NaN."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _without(run: Mapping[str, object], *names: str) -> dict[str, object]:
    return {key: value for key, value in run.items() if key not in names}


def _merged(values: Sequence[object], combine: Callable[[Sequence[float]], float]) -> object:
    """Return nested dicts and lists of the same structure as one, with their numbers combined; None counts as NaN."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, Mapping):
        parts = [value if isinstance(value, Mapping) else {} for value in values]
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: _merged([part.get(name) for part in parts], combine) for name in names}
    if isinstance(first, list | tuple):
        ends = [value if isinstance(value, list | tuple) else [None] * len(first) for value in values]
        return [_merged(each, combine) for each in zip(*ends, strict=True)]
    return combine([float(value) if isinstance(value, Real) else math.nan for value in values])
