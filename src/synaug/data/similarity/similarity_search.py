"""Find pairs of nearly equal images among many in far less than quadratic time.

Thumbnail spectra, which shifts, mirroring and brightness hardly change, are sorted into cells around random pivots.
Only images that share a cell are compared, by thumbnail and then, if these agree, by the image itself. With about as
many cells as images per cell, the effort grows as N ** 1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from synaug.data.images import SIDE
from synaug.data.similarity.near_duplicates import distances_to, make_prints, make_views
from synaug.runtime import stop_here

ALIKE = 0.08  # the quality gates' default
_FLATTEST = 8.0  # of 255: standard deviation of a thumbnail, below which noise would be compared
_CELL = 512  # images per cell that are compared all against all
_MOST_CELLS = 1024
_CELLS_EACH = 3
_DEEPEST = 4
_NEAREST = 6  # neighbors per image and cell
_LEAST_COSINE = 0.92
_ROUGHLY = 0.5  # for thumbnails shifted by whole pixels only
_BATCH = 256
_CHUNK = 8192


def near_pairs(thumbnails: np.ndarray, read: Callable[[int], Image.Image], *, limit: float = ALIKE) -> np.ndarray:
    """Return pairs of rows with nearly equal images, int64 of shape ``(P, 2)``, the smaller row first.

    Args:
        thumbnails: gray, uint8 of shape ``(N, SIDE * SIDE)``; almost flat ones never match.
        read: returns the image of a row; called only for rows whose thumbnails match.
        limit: largest distance (``near_duplicates.alike_distances``) of a nearly equal pair.
    """
    rows = np.flatnonzero(thumbnails.std(axis=1, dtype=np.float32) >= _FLATTEST)
    if len(rows) < 2:
        return np.zeros((0, 2), np.int64)
    spectra = make_prints(thumbnails[rows]).spectra
    found = [
        rows[_near_in_cell(spectra, cell)] for cell in _cells(spectra, np.arange(len(rows)), np.random.default_rng(0))
    ]
    pairs = np.unique(np.sort(np.concatenate([np.zeros((0, 2), np.int64), *found]), axis=1), axis=0)
    pairs = pairs[_roughly_alike(thumbnails, pairs)]
    return _alike(thumbnails, pairs, read, limit)


def _cells(spectra: np.ndarray, rows: np.ndarray, rng: np.random.Generator, depth: int = 0) -> list[np.ndarray]:
    """Return overlapping sets of rows, split until small, in which nearly equal images share a set."""
    if len(rows) <= _CELL or depth >= _DEEPEST:
        return [rows[start : start + 4 * _CELL] for start in range(0, len(rows), 4 * _CELL)]
    num = min(_MOST_CELLS, max(2, round(np.sqrt(len(rows)))))
    pivots = spectra[rng.choice(rows, num, replace=False)].astype(np.float32)
    nearest = np.zeros((len(rows), _CELLS_EACH), np.int64)
    for start in range(0, len(rows), _CHUNK):
        stop_here()
        part = spectra[rows[start : start + _CHUNK]].astype(np.float32) @ pivots.T
        nearest[start : start + _CHUNK] = np.argpartition(-part, _CELLS_EACH - 1, axis=1)[:, :_CELLS_EACH]
    members, owners = np.tile(rows[:, None], _CELLS_EACH).ravel(), nearest.ravel()
    order = np.argsort(owners, kind="stable")
    parts = np.split(members[order], np.cumsum(np.bincount(owners, minlength=num))[:-1])
    return [cell for part in parts if len(part) > 1 for cell in _cells(spectra, part, rng, depth + 1)]


def _near_in_cell(spectra: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return pairs of rows of a cell with similar spectra, from each row's nearest neighbors."""
    inside = spectra[cell].astype(np.float32)
    cosines = inside @ inside.T
    np.fill_diagonal(cosines, -1)
    near = min(_NEAREST, len(cell) - 1)
    if near < 1:
        return np.zeros((0, 2), np.int64)
    others = np.argpartition(-cosines, near - 1, axis=1)[:, :near]
    first, place = np.nonzero(np.take_along_axis(cosines, others, 1) >= _LEAST_COSINE)
    return np.stack([cell[first], cell[others[first, place]]], axis=1)


def _roughly_alike(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return which pairs of thumbnails match, bool ``(P,)``, allowing for mirroring and a shift by one pixel."""
    alike = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _CHUNK):
        stop_here()
        first, second = (_square(thumbnails[pairs[start : start + _CHUNK, side]]) for side in (0, 1))
        least = np.full(len(first), np.inf)
        for other in (second, second[:, :, ::-1]):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    mine = first[:, max(down, 0) : SIDE + min(down, 0), max(right, 0) : SIDE + min(right, 0)]
                    theirs = other[:, max(-down, 0) : SIDE + min(-down, 0), max(-right, 0) : SIDE + min(-right, 0)]
                    least = np.minimum(least, ((mine - theirs) ** 2).mean((1, 2)))
        alike[start : start + _CHUNK] = np.sqrt(least) <= _ROUGHLY
    return alike


def _square(thumbnails: np.ndarray) -> np.ndarray:
    values = thumbnails.astype(np.float32).reshape(-1, SIDE, SIDE)
    values = values - values.mean((1, 2), keepdims=True)
    return values / np.maximum(values.std((1, 2), keepdims=True), _FLATTEST)


def _alike(thumbnails: np.ndarray, pairs: np.ndarray, read: Callable[[int], Image.Image], limit: float) -> np.ndarray:
    """Return the pairs in which the first image, shifted or mirrored, matches the second."""
    kept = []
    for start in range(0, len(pairs), _BATCH):
        stop_here()
        batch = pairs[start : start + _BATCH]
        for group in _of_one_side(batch, [read(int(row)) for row in batch[:, 0]]):
            views = make_views([image for _, image in group])
            second = np.array([pair[1] for pair, _ in group])
            distances = distances_to(views, thumbnails[second][:, None])
            kept += [pair for (pair, _), distance in zip(group, distances, strict=True) if distance <= limit]
    return np.array(kept, np.int64).reshape(-1, 2)


def _of_one_side(pairs: np.ndarray, images: Sequence[Image.Image]) -> list[list[tuple[np.ndarray, Image.Image]]]:
    """Return (pair, image) grouped by shortest side, since a batch of views uses the side of its first image."""
    groups: dict[int, list[tuple[np.ndarray, Image.Image]]] = {}
    for pair, image in zip(pairs, images, strict=True):
        groups.setdefault(min(64, *image.size), []).append((pair, image))
    return list(groups.values())
