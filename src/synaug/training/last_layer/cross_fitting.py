"""Retrain a last layer cautiously: cross-fitting chooses how far it may move, possibly not at all.

A few real images per class contain less information than the layer trained in stage 1. So the candidates form a path:
the existing layer, then logistic regressions that are pulled towards it more and more loosely. Each is judged by its
log-loss on real images that it was not fitted to. The best one replaces the trained layer only if it is better by more
than one standard error, since the network has seen those images and the trained layer was chosen on many more.
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
    chosen = chosen_column(losses, groups)
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


def chosen_column(losses: np.ndarray, groups: np.ndarray) -> int:
    """Return the column with the lowest group mean if it beats the first by more than a standard error; else 0."""
    if not len(losses):
        return 0
    best = int(np.argmin([group_mean(column, groups) for column in losses.T]))
    gain = losses[:, 0] - losses[:, best]
    return best if group_mean(gain, groups) > group_mean_error(gain, groups) else 0


def _losses(heads: list[Head], problem: Problem) -> np.ndarray:
    rows = np.arange(len(problem.labels))
    return np.column_stack(
        [-log_softmax(head.logits(problem.features), axis=1)[rows, problem.labels] for head in heads]
    )


def _contents(features: np.ndarray) -> np.ndarray:
    """Return a number per row, shape ``(N,)``, equal for rows with equal features, which come from equal images."""
    scale = np.maximum(features.std(0), 1e-12)
    return np.unique(np.round(features / scale, 3), axis=0, return_inverse=True)[1].reshape(-1)
