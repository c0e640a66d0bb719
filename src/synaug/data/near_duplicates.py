"""Tell whether an image is another one in disguise: shifted, mirrored, brighter, or compressed again.

Two steps: nearest neighbors by a feature that such changes hardly touch (the amplitudes of the two-dimensional
spectrum of a thumbnail, the same for an image and its mirror image), then the neighbors are compared with the image
itself, shifted and mirrored in all ways, as far as they overlap, brightness and contrast taken out: a perceptual hash
with grey levels in the place of bits. ``benchmarks/copies.py`` measures it beside other ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from synaug.data.thumbnails import SIDE, thumbnails

_FINE = 64  # side in pixels at which images are shifted
_FARTHEST = 14  # an image is shifted by up to a 14th of its side
_STEPS = 5  # places across and down
_NEIGHBOURS = 16  # that are looked at closely
_LOWEST_SPREAD = 8.0  # of 255; below it contrast is not taken out, else noise would be compared
EQUAL = 0.005  # mean absolute difference (0 to 1) up to which two thumbnails are equal
_CHUNK = 8192
_NO_SPECTRA = np.zeros((0, SIDE * (SIDE // 2 + 1)), np.float32)
_WHOLE = np.ones(SIDE * SIDE, np.float32)


@dataclass(frozen=True, eq=False)
class Prints:
    """Known images: grey thumbnails ``(N, SIDE * SIDE)`` and the spectra to find them by."""

    thumbnails: np.ndarray
    spectra: np.ndarray


@dataclass(frozen=True, eq=False)
class Views:
    """Images to be judged: each in its ``V`` places, plain and mirrored, ``(N, V, 2, SIDE * SIDE)``, and their spectra.

    ``inside`` is 1 where a place shows the image and 0 where it was shifted away, shape ``(V, SIDE * SIDE)``.
    """

    places: np.ndarray
    inside: np.ndarray
    spectra: np.ndarray

    def only(self, position: int) -> Views:
        """Return the views of one image."""
        chosen = slice(position, position + 1)
        return Views(self.places[chosen], self.inside, self.spectra[chosen])


def make_prints(pixels: np.ndarray) -> Prints:
    """Return the prints of thumbnails as ``scorers.thumbnails`` makes them, grey or RGB, shape ``(N, D)``."""
    grey = pixels if pixels.shape[1] == SIDE * SIDE else _grey(pixels)
    parts = [_spectra(_normalized(grey[i : i + _CHUNK])) for i in range(0, len(grey), _CHUNK)]
    return Prints(grey, np.concatenate([_NO_SPECTRA, *parts]).astype(np.float16))


def _grey(pixels: np.ndarray) -> np.ndarray:
    colors = pixels.reshape(len(pixels), SIDE * SIDE, 3)  # in full: -1 is ambiguous without images
    return np.rint(colors @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)


def make_views(images: Sequence[Image.Image]) -> Views:
    """Return images in all places that they are compared in; the one as it is makes the spectrum."""
    if not images:
        return Views(np.zeros((0, 1, 2, SIDE * SIDE), np.float32), _WHOLE[None], _NO_SPECTRA)
    side = max(SIDE, min(_FINE, *images[0].size))
    fine = np.stack([np.asarray(each.convert("L").resize((side, side), Image.Resampling.BOX)) for each in images])
    both = np.stack([fine, fine[..., ::-1]], 1).astype(np.float32)  # Pillow's means are not the same from both sides
    reducers, inside = _reducers(side)
    rows = np.einsum("dts,nmsx->nmdtx", reducers, both, optimize=True)
    places = np.einsum("nmdtx,eux->ndemtu", rows, reducers, optimize=True).reshape(len(images), -1, 2, SIDE * SIDE)
    overlaps = np.einsum("dt,eu->detu", inside, inside).reshape(-1, SIDE * SIDE)
    plain = _normalized(places[:, _STEPS * _STEPS // 2, 0])
    return Views(_normalized(places, overlaps[:, None]), overlaps, _spectra(plain))


def _reducers(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices that shift ``side`` pixels and take their means, and which means are of the image alone.

    Shapes ``(_STEPS, SIDE, side)`` and ``(_STEPS, SIDE)``.
    """
    each_pixel = Image.fromarray(np.eye(side, dtype=np.float32))
    means = np.asarray(each_pixel.resize((SIDE, side), Image.Resampling.BOX))  # as Pillow takes them, (side, SIDE)
    made, inside = np.zeros((_STEPS, SIDE, side), np.float32), np.ones((_STEPS, SIDE), np.float32)
    farthest = max(1, round(side / _FARTHEST))
    for step, shift in enumerate(np.linspace(-farthest, farthest, _STEPS).astype(int)):
        sources = np.arange(side) + shift
        nearest = np.clip(sources, 0, side - 1)  # the border is repeated
        np.add.at(made[step].T, nearest, means)
        inside[step] = (means[sources != nearest] == 0).all(0)
    return made, inside


