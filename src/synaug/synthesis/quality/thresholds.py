"""Turn class probabilities into scores of how well an image fits its class, with a threshold per class."""

from __future__ import annotations

import numpy as np

_ENOUGH_FOR_QUANTILE = 1.0  # images of a class below its own threshold; with fewer, all classes decide together


def margins(*, probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the log probability of the label minus the highest other, ``(N,)``; infinite with a single class.

    >>> margins(probabilities=np.array([[0.5, 0.25, 0.25]]), labels=np.array([0])).round(3)
    array([0.693])
    """
    logs = np.log(np.maximum(probabilities, 1e-12))
    rows = np.arange(len(labels))
    own = logs[rows, labels]
    logs[rows, labels] = -np.inf
    return own - logs.max(1)


def class_thresholds(*, probabilities: np.ndarray, labels: np.ndarray, quantile: float) -> np.ndarray:
    """Return the score per class below which an image is off-class, shape ``(C,)``.

    It is minus infinity (every image passes) if there is nothing to compare: no images, or a single class.
    """
    if quantile == 0 or not len(labels) or probabilities.shape[1] < 2:
        return np.full(probabilities.shape[1], -np.inf)
    scores = margins(probabilities=probabilities, labels=labels)
    shared = float(np.quantile(scores, quantile))
    thresholds = np.full(probabilities.shape[1], shared)
    for label in np.unique(labels):
        mine = scores[labels == label]
        own = float(np.quantile(mine, quantile))
        thresholds[label] = own if len(mine) * quantile >= _ENOUGH_FOR_QUANTILE else min(own, shared)
    return thresholds
