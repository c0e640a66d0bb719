"""Compute the paired difference on the test images between a run's classifier and its best rival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from synaug.data import Manifest
from synaug.evaluation import Metric, usual_metric
from synaug.evaluation.intervals import Interval, paired_interval, paired_mean_interval, worst_difference_interval
from synaug.pipeline.choosing.choose import known_groups
from synaug.run_directory import RunPaths, read_table
from synaug.schemas import Comparison, Difference, Result

Column = Literal["accuracy", "worst_group_accuracy"]


def compared(run: RunPaths, results: Sequence[Result], chosen: str, column: Column = "accuracy") -> Comparison:
    """Return the difference between the chosen method and the best one of the other kind, real-only or synthetic.

    Args:
        run: run directory with the predictions.
        results: results of all methods and seeds, each with ``uses_synthetic`` and ``is_bound``; bounds are left out.
        chosen: the method of the run's final classifier.
        column: the leading one, by which the rival is chosen; see ``leading_column``.

    Returns:
        ``method``, ``other``, ``other_uses_synthetic``, ``num_images``, ``num_seeds``, and for ``accuracy``,
        ``mean_recall`` and, if it leads, ``worst_group_accuracy`` the ``difference`` (chosen - other, mean over the
        seeds that both have) and its 95 % ``interval``, whose ends are means over the seeds. Empty if there is no
        method of the other kind.
    """
    other = best_rival(results, chosen, column)
    if other is None:
        return {}
    kind = next(bool(each["uses_synthetic"]) for each in results if each["method"] == chosen)
    seeds = {name: {each["seed"] for each in results if each["method"] == name} for name in (chosen, other)}
    with_groups = column == "worst_group_accuracy"
    pairs = [
        _paired(run, chosen, other, seed, with_groups=with_groups) for seed in sorted(seeds[chosen] & seeds[other])
    ]
    if not pairs:
        return {}
    in_groups: Comparison = {}
    if with_groups:
        in_groups = {"worst_group_accuracy": _mean([_worst_group(each) for each in pairs])}
    return {
        "method": chosen,
        "other": other,
        "other_uses_synthetic": not kind,
        "num_images": len(pairs[0].labels),
        "num_seeds": len(pairs),
        "accuracy": _mean([_accuracy(each) for each in pairs]),
        "mean_recall": _mean([_mean_recall(each) for each in pairs]),
        **in_groups,
    }


def leading_column(metric: Metric, images: Manifest) -> Column:
    """Return the score that the first sentence of a report is about.

    It is the accuracy of the worst group if the classifier was chosen by it and each group has enough images.

    Args:
        metric: what the classifier was chosen by.
        images: those that methods are compared on, of which those of unknown attribute are left out.
    """
    groups = known_groups(images)
    is_judged = len(np.unique(groups)) > 1 and usual_metric(groups) == "worst_group_accuracy"
    return "worst_group_accuracy" if metric == "worst_group_accuracy" and is_judged else "accuracy"


def best_rival(results: Sequence[Result], chosen: str, column: Column = "accuracy") -> str | None:
    """Return the method of the other kind, with or without synthetic images, that is best in a column; None: none.

    If a method lacks the column, since the attribute of the test images is unknown, accuracy decides.
    """
    kinds = {each["method"]: bool(each["uses_synthetic"]) for each in results if not each["is_bound"]}
    if chosen not in kinds:
        return None
    others = [each for each in results if kinds.get(each["method"], kinds[chosen]) != kinds[chosen]]
    used: Column = column if all(each.get(column) is not None for each in others) else "accuracy"
    scores: dict[str, list[float]] = {}
    for result in others:
        scores.setdefault(result["method"], []).append(result.get(used) or 0.0)
    return max(scores, key=lambda name: float(np.mean(scores[name])), default=None)


@dataclass(frozen=True, eq=False)
class _Paired:
    """Whether each of two methods is right on each image, and the image's class and group (-1: none), all ``(N,)``."""

    first: np.ndarray
    second: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


def _paired(run: RunPaths, chosen: str, other: str, seed: int, *, with_groups: bool) -> _Paired:
    first, second = (_predictions(run, name, seed, with_groups=with_groups) for name in (chosen, other))
    names = first["label"].to_numpy(str)
    labels = np.unique(names, return_inverse=True)[1]
    attributes = first["attribute"].to_numpy(str) if with_groups else np.full(len(first), "")
    values, places = np.unique(attributes, return_inverse=True)
    return _Paired(
        first=first["prediction"].to_numpy(str) == names,
        second=second["prediction"].reindex(first.index).to_numpy(str) == names,
        labels=labels,
        groups=np.where(attributes == "", -1, labels * len(values) + places),
    )


def _predictions(run: RunPaths, method: str, seed: int, *, with_groups: bool) -> pd.DataFrame:
    columns = {"id": str, "label": str, "prediction": str} | ({"attribute": str} if with_groups else {})
    return read_table(run.method_predictions(method, seed), columns, run).set_index("id")


def _accuracy(pair: _Paired) -> tuple[float, Interval]:
    return float(pair.first.mean() - pair.second.mean()), paired_interval(pair.first, pair.second)


def _mean_recall(pair: _Paired) -> tuple[float, Interval]:
    rows = [pair.labels == label for label in np.unique(pair.labels)]
    changes = [pair.first[part].mean() - pair.second[part].mean() for part in rows]
    return float(np.mean(changes)), paired_mean_interval(pair.first, pair.second, strata=pair.labels)


def _worst_group(pair: _Paired) -> tuple[float, Interval]:
    known = pair.groups >= 0
    groups, right = pair.groups[known], (pair.first[known], pair.second[known])
    worst = [min(each[groups == group].mean() for group in np.unique(groups)) for each in right]
    return float(worst[0] - worst[1]), worst_difference_interval(*right, strata=groups)


def _mean(found: Sequence[tuple[float, Interval]]) -> Difference:
    ends = np.mean([astuple(interval) for _, interval in found], axis=0)
    return {"difference": float(np.mean([value for value, _ in found])), "interval": ends.tolist()}
