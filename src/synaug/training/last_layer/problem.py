"""Define the problem of fitting a linear classifier, and its solution, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Head:
    """A linear classifier: ``features @ weight.T + bias``, weight ``(C, D)`` and bias ``(C,)``."""

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return logits, shape ``(N, C)``."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True, eq=False)
class Problem:
    """The data from which a last layer is fitted.

    Attributes:
        features: float64, shape ``(N, D)``.
        labels: shape ``(N,)``.
        groups: shape ``(N,)``; the labels if no groups are known.
        start: the existing last layer.
        validation: images to choose tau, radius or strength on; None holds out some of these images.
        is_synthetic: bool, shape ``(N,)``; None: all are real.
    """

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    num_classes: int
    start: Head
    validation: Problem | None = None
    is_synthetic: np.ndarray | None = None

    def rows(self, chosen: np.ndarray) -> Problem:
        """Return the problem restricted to the images at these positions."""
        return replace(
            self,
            features=self.features[chosen],
            labels=self.labels[chosen],
            groups=self.groups[chosen],
            is_synthetic=None if self.is_synthetic is None else self.is_synthetic[chosen],
        )

    def parted(self, rng: np.random.Generator) -> tuple[Problem, Problem]:
        """Return the parts to fit on and to choose on: stratified halves, or all images and the validation images.

        If every class has a single image, both parts are the whole problem.
        """
        if self.validation is not None:
            return self, self.validation
        first, second = halves(self.labels, rng)
        if not len(second):
            return self, self
        return self.rows(first), self.rows(second)


def mean_recall(head: Head, problem: Problem) -> float:
    """Return the mean recall of a head over the classes that occur."""
    right = head.logits(problem.features).argmax(1) == problem.labels
    return float(np.mean([right[problem.labels == label].mean() for label in np.unique(problem.labels)]))


def halves(groups: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two halves of the positions, stratified by group; a group's single image goes into the first."""
    first, second = [], []
    for group in np.unique(groups):
        rows = rng.permutation(np.flatnonzero(groups == group))
        first.append(rows[: (len(rows) + 1) // 2])
        second.append(rows[(len(rows) + 1) // 2 :])
    return np.concatenate(first), np.concatenate(second)


def balanced_rows(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return equally many positions of every group, as many as the smallest has, drawn without replacement."""
    values, counts = np.unique(groups, return_counts=True)
    drawn = [rng.permutation(np.flatnonzero(groups == value))[: counts.min()] for value in values]
    return np.concatenate(drawn)
