"""Compute the paired difference on the test images between a run's classifier and its best rival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pandas as pd

from synaug.evaluation.intervals import Interval, paired_interval, paired_mean_interval
from synaug.run_directory import RunPaths, read_table
from synaug.schemas import Comparison, Difference, Result


def compared(run: RunPaths, results: Sequence[Result], chosen: str) -> Comparison:
    """Return the difference between the chosen method and the best one of the other kind, real-only or synthetic.

    Args:
        run: run directory with the predictions.
        results: results of all methods and seeds, each with ``uses_synthetic`` and ``is_bound``; bounds are left out.
        chosen: the method of the run's final classifier.

    Returns:
        ``method``, ``other``, ``other_uses_synthetic``, ``num_images``, ``num_seeds``, and for ``accuracy`` and
        ``mean_recall`` the ``difference`` (chosen - other, mean over the seeds that both have) and its 95 %
        ``interval``, whose ends are means over the seeds. Empty if there is no method of the other kind.
    """
    other = best_rival(results, chosen)
    if other is None:
        return {}
    kind = next(bool(each["uses_synthetic"]) for each in results if each["method"] == chosen)
    seeds = {name: {each["seed"] for each in results if each["method"] == name} for name in (chosen, other)}
    pairs = [_paired(run, chosen, other, seed) for seed in sorted(seeds[chosen] & seeds[other])]
    if not pairs:
        return {}
    return {
        "method": chosen,
        "other": other,
        "other_uses_synthetic": not kind,
        "num_images": len(pairs[0][2]),
        "num_seeds": len(pairs),
        "accuracy": _mean([_accuracy(first, second) for first, second, _ in pairs]),
        "mean_recall": _mean([_mean_recall(first, second, labels) for first, second, labels in pairs]),
    }


def best_rival(results: Sequence[Result], chosen: str) -> str | None:
    """Return the most accurate method of the other kind, with or without synthetic images; None if there is none."""
    kinds = {each["method"]: bool(each["uses_synthetic"]) for each in results if not each["is_bound"]}
    kind = kinds.get(chosen)
    accuracies: dict[str, list[float]] = {}
    for result in results:
        if kind is not None and kinds.get(result["method"], kind) != kind:
            accuracies.setdefault(result["method"], []).append(result["accuracy"] or 0.0)
    return max(accuracies, key=lambda name: float(np.mean(accuracies[name])), default=None)


def _paired(run: RunPaths, chosen: str, other: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return whether each method is right on each image, and the labels, for the same images in the same order."""
    first, second = (_predictions(run, name, seed) for name in (chosen, other))
    labels = first["label"].to_numpy(str)
    right = first["prediction"].to_numpy(str) == labels
    other_right = second["prediction"].reindex(first.index).to_numpy(str) == labels
    return right, other_right, np.unique(labels, return_inverse=True)[1]


def _predictions(run: RunPaths, method: str, seed: int) -> pd.DataFrame:
    columns = {"id": str, "label": str, "prediction": str}
    return read_table(run.method_predictions(method, seed), columns, run).set_index("id")


def _accuracy(first: np.ndarray, second: np.ndarray) -> tuple[float, Interval]:
    return float(first.mean() - second.mean()), paired_interval(first, second)


def _mean_recall(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> tuple[float, Interval]:
    changes = [first[labels == label].mean() - second[labels == label].mean() for label in np.unique(labels)]
    return float(np.mean(changes)), paired_mean_interval(first, second, strata=labels)


def _mean(found: Sequence[tuple[float, Interval]]) -> Difference:
    ends = np.mean([astuple(interval) for _, interval in found], axis=0)
    return {"difference": float(np.mean([value for value, _ in found])), "interval": ends.tolist()}
