"""List the methods that fit a linear classifier to features and labels, by name.

A method is a function ``(problem, *, regularization, seed)`` that returns a ``Head``. Methods that need no training are
here; the others are in ``logistic``, ``sgd`` and ``cross_fitting``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synaug.training.last_layer.cross_fitting import cross_fitted
from synaug.training.last_layer.feature_sampling import balanced_by_sampling
from synaug.training.last_layer.logistic import dfr, logistic, warm_logistic
from synaug.training.last_layer.problem import Head, Problem, mean_recall
from synaug.training.last_layer.sgd import crt, crt_warm, lws, max_norm

TAUS = tuple(tenth / 10 for tenth in range(11))


def tau_norm(problem: Problem, *, regularization: float, seed: int, tau: float | None = None) -> Head:
    """Return the rows divided by their norm to the power tau, without bias (Kang et al. 2020, section 4.2).

    The default tau is the one of ``TAUS`` with the best mean recall on the validation images. Without those it is
    chosen on all images of the problem, since nothing else is fitted to them. The network was trained on these images,
    so it errs less on rare classes here than it will on new ones; among equally good values, the largest wins.
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


def feature_sampling(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the logistic regression on real and sampled features, equally many per class.

    See ``feature_sampling.balanced_by_sampling``: a baseline that generates features instead of images.
    """
    return logistic(
        balanced_by_sampling(problem, np.random.default_rng([seed, 8])), regularization=regularization, seed=seed
    )


METHODS: dict[str, Callable[..., Head]] = {
    "cross_fitted": cross_fitted,
    "logistic": logistic,
    "warm_logistic": warm_logistic,
    "crt": crt,
    "crt_warm": crt_warm,
    "lws": lws,
    "max_norm": max_norm,
    "tau_norm": tau_norm,
    "nearest_class_mean": nearest_class_mean,
    "dfr": dfr,
    "feature_sampling": feature_sampling,
}
WITHOUT_REGULARIZATION = ("cross_fitted", "lws", "tau_norm", "nearest_class_mean", "dfr")
"""Methods that ignore ``regularization``: they have their own grid, or no strength at all."""
