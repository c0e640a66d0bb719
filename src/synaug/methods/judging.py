"""Judge synthetic images by a cross-fitted classifier on the features of a network that learned from real ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synaug.synthesis.quality.thresholds import class_thresholds, margins

if TYPE_CHECKING:
    from torch import Tensor

    from synaug.training.training_set import TrainingSet

FOLDS = 5
DRAWS = 4  # images per one that feedback keeps
STRENGTH = 0.1  # C of the logistic regression


def judged(data: TrainingSet, features: Tensor, *, by: str, quantile: float = 0.02) -> TrainingSet:
    """Return the images without the synthetic ones that do not fit their class, or with their weights.

    Args:
        data: real and synthetic images.
        features: of a network that learned from the real ones, shape ``(N, D)``.
        by: ``filter`` drops synthetic images whose margin is below that of all but a share of the real images of their
            class; ``feedback`` keeps, of those that fit, the quarter of each class's synthetic images about which the
            classifier is least certain (after Askari Hemmat et al. 2023); ``weight`` weights each image by how probable
            its class is, relative to a typical real image.
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
    """Return the candidates of highest entropy, a quarter as many of each class as it has synthetic images, as a mask.

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
    """Return the weight of each image, float of shape ``(N,)``: 1 for real ones.

    A synthetic one has the probability of its class divided by the median of the real images of that class, at most 1.

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
    """Return what a class-balanced logistic regression on real features says of each image, shape ``(N, C)``.

    Of a real image, it is one that did not learn from it.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs = features.detach().cpu().double().numpy()
    labels, is_synthetic = data.labels.cpu().numpy(), data.is_synthetic.cpu().numpy()
    real = np.flatnonzero(~is_synthetic)
    found = np.full((len(labels), data.num_classes), 1e-12)

    def fill(seen: np.ndarray, asked: np.ndarray) -> None:
        if len(asked) and len(np.unique(labels[seen])) > 1:
            model = make_pipeline(
                StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=2000)
            ).fit(inputs[seen], labels[seen])
            found[np.ix_(asked, model.classes_)] = model.predict_proba(inputs[asked])

    fill(real, np.flatnonzero(is_synthetic))
    counts = np.bincount(labels[real], minlength=data.num_classes)
    folds = max(2, min(FOLDS, int(counts[counts > 0].min(initial=FOLDS))))
    from synaug.runtime.quiet import without_warnings

    with without_warnings():  # a class with a single image is in one fold only, which is right here
        parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(real, labels[real]))
    for seen, asked in parts:
        fill(real[seen], real[asked])
    return np.maximum(found, 1e-12)
