"""Mix pairs of images and their soft targets.

A mixing is a function ``(batch, partners, *, alpha, rng)`` that returns mixed images and targets and does not change
either batch. ``MIXINGS`` also defines how partners are chosen: the batch itself in another order, or images drawn from
the whole set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synaug.errors import unknown
from synaug.training.training_set import TrainingSet


@dataclass(frozen=True, eq=False)
class Batch:
    """Normalized images, shape ``(N, C, H, W)``, and soft targets, shape ``(N, num_classes)``."""

    images: Tensor
    targets: Tensor


def mixup(batch: Batch, partners: Batch, *, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return lam of each image and target plus 1 - lam of its partner, with one lam per batch from Beta(alpha, alpha).

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".
    """
    mixed = blended(batch, partners, drawn_lam(alpha, rng))
    return mixed.images, mixed.targets


def cutmix(batch: Batch, partners: Batch, *, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return each image with a box of its partner pasted in; targets are mixed by area.

    Yun et al. 2019, "CutMix". One box per batch, of area 1 - lam before it is clipped at the edges.
    """
    height, width = batch.images.shape[2:]
    pasted = with_box(batch, partners, drawn_box(height, width, drawn_lam(alpha, rng), rng))
    return pasted.images, pasted.targets


def mixup_or_cutmix(batch: Batch, partners: Batch, *, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the batch mixed by Mixup or by CutMix, each with probability 1/2."""
    chosen = mixup if rng.random() < 0.5 else cutmix
    return chosen(batch, partners, alpha=alpha, rng=rng)


def cmo(batch: Batch, partners: Batch, *, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return, with probability 1/2, the batch with boxes of few-shot partners pasted in; else unchanged.

    Park et al. 2022, "The Majority Can Help the Minority" (CMO).
    """
    if rng.random() < 0.5:
        return batch.images, batch.targets
    return cutmix(batch, partners, alpha=alpha, rng=rng)


def blended(batch: Batch, partners: Batch, lam: float) -> Batch:
    """Return lam of each image and target plus 1 - lam of its partner."""
    return Batch(blend(batch.images, partners.images, lam), blend(batch.targets, partners.targets, lam))


def with_box(batch: Batch, partners: Batch, box: tuple[int, int, int, int]) -> Batch:
    """Return each image with its partner's pixels in the box (top, bottom, left, right); targets are mixed by area."""
    top, bottom, left, right = box
    images = batch.images.clone()
    images[:, :, top:bottom, left:right] = partners.images[:, :, top:bottom, left:right]
    lam = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    return Batch(images, blend(batch.targets, partners.targets, lam))


def blend(first: Tensor, second: Tensor, lam: float) -> Tensor:
    """Return ``lam * first + (1 - lam) * second``.

    >>> blend(torch.tensor([4.0]), torch.tensor([0.0]), 0.25)
    tensor([1.])
    """
    return torch.lerp(second, first, lam)


def drawn_lam(alpha: float, rng: np.random.Generator) -> float:
    """Return the share of the first image, from Beta(alpha, alpha); 1 if alpha is 0."""
    return float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0


def drawn_box(height: int, width: int, lam: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of a box of area ``1 - lam`` around a random center, clipped at the edges."""
    half = 0.5 * np.sqrt(1 - lam)
    row, column = int(rng.integers(height)), int(rng.integers(width))
    down, across = int(half * height), int(half * width)
    return max(row - down, 0), min(row + down, height), max(column - across, 0), min(column + across, width)


def few_shot(data: TrainingSet) -> np.ndarray:
    """Return drawing weights 1 / (images of the class in the set), so that all classes are drawn equally often.

    Synthetic images count, too. Counted by real images alone, the rarest of 100 classes would be drawn a hundred times
    as often as the largest from a balanced set.
    """
    return 1 / _counts_of(data.labels.cpu().numpy())


def balanced(data: TrainingSet) -> np.ndarray:
    """Return drawing weights that make groups equally frequent, or classes if groups are unknown.

    Partners drawn by class would carry the correlation of class and attribute into every mixed image.
    """
    return _balanced_within(data, np.ones(len(data), bool))


def real_balanced(data: TrainingSet) -> np.ndarray:
    """Return the same weights for the real images and 0 for synthetic ones; equal weights if no image is real."""
    real = ~data.is_synthetic.cpu().numpy()
    return _balanced_within(data, real) if real.any() else np.ones(len(data))


def _balanced_within(data: TrainingSet, chosen: np.ndarray) -> np.ndarray:
    """Return weights of the chosen images that make classes, and groups within a class, equally frequent.

    The images of a class whose group is unknown count as one more group of that class.
    """
    labels, groups = data.labels.cpu().numpy()[chosen], data.groups.cpu().numpy()[chosen]
    weights = np.zeros(len(data))
    weights[chosen] = 1 / _counts_of(labels)
    if (groups >= 0).any():
        cells = np.where(groups < 0, -1 - labels, groups)
        first = np.unique(cells, return_index=True)[1]
        cells_of_class = np.bincount(labels[first], minlength=data.num_classes)
        weights[chosen] = 1 / (_counts_of(cells) * cells_of_class[labels])
    return weights


def _counts_of(values: np.ndarray) -> np.ndarray:
    """Return the count of each entry's value, float of shape ``(N,)``."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return counts[places].astype(float)


class Mixing(NamedTuple):
    """A mixing function and the way the partners of a batch are chosen."""

    mix: Callable[..., tuple[Tensor, Tensor]]
    weights: Callable[[TrainingSet], np.ndarray] | None = None
    """Drawing weights of the partners; None: the batch itself in another order."""
    same_class: bool = False
    """Whether a partner has the class of its image."""


MIXINGS: dict[str, Mixing] = {
    "mixup": Mixing(mixup),
    "cutmix": Mixing(cutmix),
    "mixup_or_cutmix": Mixing(mixup_or_cutmix),
    "cmo": Mixing(cmo, few_shot),
    "balanced_mixup": Mixing(mixup, balanced),
    "domain_mixup": Mixing(mixup, real_balanced),
    "domain_mixup_same_class": Mixing(mixup, real_balanced, same_class=True),
}
"""Mixings by name. Domain Mixup mixes every image with a real one, of any class or of the same class.

``balanced_mixup`` and the domain mixings draw partners group-balanced if attributes are known, else class-balanced.
"""


def mixing_named(mixing: str | Mixing | Callable[..., tuple[Tensor, Tensor]]) -> Mixing | None:
    """Return the mixing for a name or function; None for ``none``."""
    if isinstance(mixing, Mixing):
        return mixing
    if callable(mixing):
        return Mixing(mixing)
    if mixing == "none":
        return None
    if mixing not in MIXINGS:
        raise unknown("mixing", mixing, ["none", *MIXINGS])
    return MIXINGS[mixing]


class PartnerDraw:
    """Draws positions of partners from the whole set."""

    def __init__(self, data: TrainingSet, mixing: Mixing) -> None:
        assert mixing.weights is not None
        self._labels = data.labels.cpu().numpy()
        weights = mixing.weights(data)
        self._all = self._cumulated(weights)
        self._positions, self._by_class = {}, {}
        if mixing.same_class:
            for label in np.unique(self._labels):
                positions = np.flatnonzero(self._labels == label)
                if weights[positions].any():
                    self._positions[int(label)] = positions
                    self._by_class[int(label)] = self._cumulated(weights[positions])

    @staticmethod
    def _cumulated(weights: np.ndarray) -> np.ndarray:
        return np.cumsum(weights) / weights.sum()

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return one position per row; from any class if the row's own class has no partner."""
        draws = rng.random(len(rows))
        partners = np.searchsorted(self._all, draws, side="right")
        for label, positions in self._positions.items():
            chosen = self._labels[rows] == label
            partners[chosen] = positions[np.searchsorted(self._by_class[label], draws[chosen], side="right")]
        return partners
