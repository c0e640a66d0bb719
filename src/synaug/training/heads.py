"""Find a linear classifier from features and labels: arrays in, arrays out, no network.

A method is a function ``(problem, *, regularization, seed)`` that returns a ``Head``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from synaug.errors import DataError

DFR_INVERSE_STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
DFR_REFITS = 10
TAUS = tuple(tenth / 10 for tenth in range(11))
RADII = (0.5, 1.0, 2.0, 4.0)  # times the median norm of the rows there are
_SGD_STEPS, _SGD_BATCH = 500, 128


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
    """What a last layer is found from.

    Attributes:
        features: float64, shape ``(N, D)``.
        labels: shape ``(N,)``.
        groups: shape ``(N,)``; the labels where no groups are known.
        start: the last layer there is.
        validation: images to choose tau, radius or strength on; None takes some of these images for it.
    """

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    num_classes: int
    start: Head
    validation: Problem | None = None

    def rows(self, chosen: np.ndarray) -> Problem:
        """Return the problem of the images at these positions."""
        return replace(self, features=self.features[chosen], labels=self.labels[chosen], groups=self.groups[chosen])

    def parted(self, rng: np.random.Generator) -> tuple[Problem, Problem]:
        """Return what to fit on and what to choose on: halves with their share of each class, or all and validation.

        Where every class has a single image, it is both.
        """
        if self.validation is not None:
            return self, self.validation
        first, second = _halves(self.labels, rng)
        if not len(second):
            return self, self
        return self.rows(first), self.rows(second)


def mean_recall(head: Head, problem: Problem) -> float:
    """Return the share of the images that a head has right, as the mean over the classes that there are."""
    right = head.logits(problem.features).argmax(1) == problem.labels
    return float(np.mean([right[problem.labels == label].mean() for label in np.unique(problem.labels)]))


# ---------------------------------------------------------------- convex fits on standardised features


@dataclass(frozen=True, eq=False)
class Standardised:
    """Features of mean 0 and deviation 1, and the way back: a head on them becomes one on the raw features."""

    features: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def folded(self, weight: np.ndarray, bias: np.ndarray) -> Head:
        """Return the head on raw features that gives the same logits."""
        raw = weight / self.scale
        return Head(raw, bias - raw @ self.mean)

    def unfolded(self, head: Head) -> Head:
        """Return the head on standardised features that gives the same logits."""
        return Head(head.weight * self.scale, head.bias + head.weight @ self.mean)


def standardised(features: np.ndarray) -> Standardised:
    """Return features with mean 0 and deviation 1; a constant one is only centred."""
    mean, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    return Standardised((features - mean) / scale, mean, scale)


def logistic(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the class-balanced multinomial logistic regression on standardised features, by scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    inputs = standardised(problem.features)
    fitted = LogisticRegression(C=regularization, class_weight="balanced", max_iter=2000).fit(
        inputs.features, problem.labels
    )
    return inputs.folded(*_rows_for_two(fitted.coef_, fitted.intercept_))


def _rows_for_two(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one row a class where scikit-learn gives a single one for two classes."""
    if len(bias) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2


