"""Scores from cross-validation: every image judged once per repeat, by a model that did not learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from synaug.evaluation.intervals import (
    Interval,
    mean_interval,
    paired_interval,
    paired_mean_interval,
    shares_of,
    wilson_interval,
    worst_difference_interval,
    worst_interval,
)
from synaug.schemas import Behind, Difference, MethodScores, Score


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """One repeat: the fold of each image ``(N,)``, -1 if never held out, and predictions of K methods ``(N, K)``."""

    folds: np.ndarray
    predictions: np.ndarray


def cross_validated(
    repeats: Sequence[FoldPredictions],
    labels: np.ndarray,
    *,
    names: Sequence[str],
    class_names: Sequence[str],
    groups: np.ndarray | None = None,
) -> dict[str, MethodScores]:
    """Return the scores of each method by its name, as fractions.

    Means are over the repeats, in each of which all images count once. ``spread`` is the standard deviation over the
    folds of all repeats. Intervals hold for the images, as for a single test set of that size, and their ends are
    means over the repeats: repeating the folds adds no images. They ignore that the models of different folds differ,
    so they are slightly too narrow.

    Args:
        repeats: at least one.
        labels: true classes, shape ``(N,)``.
        names: names of the K methods; the first is compared with each of the others.
        class_names: one per class.
        groups: the group of each image, shape ``(N,)``, if the worst group counts; all known.

    Returns:
        By method: ``accuracy``, ``mean_recall`` and, with groups, ``worst_group_accuracy`` (``mean``, ``spread``,
        ``interval``), ``per_class`` (``recall``, ``interval``, ``images`` by class) and, but for the first, ``behind``:
        how much higher the same scores of the first are (``difference``, ``interval``).
    """
    held = [repeat.folds >= 0 for repeat in repeats]
    strata = [groups[rows] for rows in held] if groups is not None else []
    found: dict[str, MethodScores] = {}
    for column, name in enumerate(names):
        right = [(each.predictions[:, column] == labels)[rows] for each, rows in zip(repeats, held, strict=True)]
        truth = [labels[rows] for rows in held]
        folds = [each.folds[rows] for each, rows in zip(repeats, held, strict=True)]
        shares = [shares_of(t, r, len(class_names)) for t, r in zip(truth, right, strict=True)]
        parts = [(r[f == k], t[f == k]) for r, t, f in zip(right, truth, folds, strict=True) for k in np.unique(f)]
        accuracies = [wilson_interval(shares_of(np.zeros(len(r), int), r, 1)[0]) for r in right]
        found[name] = {
            "accuracy": _score([float(r.mean()) for r in right], [float(r.mean()) for r, _ in parts], accuracies),
            "mean_recall": _score(
                [_mean_recall(r, t) for r, t in zip(right, truth, strict=True)],
                [_mean_recall(r, t) for r, t in parts],
                [mean_interval(each) for each in shares],
            ),
            "per_class": {
                class_name: {
                    "recall": float(np.mean([each[label].value for each in shares])),
                    "interval": _ends([wilson_interval(each[label]) for each in shares]),
                    "images": shares[0][label].total,
                }
                for label, class_name in enumerate(class_names)
            },
        }
        if strata:
            inside = zip(right, strata, folds, strict=True)
            found[name]["worst_group_accuracy"] = _score(
                [_worst(r, s) for r, s in zip(right, strata, strict=True)],
                [_worst(r[f == k], s[f == k]) for r, s, f in inside for k in np.unique(f)],
                [_worst_interval(r, s) for r, s in zip(right, strata, strict=True)],
            )
        if column:
            first = [(each.predictions[:, 0] == labels)[rows] for each, rows in zip(repeats, held, strict=True)]
            found[name]["behind"] = _behind(first, right, truth)
            if strata:
                found[name]["behind"]["worst_group_accuracy"] = _worst_behind(first, right, strata)
    return found


def _score(means: Sequence[float], of_folds: Sequence[float], intervals: Sequence[Interval]) -> Score:
    spread = float(np.std(of_folds, ddof=1)) if len(of_folds) > 1 else float("nan")
    return {"mean": float(np.mean(means)), "spread": spread, "interval": _ends(intervals)}


def _behind(first: Sequence[np.ndarray], second: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> Behind:
    """Return how much higher the first method's scores are on the same images."""
    pairs = list(zip(first, second, labels, strict=True))
    recalls = [_mean_recall(one, truth) - _mean_recall(two, truth) for one, two, truth in pairs]
    return {
        "accuracy": {
            "difference": float(np.mean([one.mean() - two.mean() for one, two, _ in pairs])),
            "interval": _ends([paired_interval(one, two) for one, two, _ in pairs]),
        },
        "mean_recall": {
            "difference": float(np.mean(recalls)),
            "interval": _ends([paired_mean_interval(one, two, strata=truth) for one, two, truth in pairs]),
        },
    }


def _worst_behind(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], strata: Sequence[np.ndarray]
) -> Difference:
    pairs = list(zip(first, second, strata, strict=True))
    return {
        "difference": float(np.mean([_worst(one, groups) - _worst(two, groups) for one, two, groups in pairs])),
        "interval": _ends([worst_difference_interval(one, two, strata=groups) for one, two, groups in pairs]),
    }


def _worst(right: np.ndarray, groups: np.ndarray) -> float:
    return float(min((right[groups == group].mean() for group in np.unique(groups)), default=np.nan))


def _worst_interval(right: np.ndarray, groups: np.ndarray) -> Interval:
    return worst_interval(shares_of(groups, right, int(groups.max(initial=-1)) + 1))


def _mean_recall(right: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def _ends(intervals: Sequence[Interval]) -> list[float]:
    return [float(end) for end in np.mean([astuple(each) for each in intervals], axis=0)]
