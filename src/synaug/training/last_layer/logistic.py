"""Fit linear classifiers that minimize a convex loss on standardized features: logistic regressions, DFR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synaug.errors import DataError
from synaug.training.last_layer.problem import Head, Problem, balanced_rows, halves

DFR_INVERSE_STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
DFR_REFITS = 10


@dataclass(frozen=True, eq=False)
class Standardized:
    """Features of mean 0 and deviation 1; converts classifiers between standardized and raw features."""

    features: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def folded(self, weight: np.ndarray, bias: np.ndarray) -> Head:
        """Return the head on raw features that gives the same logits."""
        raw = weight / self.scale
        return Head(raw, bias - raw @ self.mean)

    def unfolded(self, head: Head) -> Head:
        """Return the head on standardized features that gives the same logits."""
        return Head(head.weight * self.scale, head.bias + head.weight @ self.mean)


def standardized(features: np.ndarray) -> Standardized:
    """Return features with mean 0 and deviation 1; a constant feature is only centered."""
    mean, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    return Standardized((features - mean) / scale, mean, scale)


def logistic(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the class-balanced multinomial logistic regression on standardized features, by scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    inputs = standardized(problem.features)
    fitted = LogisticRegression(C=regularization, class_weight="balanced", max_iter=2000).fit(
        inputs.features, problem.labels
    )
    return inputs.folded(*_rows_for_two(fitted.coef_, fitted.intercept_))


def _rows_for_two(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one row per class, even if scikit-learn returns a single row for two classes."""
    if len(bias) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2


def warm_logistic(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the class-balanced logistic regression that is pulled towards the existing layer, not towards 0.

    With few images per class, the layer of stage 1 contains more information than they do.
    """
    *_, head = warm_path(problem, (regularization,))
    return head


def warm_path(
    problem: Problem,
    strengths: Sequence[float],
    *,
    cells: np.ndarray | None = None,
    hold_bias: bool = False,
    tolerance: float = 2.2e-9,
) -> Iterator[Head]:
    """Yield the warm logistic regression of each strength; each search starts from the previous solution.

    All ``cells``, shape ``(N,)``, get the same total weight; default: the classes. With ``hold_bias`` the bias is also
    pulled towards the existing one; if it is free, as in scikit-learn, a few images move it far. A search ends when the
    loss changes by less than ``tolerance``, relatively.

    The loss is convex, so the starting point affects the duration of a search but not its result.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    inputs = standardized(problem.features)
    start = inputs.unfolded(problem.start)
    num = len(problem.labels)
    targets = np.eye(problem.num_classes)[problem.labels]
    _, numbers, counts = np.unique(problem.labels if cells is None else cells, return_inverse=True, return_counts=True)
    weights = num / (len(counts) * counts[numbers.reshape(-1)])
    features, basis = _in_their_span(inputs.features)
    offsets = start.logits(inputs.features) - start.bias

    def objective(flat: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        moved, bias = flat[: -problem.num_classes].reshape(problem.num_classes, -1), flat[-problem.num_classes :]
        logs = log_softmax(offsets + features @ moved.T + bias, axis=1)
        away = hold_bias * (bias - start.bias)
        value = -strength * (weights[:, None] * targets * logs).sum() + 0.5 * ((moved**2).sum() + (away**2).sum())
        slope = strength * weights[:, None] * (np.exp(logs) - targets)
        return value, np.concatenate([(slope.T @ features + moved).ravel(), slope.sum(0) + away])

    options = {"maxiter": 2000, "ftol": tolerance}
    found = np.concatenate([np.zeros(problem.num_classes * features.shape[1]), start.bias])
    for strength in strengths:
        found = minimize(objective, found, args=(strength,), jac=True, method="L-BFGS-B", options=options).x
        moved = found[: -problem.num_classes].reshape(problem.num_classes, -1) @ basis
        yield inputs.folded(start.weight + moved, found[-problem.num_classes :])


def _in_their_span(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates ``(N, R)`` of the features and an orthonormal basis ``(R, D)``, R = min(N, D).

    A row that an L2 penalty pulls to 0 never leaves the span of the features, so the solution is the same in these
    coordinates, and the search is faster if there are more columns than images.
    """
    num, size = features.shape
    if size <= num:
        return features, np.eye(size)
    basis = np.linalg.qr(features.T)[0].T
    return features @ basis.T, basis


def dfr(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return deep feature reweighting: the average of L1 logistic regressions on group-balanced subsets.

    Kirichenko et al. 2023, "Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations". The strength
    is the one of ``DFR_INVERSE_STRENGTHS``, the paper's grid, with the best worst-group accuracy on the validation
    images or, without those, on the half of the images that the first fit did not see. ``regularization`` is ignored,
    since this method has its own grid. Without groups, classes replace them.

    Raises:
        DataError: a group has a single image, and there are no validation images.
    """
    rng = np.random.default_rng([seed, 4])
    inputs = standardized(problem.features)
    if problem.validation is None:
        values, counts = np.unique(problem.groups, return_counts=True)
        if counts.min() < 2:
            raise DataError(f"DFR needs at least 2 images of each group, but group {values[counts.argmin()]} has one.")
        fit_rows, check_rows = halves(problem.groups, rng)
        check = problem.rows(check_rows)
    else:
        fit_rows, check = np.arange(len(problem.labels)), problem.validation
    rows = fit_rows[balanced_rows(problem.groups[fit_rows], rng)]
    scores = []
    for strength in DFR_INVERSE_STRENGTHS:
        head = sparse_logistic(inputs.features[rows], problem.labels[rows], strength, seed)
        right = head.logits((check.features - inputs.mean) / inputs.scale).argmax(1) == check.labels
        scores.append(min(right[check.groups == group].mean() for group in np.unique(check.groups)))
    best = DFR_INVERSE_STRENGTHS[int(np.argmax(scores))]
    heads = []
    for _ in range(DFR_REFITS):
        rows = balanced_rows(problem.groups, rng)
        heads.append(sparse_logistic(inputs.features[rows], problem.labels[rows], best, seed))
    weight = np.mean([head.weight for head in heads], axis=0)
    return inputs.folded(weight, np.mean([head.bias for head in heads], axis=0))


def sparse_logistic(features: np.ndarray, labels: np.ndarray, strength: float, seed: int) -> Head:
    """Return the L1 logistic regression of liblinear, one-vs-rest if there are more than two classes.

    The multinomial one, by saga, takes hundreds of passes over correlated features, and 3 to 10 times as long.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    one = LogisticRegression(C=strength, l1_ratio=1.0, solver="liblinear", max_iter=5000, tol=1e-3, random_state=seed)
    if len(np.unique(labels)) == 2:
        fitted = one.fit(features, labels)
        return Head(*_rows_for_two(fitted.coef_, fitted.intercept_))
    each = OneVsRestClassifier(one).fit(features, labels).estimators_
    return Head(np.concatenate([fit.coef_ for fit in each]), np.concatenate([fit.intercept_ for fit in each]))
