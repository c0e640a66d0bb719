"""Sample features of rare classes, using the spread of frequent classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synaug.training.last_layer.problem import Problem

NEIGHBORS = 3  # classes that lend a rare class their spread


def balanced_by_sampling(problem: Problem, rng: np.random.Generator) -> Problem:
    """Return the problem with sampled features, so that every class has as many as the largest one.

    A sampled feature is the mean of its class plus the deviation of a random image, of the class itself or of one of
    its ``NEIGHBORS`` nearest classes with more images, from the mean of that class: the spread of frequent classes is
    transferred, as in feature transfer learning (Yin et al. 2019). Residuals are drawn instead of fitting covariances,
    which a few images cannot determine; the number of neighbors is our choice.
    """
    labels, features = problem.labels, problem.features
    counts = np.bincount(labels, minlength=problem.num_classes)
    means = np.stack([features[labels == label].mean(0) for label in range(problem.num_classes)])
    residuals = features - means[labels]
    sampled, classes = [features], [labels]
    for label, count in enumerate(counts):
        missing = int(counts.max() - count)
        if not missing:
            continue
        lenders = np.isin(labels, [label, *_nearest_with_more(label, means=means, counts=counts)])
        drawn = rng.choice(np.flatnonzero(lenders), missing)
        sampled.append(means[label] + residuals[drawn])
        classes.append(np.full(missing, label))
    num_sampled = sum(map(len, classes[1:]))
    return replace(
        problem,
        features=np.concatenate(sampled),
        labels=np.concatenate(classes),
        groups=np.concatenate([problem.groups, *classes[1:]]),
        is_synthetic=np.append(
            np.zeros(len(labels), bool) if problem.is_synthetic is None else problem.is_synthetic,
            np.ones(num_sampled, bool),
        ),
    )


def _nearest_with_more(label: int, *, means: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the classes with more images whose means are nearest, at most ``NEIGHBORS``."""
    larger = np.flatnonzero(counts > counts[label])
    distances = np.linalg.norm(means[larger] - means[label], axis=1)
    return larger[np.argsort(distances, kind="stable")[:NEIGHBORS]]
