"""Choose the images of each batch, as an endless stream that follows from the seed alone.

A sampler assigns each image to a cell, and each cell a share of an epoch. Within an epoch, all images of a cell occur
equally often, give or take one, in random order. The order of an epoch follows from (seed, epoch), so a run can resume
at any step without drawing the previous ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from synaug.errors import OptionError, unknown
from synaug.training.training_set import TrainingSet

Sampler = Callable[..., tuple[np.ndarray, np.ndarray]]
"""Called as ``sampler(data, share=share)``; returns cells, shape ``(N,)``, and their shares, summing to 1."""


def instance(data: TrainingSet, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """All images equally often."""
    return _by_power(_labels(data), 1.0)


def class_balanced(data: TrainingSet, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """All classes equally often."""
    return _by_power(_labels(data), 0.0)


def square_root(data: TrainingSet, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Classes in proportion to the square root of their images (Mahajan et al. 2018)."""
    return _by_power(_labels(data), 0.5)


def progressively_balanced(data: TrainingSet, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """From image-balanced to class-balanced while ``share`` goes from 0 to 1 (Kang et al. 2020, equation 2)."""
    cells, by_image = instance(data, share=share)
    _, by_class = class_balanced(data, share=share)
    return cells, (1 - share) * by_image + share * by_class


def group_balanced(data: TrainingSet, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """All groups equally often; images of unknown group form one more group."""
    return _by_power(data.groups.cpu().numpy() + 1, 0.0)


def _labels(data: TrainingSet) -> np.ndarray:
    return data.labels.cpu().numpy()


def _by_power(values: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    _, cells, counts = np.unique(values, return_inverse=True, return_counts=True)
    shares = counts.astype(float) ** power
    return cells, shares / shares.sum()


SAMPLERS: dict[str, Sampler] = {
    "instance": instance,
    "class_balanced": class_balanced,
    "square_root": square_root,
    "progressively_balanced": progressively_balanced,
    "group_balanced": group_balanced,
}


def sampler_named(sampler: str | Sampler) -> Sampler:
    """Return the sampler for a name; a function is returned as it is."""
    if callable(sampler):
        return sampler
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    return SAMPLERS[sampler]


def epoch_order(
    sampler: str | Sampler,
    data: TrainingSet,
    *,
    rng: np.random.Generator,
    share: float = 0.0,
    max_synthetic: float = 1.0,
) -> np.ndarray:
    """Return the positions of one epoch, as many as there are images.

    Args:
        sampler: a name of ``SAMPLERS`` or a function.
        data: the images.
        rng: draws the order.
        share: completed share of the training, 0 to 1.
        max_synthetic: largest share of synthetic images, in the epoch and, give or take two, in each batch.
    """
    cells, shares = sampler_named(sampler)(data, share=share)
    quotas = whole_quotas(shares, len(data), rng)
    synthetic = data.is_synthetic.cpu().numpy()
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    by_cell = np.split(np.argsort(cells, kind="stable"), np.cumsum(np.bincount(cells, minlength=len(quotas)))[:-1])
    natural = np.array([synthetic[positions].mean() if len(positions) else 0.0 for positions in by_cell])
    has_real = natural < 1
    factor = _synthetic_factor(quotas, natural, has_real, max_synthetic)
    for cell, (positions, quota) in enumerate(zip(by_cell, quotas, strict=True)):
        if factor == 1.0 or not has_real[cell]:
            parts[0].append(_repeated(positions, quota, rng))
            continue
        num_synthetic = int(quota * natural[cell] * factor)
        parts[0].append(_repeated(positions[~synthetic[positions]], quota - num_synthetic, rng))
        parts[1].append(_repeated(positions[synthetic[positions]], num_synthetic, rng))
    if not parts[1]:
        return rng.permutation(np.concatenate(parts[0]))
    return _evenly_merged(np.concatenate(parts[0]), np.concatenate(parts[1]), rng)


def drawn_counts(sampler: str | Sampler, data: TrainingSet) -> np.ndarray:
    """Return the average number of images per class in an epoch, over the training, shape ``(num_classes,)``.

    Real and synthetic images count alike; partners of a mixing are not counted.

    >>> import torch
    >>> from synaug.training.training_set import make_training_set
    >>> labels, pixels = torch.tensor([0, 0, 0, 1]), torch.zeros(4, 1, 1, 1, dtype=torch.uint8)
    >>> data = make_training_set(pixels, labels, num_classes=2)
    >>> drawn_counts("instance", data).tolist(), drawn_counts("class_balanced", data).tolist()
    ([3.0, 1.0], [2.0, 2.0])
    """
    cells, shares = sampler_named(sampler)(data, share=0.5)
    each = (shares / np.bincount(cells, minlength=len(shares)).clip(min=1))[cells]
    return len(data) * np.bincount(_labels(data), weights=each, minlength=data.num_classes)


def whole_quotas(shares: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """Return whole numbers in proportion to the shares that sum to ``total``; the remainder is assigned at random.

    >>> whole_quotas(np.array([0.5, 0.25, 0.25]), 8, np.random.default_rng(0)).tolist()
    [4, 2, 2]
    """
    exact = shares * total
    quotas = np.floor(exact + 1e-9).astype(np.int64)
    rest = exact - quotas
    left = total - int(quotas.sum())
    if left > 0:
        order = np.lexsort((rng.random(len(shares)), -np.round(rest, 9)))
        quotas[order[:left]] += 1
    return quotas


def _synthetic_factor(quotas: np.ndarray, natural: np.ndarray, has_real: np.ndarray, max_synthetic: float) -> float:
    """Return the factor for the synthetic share of cells with real images that satisfies the cap."""
    allowed = max_synthetic * quotas.sum() - quotas[~has_real].sum()
    now = (quotas * natural)[has_real].sum()
    return float(np.clip(allowed / now, 0, 1)) if now > 0 else 1.0


def _repeated(positions: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``num`` of the positions, each equally often, give or take one."""
    if num == 0 or not len(positions):
        return positions[:0]
    whole, rest = divmod(num, len(positions))
    return np.concatenate([np.tile(positions, whole), rng.permutation(positions)[:rest]])


def _evenly_merged(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return both, shuffled and merged so that every stretch has them in the same proportion."""
    places = [(np.arange(len(part)) + rng.random()) / max(len(part), 1) for part in (first, second)]
    both = np.concatenate([rng.permutation(first), rng.permutation(second)])
    return both[np.argsort(np.concatenate(places), kind="stable")]


def batches(
    sampler: str | Sampler,
    data: TrainingSet,
    *,
    batch_size: int,
    steps: int,
    seed: int,
    start: int = 0,
    max_synthetic: float = 1.0,
) -> Iterator[np.ndarray]:
    """Yield the positions of the batches from step ``start`` to ``steps``, each of the full size.

    Batches continue across epochs, so no image is dropped because a batch is not full.

    Raises:
        OptionError: there are no images, or the sampler is unknown.
    """
    if not len(data):
        raise OptionError("There are no images to draw batches from.")
    num, total = len(data), max(steps * batch_size, 1)
    epoch, order = -1, np.empty(0, np.int64)
    for step in range(start, steps):
        pieces, position, end = [], step * batch_size, (step + 1) * batch_size
        while position < end:
            if position // num != epoch:
                epoch = position // num
                order = epoch_order(
                    sampler,
                    data,
                    rng=np.random.default_rng([seed, 1, epoch]),
                    share=min(epoch * num / total, 1.0),
                    max_synthetic=max_synthetic,
                )
            inside = position - epoch * num
            piece = order[inside : inside + end - position]
            pieces.append(piece)
            position += len(piece)
        yield np.concatenate(pieces)
