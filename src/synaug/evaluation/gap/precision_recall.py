"""Compare nearest neighbors of real and synthetic images: precision, recall, density, coverage and diversity.

Features are rows of one array; distances are Euclidean, and only one block of them is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_CELLS = 4_000_000  # distances in memory at a time


@dataclass(frozen=True)
class Manifold:
    """k-nearest-neighbor scores in [0, 1], density 0 or more; NaN with too few images.

    ``precision``: share of synthetic images within the neighborhood of some real one (Kynkäänniemi et al. 2019);
    ``recall``: share of real ones within that of some synthetic one. ``density`` is the number of real neighborhoods
    that contain a synthetic image, divided by k; ``coverage`` is the share of real images whose neighborhood contains a
    synthetic one (Naeem et al. 2020).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(*, real: np.ndarray, synthetic: np.ndarray, num_neighbors: int = 5) -> Manifold:
    """Return precision, recall, density and coverage; NaN with ``num_neighbors`` or fewer images per side."""
    if min(len(real), len(synthetic)) <= num_neighbors:
        return Manifold(math.nan, math.nan, math.nan, math.nan)
    real_radii, synthetic_radii = _radii(real, num_neighbors), _radii(synthetic, num_neighbors)
    inside_real = np.zeros(len(synthetic), np.int64)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, distances in _distance_blocks(real, synthetic):
        within = distances <= real_radii[rows, None]
        inside_real += within.sum(axis=0)
        covered[rows] = within.any(axis=1)
        recalled[rows] = (distances <= synthetic_radii).any(axis=1)
    return Manifold(
        precision=float((inside_real > 0).mean()),
        recall=float(recalled.mean()),
        density=float(inside_real.mean() / num_neighbors),
        coverage=float(covered.mean()),
    )


def diversity(features: np.ndarray) -> float:
    """Return the mean distance between two different images; NaN with fewer than two.

    >>> diversity(np.array([[0.0], [3.0], [6.0]]))
    4.0
    """
    if len(features) < 2:
        return math.nan
    total = sum(float(distances.sum()) for _, distances in _distance_blocks(features, features))
    return total / (len(features) * (len(features) - 1))


def _radii(features: np.ndarray, num_neighbors: int) -> np.ndarray:
    """Return each image's distance to its k-th nearest other image, shape ``(N,)``."""
    radii = np.empty(len(features))
    for rows, distances in _distance_blocks(features, features):
        radii[rows] = np.partition(distances, num_neighbors, axis=1)[:, num_neighbors]
    return radii


def _distance_blocks(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield blocks of Euclidean distances, from some rows of the first array to all rows of the second."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    center = second.mean(axis=0)
    first, second = first - center, second - center
    lengths = (second**2).sum(axis=1)
    step = max(1, _CELLS // len(second))
    for start in range(0, len(first), step):
        rows = slice(start, min(start + step, len(first)))
        block = first[rows]
        squares = (block**2).sum(axis=1)[:, None] + lengths - 2 * block @ second.T
        yield rows, np.sqrt(np.maximum(squares, 0))
