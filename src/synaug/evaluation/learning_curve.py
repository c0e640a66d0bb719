"""Measure how well features separate the classes on held-out images, as a function of images per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synaug.runtime import threads_for

SHARES = (0.25, 0.5, 1.0)
COMPONENTS = 128
STRENGTH = 0.1  # C of the logistic regression on components of standardized features
LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Curve:
    """Out-of-fold results on the images of known folds.

    Attributes:
        probabilities: probability of each class for each image, from a model of all other folds, shape ``(N, C)``; NaN
            if the image is never held out.
        recalls: recall per class with each share of its training images, shape ``(S, C)``; NaN without images.
    """

    probabilities: np.ndarray
    recalls: np.ndarray

    @property
    def slopes(self) -> np.ndarray:
        """Gain in recall from the last doubling of the images, shape ``(C,)``."""
        return self.recalls[-1] - self.recalls[-2]


def learning_curve(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, *, num_classes: int, seed: int = 0
) -> Curve:
    """Return the results of class-balanced logistic regressions, each trained without the fold that it is judged on.

    Args:
        features: shape ``(N, D)``.
        labels: shape ``(N,)``.
        folds: fold of each image, -1: never held out, shape ``(N,)``.
        num_classes: C.
        seed: random seed of the smaller sets, which are nested.
    """
    rng = np.random.default_rng([seed, 10])
    rank = _ranks(labels, rng)
    probabilities = np.full((len(labels), num_classes), np.nan)
    right = np.full((len(SHARES), len(labels)), np.nan)
    for fold in np.unique(folds[folds >= 0]):
        held = np.flatnonzero(folds == fold)
        seen = np.flatnonzero(folds != fold)
        counts = np.bincount(labels[seen], minlength=num_classes)
        order = np.array([(rank[row] < rank[seen[labels[seen] == labels[row]]]).sum() for row in seen])
        position = counts[labels[seen]] - 1 - order
        for number, share in enumerate(SHARES):
            kept = seen[position < np.maximum(1, np.ceil(share * counts[labels[seen]]))]
            if len(np.unique(labels[kept])) < 2:
                continue
            with threads_for(features.size * num_classes):
                found = _fitted_probabilities(features[kept], labels[kept], features[held], num_classes)
            right[number, held] = found.argmax(1) == labels[held]
            if share == 1.0:
                probabilities[held] = found
    recalls = np.array([[_mean(row[labels == label]) for label in range(num_classes)] for row in right])
    return Curve(probabilities, recalls)


def suspects(probabilities: np.ndarray, labels: np.ndarray, *, most: int = 20) -> list[tuple[int, int, float]]:
    """Return images whose label the model contradicts: position, likelier class, its probability; surest first.

    An image is suspect if a model not trained on it gives another class at least 0.8 and its own at most 0.1.
    """
    known = np.flatnonzero(~np.isnan(probabilities[:, 0]))
    found = []
    for row in known:
        other = int(probabilities[row].argmax())
        if other != labels[row] and probabilities[row, other] >= 0.8 and probabilities[row, labels[row]] <= 0.1:
            found.append((int(row), other, float(probabilities[row, other])))
    return sorted(found, key=lambda each: -each[2])[:most]


def _ranks(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(len(labels))


def _fitted_probabilities(features: np.ndarray, labels: np.ndarray, held: np.ndarray, num_classes: int) -> np.ndarray:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    components = max(1, min(COMPONENTS, len(features) - 1, features.shape[1]))
    model = make_pipeline(
        StandardScaler(),
        PCA(components, svd_solver="full"),  # not whitened, which would amplify noise if there are few images
        LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500),
    ).fit(features, labels)
    found = np.full((len(held), num_classes), LEAST)
    found[:, model.classes_] = model.predict_proba(held)
    return found


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