def _normalized(thumbnails: np.ndarray, inside: np.ndarray = _WHOLE) -> np.ndarray:
    """Return the thumbnails with mean 0 and standard deviation 1 where ``inside`` is 1, and 0 elsewhere."""
    number = inside.sum(-1, keepdims=True)
    centerd = (thumbnails - (thumbnails * inside).sum(-1, keepdims=True) / number) * inside
    spread = np.sqrt((centerd**2).sum(-1, keepdims=True) / number)
    return centerd / np.maximum(spread, _LOWEST_SPREAD)


def _spectra(normal: np.ndarray) -> np.ndarray:
    """Return amplitudes, the mean of an image's and its mirror image's, as unit vectors, shape ``(N, S)``."""
    amplitudes = np.abs(np.fft.fft2(normal.reshape(-1, SIDE, SIDE))).astype(np.float32)
    mirrored = amplitudes[:, :, -np.arange(SIDE) % SIDE]
    both = (amplitudes + mirrored)[:, :, : SIDE // 2 + 1].reshape(len(normal), -1)
    return both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-6)


def alike_distances(views: Views, known: Prints) -> np.ndarray:
    """Return how different each image is from the likest known one, shape ``(N,)``: 0 equal, about 1.4 unrelated.

    The root of the mean squared difference of the normalized thumbnails in the place where it is least; infinite where
    nothing is known.
    """
    if not len(known.thumbnails) or not len(views.places):
        return np.full(len(views.places), np.inf)
    return distances_to(views, known.thumbnails[_nearest(views.spectra, known.spectra)])


def distances_to(views: Views, thumbnails: np.ndarray) -> np.ndarray:
    """Return how different each image is from the likest of its own K thumbnails ``(N, K, SIDE * SIDE)``."""
    near = thumbnails.astype(np.float32)
    least = np.full(len(near), np.inf)
    for place, inside in enumerate(views.inside):
        mine, theirs = views.places[:, place], _normalized(near, inside)
        products = mine @ theirs.transpose(0, 2, 1)
        squared = (mine**2).sum(-1)[:, :, None] + (theirs**2).sum(-1)[:, None, :] - 2 * products
        least = np.minimum(least, squared.min((1, 2)) / inside.sum())
    return np.sqrt(np.maximum(least, 0))


def _nearest(spectra: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the positions of each image's nearest known ones, shape ``(N, K)``."""
    best, places = np.zeros((len(spectra), 0), np.float32), np.zeros((len(spectra), 0), np.int64)
    for start in range(0, len(known), _CHUNK):
        part = spectra @ known[start : start + _CHUNK].astype(np.float32).T
        best = np.concatenate([best, part], 1)
        places = np.concatenate([places, np.broadcast_to(np.arange(part.shape[1]) + start, part.shape)], 1)
        order = np.argpartition(-best, min(_NEIGHBOURS, best.shape[1]) - 1, 1)[:, :_NEIGHBOURS]
        best, places = np.take_along_axis(best, order, 1), np.take_along_axis(places, order, 1)
    return places


def has_twin(images: Sequence[Image.Image], limit: float) -> np.ndarray:
    """Return whether each image is a near-duplicate of another one of them, bool of shape ``(N,)``.

    Args:
        images: of one class.
        limit: distance up to which two images are near-duplicates; see ``alike_distances``.
    """
    views, prints = make_views(images), make_prints(thumbnails(images))
    others = [np.arange(len(images)) != position for position in range(len(images))]
    distances = [
        alike_distances(views.only(position), Prints(prints.thumbnails[rest], prints.spectra[rest]))[0]
        for position, rest in enumerate(others)
    ]
    return (np.array(distances) <= limit) | _has_equal(prints.thumbnails)


def _has_equal(thumbnails: np.ndarray) -> np.ndarray:
    """Return whether a thumbnail is all but equal to another one.

    In finely patterned images, views and thumbnails round differently, so that equal images can look different.
    """
    from sklearn.metrics import pairwise_distances

    if len(thumbnails) < 2:
        return np.zeros(len(thumbnails), bool)
    differences = pairwise_distances(thumbnails.astype(np.float32), metric="manhattan") / (255 * thumbnails.shape[1])
    np.fill_diagonal(differences, np.inf)
    return differences.min(1) <= EQUAL
