"""Fit linear classifiers by gradient descent on class-balanced batches: cRT, LWS, weight balancing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from synaug.training.last_layer.problem import Head, Problem, mean_recall

RADII = (0.5, 1.0, 2.0, 4.0)  # times the median norm of the existing rows; our choice, the paper tunes by hand
_SGD_STEPS, _SGD_BATCH = 500, 128


def crt(problem: Problem, *, regularization: float, seed: int, warm: bool = False) -> Head:
    """Return the layer retrained from scratch by SGD with class-balanced sampling.

    Kang et al. 2020, "Decoupling Representation and Classifier", section 4.1 (cRT).
    """
    weight, bias = _parameters(problem, warm=warm, seed=seed)
    _descend(problem, [weight, bias], lambda x: x @ weight.T + bias, strength=regularization, seed=seed)
    return _as_head(weight, bias)


def crt_warm(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the existing layer, trained further by SGD with class-balanced sampling."""
    return crt(problem, regularization=regularization, seed=seed, warm=True)


def lws(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the existing layer with each class's row scaled by a learned number (Kang et al. 2020, section 4.3)."""
    weight, bias = _parameters(problem, warm=True, seed=seed)
    scale = torch.ones(problem.num_classes, dtype=torch.float64, requires_grad=True)
    _descend(problem, [scale], lambda x: (x @ weight.T + bias) * scale, strength=np.inf, seed=seed)
    return _as_head(weight * scale[:, None], bias * scale)


def max_norm(problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the layer trained further with its rows kept inside a ball and decayed: weight balancing.

    Alshammari et al. 2022, "Long-Tailed Recognition via Weight Balancing", equation 6. The radius is that of ``RADII``,
    times the median norm of the existing rows, with the best mean recall on the validation images or, without those, on
    one half of each class after fitting on the other. The radii are ours: the paper's do not transfer to other
    features.
    """
    fit, check = problem.parted(np.random.default_rng([seed, 7]))
    radii = np.median(np.linalg.norm(problem.start.weight, axis=1)) * np.array(RADII)
    heads = [trained_within(radius, fit, regularization=regularization, seed=seed) for radius in radii]
    scores = [mean_recall(head, check) for head in heads]
    return trained_within(radii[int(np.argmax(scores))], problem, regularization=regularization, seed=seed)


def trained_within(radius: float, problem: Problem, *, regularization: float, seed: int) -> Head:
    """Return the layer trained further with rows no longer than the radius, by projected SGD."""
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
    """Minimize the class-balanced cross-entropy by SGD with momentum and a cosine schedule.

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