def warm_logistic(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the class-balanced logistic regression that is pulled towards the layer there is, not towards 0.

    With few images a class, the layer of stage 1 knows more than they do.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    inputs = standardised(problem.features)
    start = inputs.unfolded(problem.start)
    num, size = problem.features.shape
    targets = np.eye(problem.num_classes)[problem.labels]
    weights = num / (problem.num_classes * targets.sum(0)[problem.labels])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        table = flat.reshape(problem.num_classes, size + 1)
        logs = log_softmax(inputs.features @ table[:, :-1].T + table[:, -1], axis=1)
        away = table[:, :-1] - start.weight
        value = -regularization * (weights[:, None] * targets * logs).sum() + 0.5 * (away**2).sum()
        slope = regularization * weights[:, None] * (np.exp(logs) - targets)
        gradient = np.column_stack([slope.T @ inputs.features + away, slope.sum(0)])
        return value, gradient.ravel()

    first = np.column_stack([start.weight, start.bias]).ravel()
    found = minimize(objective, first, jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    table = found.reshape(problem.num_classes, size + 1)
    return inputs.folded(table[:, :-1], table[:, -1])


def dfr(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return deep feature reweighting: the average of L1 logistic regressions on group-balanced subsets.

    Kirichenko et al. 2023, "Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations". The
    strength is the one of ``DFR_INVERSE_STRENGTHS`` (times ``regularization``) with the best worst-group
    accuracy on the validation images, or else on the half of the images that the first fit did not see. Without
    groups, classes take their place.

    Raises:
        DataError: a group has a single image, and there are no validation images.
    """
    rng = np.random.default_rng([seed, 4])
    inputs = standardised(problem.features)
    if problem.validation is None:
        values, counts = np.unique(problem.groups, return_counts=True)
        if counts.min() < 2:
            raise DataError(f"DFR needs at least 2 images of each group, but group {values[counts.argmin()]} has one.")
        fit_rows, check_rows = _halves(problem.groups, rng)
        check = problem.rows(check_rows)
    else:
        fit_rows, check = np.arange(len(problem.labels)), problem.validation
    rows = fit_rows[balanced_rows(problem.groups[fit_rows], rng)]
    scores = []
    for strength in DFR_INVERSE_STRENGTHS:
        head = _sparse_fit(inputs.features[rows], problem.labels[rows], strength * regularization, seed)
        right = head.logits((check.features - inputs.mean) / inputs.scale).argmax(1) == check.labels
        scores.append(min(right[check.groups == group].mean() for group in np.unique(check.groups)))
    best = DFR_INVERSE_STRENGTHS[int(np.argmax(scores))] * regularization
    heads = []
    for _ in range(DFR_REFITS):
        rows = balanced_rows(problem.groups, rng)
        heads.append(_sparse_fit(inputs.features[rows], problem.labels[rows], best, seed))
    weight = np.mean([head.weight for head in heads], axis=0)
    return inputs.folded(weight, np.mean([head.bias for head in heads], axis=0))


def _sparse_fit(features: np.ndarray, labels: np.ndarray, strength: float, seed: int) -> Head:
    """Return the L1 logistic regression of liblinear, each class against the rest where there are more than two.

    The multinomial one, by saga, takes hundreds of passes over features that are correlated, and 3 to 10 times as long.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    one = LogisticRegression(C=strength, l1_ratio=1.0, solver="liblinear", max_iter=5000, tol=1e-3, random_state=seed)
    if len(np.unique(labels)) == 2:
        fitted = one.fit(features, labels)
        return Head(*_rows_for_two(fitted.coef_, fitted.intercept_))
    each = OneVsRestClassifier(one).fit(features, labels).estimators_
    return Head(np.concatenate([fit.coef_ for fit in each]), np.concatenate([fit.intercept_ for fit in each]))


def _halves(groups: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two halves of the positions, each with its share of every group; a single image is in the first."""
    first, second = [], []
    for group in np.unique(groups):
        rows = rng.permutation(np.flatnonzero(groups == group))
        first.append(rows[: (len(rows) + 1) // 2])
        second.append(rows[(len(rows) + 1) // 2 :])
    return np.concatenate(first), np.concatenate(second)


def balanced_rows(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return positions with as many of every group as the smallest has, drawn without replacement."""
    values, counts = np.unique(groups, return_counts=True)
    drawn = [rng.permutation(np.flatnonzero(groups == value))[: counts.min()] for value in values]
    return np.concatenate(drawn)


# ---------------------------------------------------------------- by gradient descent on class-balanced draws


def crt(problem: Problem, *, regularization: float, seed: int, warm: bool = False) -> Head:
    """Return the layer retrained from scratch by SGD with class-balanced sampling.

    Kang et al. 2020, "Decoupling Representation and Classifier", section 4.1 (cRT).
    """
    weight, bias = _parameters(problem, warm=warm, seed=seed)
    _descend(problem, [weight, bias], lambda x: x @ weight.T + bias, strength=regularization, seed=seed)
    return _as_head(weight, bias)


def crt_warm(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the layer there is, trained on by SGD with class-balanced sampling."""
    return crt(problem, regularization=regularization, seed=seed, warm=True)


def lws(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the layer there is with each class's row scaled by a learned number (Kang et al. 2020, section 4.3)."""
    weight, bias = _parameters(problem, warm=True, seed=seed)
    scale = torch.ones(problem.num_classes, dtype=torch.float64, requires_grad=True)
    _descend(problem, [scale], lambda x: (x @ weight.T + bias) * scale, strength=np.inf, seed=seed)
    return _as_head(weight * scale[:, None], bias * scale)


def max_norm(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the layer trained on, its rows kept inside a ball and decayed: weight balancing.

    Alshammari et al. 2022, "Long-Tailed Recognition via Weight Balancing", equation 6. The radius is that of
    ``RADII``, times the median norm of the rows there are, with the best mean recall on the validation images, or
    else on half of each class while the other half is fitted on.
    """
    fit, check = problem.parted(np.random.default_rng([seed, 7]))
    radii = np.median(np.linalg.norm(problem.start.weight, axis=1)) * np.array(RADII)
    scores = [mean_recall(_within(radius, fit, regularization=regularization, seed=seed), check) for radius in radii]
    return _within(radii[int(np.argmax(scores))], problem, regularization=regularization, seed=seed)


def _within(radius: float, problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the layer trained on with rows no longer than the radius."""
    weight, bias = _parameters(problem, warm=True, seed=seed)

    def project() -> None:
        norms = weight.norm(dim=1, keepdim=True)
        weight.mul_((radius / norms.clamp(min=1e-12)).clamp(max=1))

    _descend(problem, [weight, bias], lambda x: x @ weight.T + bias, strength=regularization, seed=seed, after=project)
    return _as_head(weight, bias)


def _parameters(problem: Problem, *, warm: bool, seed: int) -> tuple[Tensor, Tensor]:
    if warm:
        values = (torch.from_numpy(problem.start.weight), torch.from_numpy(problem.start.bias))
        return values[0].clone().requires_grad_(), values[1].clone().requires_grad_()
    size = problem.features.shape[1]
    draws = np.random.default_rng([seed, 5]).uniform(-1, 1, (problem.num_classes, size)) / np.sqrt(size)
    return torch.from_numpy(draws).requires_grad_(), torch.zeros(
        problem.num_classes, dtype=torch.float64, requires_grad=True
    )


def _as_head(weight: Tensor, bias: Tensor) -> Head:
    return Head(weight.detach().numpy(), bias.detach().numpy())


def _descend(
    problem: Problem,
    parameters: list[Tensor],
    logits: Callable[[Tensor], Tensor],
    *,
    strength: float,
    seed: int,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Lower the class-balanced cross-entropy by SGD with momentum and a cosine schedule.

    ``strength`` is scikit-learn's C: the weight decay is 1 / (C N), so it means the same for every method.
    """
    rng = np.random.default_rng([seed, 6])
    features, labels = torch.from_numpy(problem.features), torch.from_numpy(problem.labels)
    by_class = np.argsort(problem.labels, kind="stable")
    sizes = np.bincount(problem.labels, minlength=problem.num_classes)
    starts = np.cumsum(sizes) - sizes
    decay = 1 / (strength * len(labels))
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _SGD_STEPS)
    for _ in range(_SGD_STEPS):
        classes = rng.integers(problem.num_classes, size=_SGD_BATCH)
        rows = torch.from_numpy(by_class[starts[classes] + rng.integers(sizes[classes])])
        loss = nn.functional.cross_entropy(logits(features[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            after()


# ---------------------------------------------------------------- without training


def tau_norm(problem: Problem, *, regularization: float, seed: int, tau: float | None = None) -> Head:
    """Return the rows divided by their norm to the power tau, without bias (Kang et al. 2020, section 4.2).

    Without a tau it is the one of ``TAUS`` with the best mean recall on the validation images. Without those it is
    chosen on all images of the problem, as nothing else is fitted to them; the network learned from them, so it
    errs less on rare classes than it will, and of equally good ones the largest is taken.
    """
    norms = np.maximum(np.linalg.norm(problem.start.weight, axis=1, keepdims=True), 1e-12)
    heads = {t: Head(problem.start.weight / norms**t, np.zeros(problem.num_classes)) for t in TAUS}
    if tau is not None:
        return Head(problem.start.weight / norms**tau, np.zeros(problem.num_classes))
    check = problem.validation or problem
    return heads[max(TAUS, key=lambda t: (mean_recall(heads[t], check), t))]


def nearest_class_mean(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the layer that chooses the class whose mean feature has the largest cosine (Kang et al. 2020)."""
    means = np.stack([problem.features[problem.labels == label].mean(0) for label in range(problem.num_classes)])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    return Head(means / np.maximum(norms, 1e-12), np.zeros(problem.num_classes))


METHODS: dict[str, Callable[..., Head]] = {
    "logistic": logistic,
    "warm_logistic": warm_logistic,
    "crt": crt,
    "crt_warm": crt_warm,
    "lws": lws,
    "max_norm": max_norm,
    "tau_norm": tau_norm,
    "nearest_class_mean": nearest_class_mean,
    "dfr": dfr,
}
