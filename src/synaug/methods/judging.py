"""Judge synthetic images by a cross-fitted classifier on the features of a network trained on real images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synaug.data import cell_weights
from synaug.runtime import threads_for, without_warnings
from synaug.synthesis.quality import class_thresholds, margins

if TYPE_CHECKING:
    from torch import Tensor

    from synaug.training import TrainingSet

FOLDS = 5
DRAWS = 4  # images per image that feedback keeps
STRENGTH = 0.1  # C of the logistic regression


def judged(data: TrainingSet, features: Tensor, *, by: str, quantile: float = 0.02) -> TrainingSet:
    """Return the images without synthetic ones that do not fit their class, or with weights.

    Args:
        data: real and synthetic images.
        features: features from a network trained on the real images, shape ``(N, D)``.
        by: ``filter`` drops synthetic images whose margin is below that of all but a share of the real images of their
            class; ``feedback`` keeps, of those that fit, the quarter of each class's synthetic images about which the
            classifier is least certain (after Askari Hemmat et al. 2023); ``weight`` weights each image by the
            probability of its class, relative to a typical real image.
        quantile: that share.
    """
    import torch

    probabilities = class_probabilities(data, features)
    labels, is_synthetic = data.labels.cpu().numpy(), data.is_synthetic.cpu().numpy()
    real = ~is_synthetic
    if by == "weight":
        weights = agreement(probabilities, labels, is_synthetic, num_classes=data.num_classes)
        return replace(data, weights=torch.from_numpy(weights.astype(np.float32)))
    thresholds = class_thresholds(probabilities=probabilities[real], labels=labels[real], quantile=quantile)
    fits = margins(probabilities=probabilities, labels=labels) >= thresholds[labels]
    if by == "feedback":
        fits &= least_certain(probabilities, labels, is_synthetic & fits, is_synthetic, num_classes=data.num_classes)
    return data.rows(real | fits)


def least_certain(
    probabilities: np.ndarray,
    labels: np.ndarray,
    candidates: np.ndarray,
    is_synthetic: np.ndarray,
    *,
    num_classes: int,
) -> np.ndarray:
    """Return a mask of the candidates with the highest entropy, a quarter of each class's synthetic images.

    >>> probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    >>> everything = np.ones(4, bool)
    >>> least_certain(probabilities, np.zeros(4, int), everything, everything, num_classes=2)
    array([False,  True, False, False])
    """
    entropies = -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(1)
    kept = np.zeros(len(labels), bool)
    for label in range(num_classes):
        wanted = -(-int((is_synthetic & (labels == label)).sum()) // DRAWS)
        mine = np.flatnonzero(candidates & (labels == label))
        kept[mine[np.argsort(-entropies[mine], kind="stable")[:wanted]]] = True
    return kept


def agreement(
    probabilities: np.ndarray, labels: np.ndarray, is_synthetic: np.ndarray, *, num_classes: int
) -> np.ndarray:
    """Return the weight of each image, float of shape ``(N,)``; 1 for real images.

    For a synthetic image, the probability of its class divided by the median of that class's real images, at most 1.

    >>> probabilities = np.array([[0.8, 0.2], [0.4, 0.6]])
    >>> agreement(probabilities, np.array([0, 0]), np.array([False, True]), num_classes=2)
    array([1. , 0.5])
    """
    own = probabilities[np.arange(len(labels)), labels]
    typical = np.ones(num_classes)
    for label in np.unique(labels[~is_synthetic]):
        typical[label] = np.median(own[~is_synthetic & (labels == label)])
    return np.where(is_synthetic, np.minimum(own / np.maximum(typical[labels], 1e-12), 1), 1.0)


def class_probabilities(data: TrainingSet, features: Tensor, *, seed: int = 0) -> np.ndarray:
    """Return class probabilities from a class-balanced logistic regression on real features, shape ``(N, C)``.

    Those of a real image come from a model that was not fitted to it. If groups are known, the regression is
    group-balanced; otherwise it would take a spurious attribute for the class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs = features.detach().cpu().double().numpy()
    labels, is_synthetic = data.labels.cpu().numpy(), data.is_synthetic.cpu().numpy()
    groups = data.groups.cpu().numpy()
    real = np.flatnonzero(~is_synthetic)
    is_known = bool((groups[real] >= 0).any())
    cells = np.where(groups < 0, data.num_groups + labels, groups) if is_known else labels
    found = np.full((len(labels), data.num_classes), 1e-12)

    def fill(seen: np.ndarray, asked: np.ndarray) -> None:
        if len(asked) and len(np.unique(labels[seen])) > 1:
            weights = cell_weights(labels[seen], cells[seen]) if is_known else None
            regression = LogisticRegression(C=STRENGTH, class_weight=None if is_known else "balanced", max_iter=2000)
            model = make_pipeline(StandardScaler(), regression).fit(
                inputs[seen], labels[seen], logisticregression__sample_weight=weights
            )
            found[np.ix_(asked, model.classes_)] = model.predict_proba(inputs[asked])

    counts = np.bincount(cells[real])
    folds = max(2, min(FOLDS, int(counts[counts > 0].min(initial=FOLDS))))
    with without_warnings():  # a class with a single image is in one fold only, which is correct here
        parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(real, cells[real]))
    with threads_for(inputs.size * data.num_classes):
        fill(real, np.flatnonzero(is_synthetic))
        for seen, asked in parts:
            fill(real[seen], real[asked])
    return np.maximum(found, 1e-12)
