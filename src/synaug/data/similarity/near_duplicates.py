"""Detect near-duplicates: images that were shifted, mirrored, brightened or recompressed.

There are two steps. First, find nearest neighbors by a feature that such changes hardly affect: the amplitudes of a
thumbnail's 2-D spectrum, averaged with those of the mirror image. Then compare the neighbors with the image itself,
over all shifts and mirrorings and where they overlap, after removing brightness and contrast: a perceptual hash with
gray levels instead of bits. ``benchmarks/copies.py`` compares it with other approaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from synaug.data.images import SIDE
from synaug.data.images.thumbnails import thumbnails

_FINE = 64  # side in pixels at which images are shifted
_FARTHEST = 14  # an image is shifted by up to 1/14 of its side
_STEPS = 5  # positions across and down
_NEIGHBORS = 16  # neighbors that are compared closely
_LOWEST_SPREAD = 8.0  # of 255; below it contrast is kept, since noise would be compared otherwise
EQUAL = 0.005  # mean absolute difference (0 to 1) up to which two thumbnails count as equal
_CHUNK = 8192
_NO_SPECTRA = np.zeros((0, SIDE * (SIDE // 2 + 1)), np.float32)
_WHOLE = np.ones(SIDE * SIDE, np.float32)


@dataclass(frozen=True, eq=False)
class Prints:
    """Known images: gray thumbnails ``(N, SIDE * SIDE)``, and the spectra used to find them."""

    thumbnails: np.ndarray
    spectra: np.ndarray


@dataclass(frozen=True, eq=False)
class Views:
    """Images to judge: each in ``V`` positions, plain and mirrored, ``(N, V, 2, SIDE * SIDE)``, and their spectra.

    ``inside`` is 1 where a position shows the image and 0 where it was shifted away, shape ``(V, SIDE * SIDE)``.
    """

    places: np.ndarray
    inside: np.ndarray
    spectra: np.ndarray

    def only(self, position: int) -> Views:
        """Return the views of one image."""
        chosen = slice(position, position + 1)
        return Views(self.places[chosen], self.inside, self.spectra[chosen])


def make_prints(pixels: np.ndarray) -> Prints:
    """Return the prints of gray or RGB thumbnails of shape ``(N, D)``, as made by ``thumbnails.thumbnails``."""
    gray = pixels if pixels.shape[1] == SIDE * SIDE else _gray(pixels)
    parts = [_spectra(_normalized(gray[i : i + _CHUNK])) for i in range(0, len(gray), _CHUNK)]
    return Prints(gray, np.concatenate([_NO_SPECTRA, *parts]).astype(np.float16))


def _gray(pixels: np.ndarray) -> np.ndarray:
    colors = pixels.reshape(len(pixels), SIDE * SIDE, 3)  # explicit size: -1 is ambiguous without images
    return np.rint(colors @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)


def make_views(images: Sequence[Image.Image]) -> Views:
    """Return the images in all positions for comparison; the spectrum is that of the unshifted image."""
    if not images:
        return Views(np.zeros((0, 1, 2, SIDE * SIDE), np.float32), _WHOLE[None], _NO_SPECTRA)
    side = max(SIDE, min(_FINE, *images[0].size))
    fine = np.stack([np.asarray(each.convert("L").resize((side, side), Image.Resampling.BOX)) for each in images])
    both = np.stack([fine, fine[..., ::-1]], 1).astype(np.float32)  # Pillow's means depend on the direction
    reducers, inside = _reducers(side)
    rows = np.einsum("dts,nmsx->nmdtx", reducers, both, optimize=True)
    places = np.einsum("nmdtx,eux->ndemtu", rows, reducers, optimize=True).reshape(len(images), -1, 2, SIDE * SIDE)
    overlaps = np.einsum("dt,eu->detu", inside, inside).reshape(-1, SIDE * SIDE)
    plain = _normalized(places[:, _STEPS * _STEPS // 2, 0])
    return Views(_normalized(places, overlaps[:, None]), overlaps, _spectra(plain))


def _reducers(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return matrices that shift and average ``side`` pixels, and which averages cover only the image.

    Shapes ``(_STEPS, SIDE, side)`` and ``(_STEPS, SIDE)``.
    """
    each_pixel = Image.fromarray(np.eye(side, dtype=np.float32))
    means = np.asarray(each_pixel.resize((SIDE, side), Image.Resampling.BOX))  # weights as used by Pillow, (side, SIDE)
    resampled, inside = np.zeros((_STEPS, SIDE, side), np.float32), np.ones((_STEPS, SIDE), np.float32)
    farthest = max(1, round(side / _FARTHEST))
    for step, shift in enumerate(np.linspace(-farthest, farthest, _STEPS).astype(int)):
        sources = np.arange(side) + shift
        nearest = np.clip(sources, 0, side - 1)  # repeat the border
        np.add.at(resampled[step].T, nearest, means)
        inside[step] = (means[sources != nearest] == 0).all(0)
    return resampled, inside


