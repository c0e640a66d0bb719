"""Retrain a last layer cautiously: cross-fitting chooses how far it may move, possibly not at all.

A few real images per class contain less information than the layer trained in stage 1. So the candidates form a path:
the existing layer, then logistic regressions that are pulled towards it more and more loosely. Each is judged by its
log-loss on real images that it was not fitted to. The best one replaces the trained layer only if it is better by more
than one standard error, since the network has seen those images and the trained layer was chosen on many more.

A network remembers the images that it was trained on: under the trained layer, their loss is too low, and the less a
candidate moves, the more it inherits of this. So if the judges are training images, the loosest candidate within one
standard error of the best one is taken. Validation images are not remembered, and the best candidate on them is taken.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from synaug.data import fold_numbers, group_mean, group_mean_error
from synaug.training.last_layer.logistic import warm_path
from synaug.training.last_layer.problem import Head, Problem

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
NUM_FOLDS = 5
TOLERANCE = 1e-5  # relative change of the loss that ends a search: a third of the time, recalls equal to 0.1 points


def cross_fitted(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the existing layer, or the warm logistic regression of the strength that cross-fitting chooses.

    Groups, or classes if no groups are known, are weighted equally, so all images of the problem are used.
    ``regularization`` is ignored, since this method has its own grid.
    """
    losses, groups = held_out_losses(problem, seed=seed)
    chosen = chosen_column(losses, groups, are_remembered=problem.validation is None)
    if chosen == 0:
        return problem.start
    return _path(problem)[chosen]


def _path(problem: Problem) -> list[Head]:
    return [problem.start, *warm_path(problem, STRENGTHS, cells=problem.groups, hold_bias=True, tolerance=TOLERANCE)]


def held_out_losses(problem: Problem, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-losses of held-out real images under the existing layer and under each strength, and their groups.

    Shapes ``(M, 1 + S)`` and ``(M,)``. Uses the validation images if there are any, else those real images of the
    problem that a fold can hold out.
    """
    if problem.validation is not None:
        heads = _path(problem)
        return _losses(heads, problem.validation), problem.validation.groups
    num = len(problem.labels)
    real = np.arange(num) if problem.is_synthetic is None else np.flatnonzero(~problem.is_synthetic)
    folds = np.full(num, -1)
    folds[real] = fold_numbers(
        problem.groups[real],
        NUM_FOLDS,
        np.random.default_rng([seed, 8]),
        contents=_contents(problem.features[real]),
    )
    parts, held = [], []
    for fold in np.unique(folds[folds >= 0]):
        outside = np.flatnonzero(folds == fold)
        inside = problem.rows(folds != fold)
        heads = _path(inside)
        parts.append(_losses(heads, problem.rows(outside)))
        held.append(outside)
    if not parts:
        return np.zeros((0, 1 + len(STRENGTHS))), problem.groups[:0]
    return np.concatenate(parts), problem.groups[np.concatenate(held)]


def chosen_column(losses: np.ndarray, groups: np.ndarray, *, are_remembered: bool) -> int:
    """Return the column to use: 0, the existing layer, unless another one leads it by more than a standard error.

    Columns are compared by the mean over groups of the paired differences. The others are ordered from tight to loose;
    with ``are_remembered``, the loosest one within a standard error of the best is returned, else the best one.

    Args:
        losses: losses of the existing layer and of each candidate, shape ``(M, 1 + S)``.
        groups: shape ``(M,)``.
        are_remembered: whether the network was trained on the images that the losses were measured on.
    """
    if not len(losses):
        return 0
    best = int(np.argmin([group_mean(column, groups) for column in losses.T]))
    if not _is_more_than_noise(losses[:, 0] - losses[:, best], groups):
        return 0
    looser = range(losses.shape[1] - 1, best, -1) if are_remembered else ()
    for column in looser:
        is_as_good = not _is_more_than_noise(losses[:, column] - losses[:, best], groups)
        if is_as_good and _is_more_than_noise(losses[:, 0] - losses[:, column], groups):
            return column
    return best


def _is_more_than_noise(differences: np.ndarray, groups: np.ndarray) -> bool:
    return group_mean(differences, groups) > group_mean_error(differences, groups)


def _losses(heads: list[Head], problem: Problem) -> np.ndarray:
    rows = np.arange(len(problem.labels))
    return np.column_stack(
        [-log_softmax(head.logits(problem.features), axis=1)[rows, problem.labels] for head in heads]
    )


def _contents(features: np.ndarray) -> np.ndarray:
    """Return a number per row, shape ``(N,)``, equal for rows with equal features, which come from equal images."""
    scale = np.maximum(features.std(0), 1e-12)
    return np.unique(np.round(features / scale, 3), axis=0, return_inverse=True)[1].reshape(-1)