def _normalized(thumbnails: np.ndarray, inside: np.ndarray = _WHOLE) -> np.ndarray:
    """Return the thumbnails with mean 0 and standard deviation 1 where ``inside`` is 1, and 0 elsewhere."""
    number = inside.sum(-1, keepdims=True)
    centered = (thumbnails - (thumbnails * inside).sum(-1, keepdims=True) / number) * inside
    spread = np.sqrt((centered**2).sum(-1, keepdims=True) / number)
    return centered / np.maximum(spread, _LOWEST_SPREAD)


def _spectra(normal: np.ndarray) -> np.ndarray:
    """Return unit vectors of amplitudes averaged over an image and its mirror image, shape ``(N, S)``."""
    amplitudes = np.abs(np.fft.fft2(normal.reshape(-1, SIDE, SIDE))).astype(np.float32)
    mirrored = amplitudes[:, :, -np.arange(SIDE) % SIDE]
    both = (amplitudes + mirrored)[:, :, : SIDE // 2 + 1].reshape(len(normal), -1)
    return both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-6)


def alike_distances(views: Views, known: Prints) -> np.ndarray:
    """Return the distance of each image to the most similar known one, shape ``(N,)``: 0 equal, about 1.4 unrelated.

    It is the root mean squared difference of the normalized thumbnails, minimized over positions; infinite if there are
    no known images.
    """
    if not len(known.thumbnails) or not len(views.places):
        return np.full(len(views.places), np.inf)
    return distances_to(views, known.thumbnails[_nearest(views.spectra, known.spectra)])


def distances_to(views: Views, thumbnails: np.ndarray) -> np.ndarray:
    """Return the distance of each image to the most similar of its own K thumbnails ``(N, K, SIDE * SIDE)``."""
    near = thumbnails.astype(np.float32)
    least = np.full(len(near), np.inf)
    for place, inside in enumerate(views.inside):
        mine, theirs = views.places[:, place], _normalized(near, inside)
        products = mine @ theirs.transpose(0, 2, 1)
        squared = (mine**2).sum(-1)[:, :, None] + (theirs**2).sum(-1)[:, None, :] - 2 * products
        least = np.minimum(least, squared.min((1, 2)) / inside.sum())
    return np.sqrt(np.maximum(least, 0))


def _nearest(spectra: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the positions of each image's nearest known images, shape ``(N, K)``."""
    best, places = np.zeros((len(spectra), 0), np.float32), np.zeros((len(spectra), 0), np.int64)
    for start in range(0, len(known), _CHUNK):
        part = spectra @ known[start : start + _CHUNK].astype(np.float32).T
        best = np.concatenate([best, part], 1)
        places = np.concatenate([places, np.broadcast_to(np.arange(part.shape[1]) + start, part.shape)], 1)
        order = np.argpartition(-best, min(_NEIGHBORS, best.shape[1]) - 1, 1)[:, :_NEIGHBORS]
        best, places = np.take_along_axis(best, order, 1), np.take_along_axis(places, order, 1)
    return places


def has_twin(images: Sequence[Image.Image], limit: float) -> np.ndarray:
    """Return whether each image is a near-duplicate of another one in the list, bool of shape ``(N,)``.

    Args:
        images: images of one class.
        limit: largest distance of near-duplicates; see ``alike_distances``.
    """
    views, prints = make_views(images), make_prints(thumbnails(images))
    others = [np.arange(len(images)) != position for position in range(len(images))]
    distances = [
        alike_distances(views.only(position), Prints(prints.thumbnails[rest], prints.spectra[rest]))[0]
        for position, rest in enumerate(others)
    ]
    return (np.array(distances) <= limit) | _has_equal(prints.thumbnails)


def _has_equal(thumbnails: np.ndarray) -> np.ndarray:
    """Return whether each thumbnail is practically equal to another one.

    In finely patterned images, views and thumbnails round differently, so even equal images can seem different.
    """
    from sklearn.metrics import pairwise_distances

    if len(thumbnails) < 2:
        return np.zeros(len(thumbnails), bool)
    differences = pairwise_distances(thumbnails.astype(np.float32), metric="manhattan") / (255 * thumbnails.shape[1])
    np.fill_diagonal(differences, np.inf)
    return differences.min(1) <= EQUAL
