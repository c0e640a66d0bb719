"""Tell whether an image is another one in disguise: shifted, mirrored, brighter, or compressed again.

Two steps: nearest neighbours by a feature that such changes hardly touch (the amplitudes of the two-dimensional
spectrum of a thumbnail, the same for an image and its mirror image), then the neighbours are compared with the image
itself, shifted and mirrored in all ways, brightness and contrast taken out: a perceptual hash with grey levels in the
place of bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from synaug.synthesis.scorers import SIDE

_FINE = 64  # side in pixels at which images are shifted
_FARTHEST = 14  # an image is shifted by up to a 14th of its side
_STEPS = 5  # places across and down
_NEIGHBOURS = 16  # that are looked at closely
_LOWEST_SPREAD = 8.0  # of 255; below it contrast is not taken out, else noise would be compared
_CHUNK = 8192
_NO_SPECTRA = np.zeros((0, SIDE * (SIDE // 2 + 1)), np.float32)


@dataclass(frozen=True, eq=False)
class Prints:
    """Known images: grey thumbnails ``(N, SIDE * SIDE)`` and the spectra to find them by."""

    thumbnails: np.ndarray
    spectra: np.ndarray


@dataclass(frozen=True, eq=False)
class Views:
    """Images to be judged: each in all its ``V`` places, ``(N, V, SIDE * SIDE)``, and their spectra."""

    places: np.ndarray
    spectra: np.ndarray

    def only(self, position: int) -> Views:
        """Return the views of one image."""
        return Views(self.places[position : position + 1], self.spectra[position : position + 1])


def make_prints(pixels: np.ndarray) -> Prints:
    """Return the prints of thumbnails as ``scorers.thumbnails`` makes them, grey or RGB, shape ``(N, D)``."""
    grey = pixels if pixels.shape[1] == SIDE * SIDE else _grey(pixels)
    parts = [_spectra(_normalised(grey[i : i + _CHUNK])) for i in range(0, len(grey), _CHUNK)]
    return Prints(grey, np.concatenate([_NO_SPECTRA, *parts]).astype(np.float16))


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels.reshape(len(pixels), -1, 3) @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)


def make_views(images: Sequence[Image.Image]) -> Views:
    """Return images in all places that they are compared in; the one as it is makes the spectrum."""
    if not images:
        return Views(np.zeros((0, 1, SIDE * SIDE), np.float32), _NO_SPECTRA)
    side = max(SIDE, min(_FINE, *images[0].size))
    fine = np.stack([np.asarray(each.convert("L").resize((side, side), Image.Resampling.BOX)) for each in images])
    both = np.stack([fine, fine[..., ::-1]], 1).astype(np.float32)  # Pillow's means are not the same from both sides
    reducers = _reducers(side)
    rows = np.einsum("dts,nmsx->nmdtx", reducers, both, optimize=True)
    places = np.einsum("nmdtx,eux->nmdetu", rows, reducers, optimize=True).reshape(len(images), -1, SIDE * SIDE)
    normal = _normalised(places)
    return Views(normal, _spectra(normal[:, _STEPS * _STEPS // 2]))


def _reducers(side: int) -> np.ndarray:
    """Return the matrices that shift ``side`` pixels and take their means, shape ``(_STEPS, SIDE, side)``."""
    each_pixel = Image.fromarray(np.eye(side, dtype=np.float32))
    means = np.asarray(each_pixel.resize((SIDE, side), Image.Resampling.BOX))  # as Pillow takes them, (side, SIDE)
    pixels = np.arange(side)
    made = np.zeros((_STEPS, SIDE, side), np.float32)
    farthest = max(1, round(side / _FARTHEST))
    for step, shift in enumerate(np.linspace(-farthest, farthest, _STEPS).astype(int)):
        np.add.at(made[step].T, np.clip(pixels + shift, 0, side - 1), means)  # the border is repeated
    return made


def _normalised(thumbnails: np.ndarray) -> np.ndarray:
    centred = thumbnails - thumbnails.mean(-1, keepdims=True, dtype=np.float32)
    return centred / np.maximum(centred.std(-1, keepdims=True), _LOWEST_SPREAD)


def _spectra(normal: np.ndarray) -> np.ndarray:
    """Return amplitudes, the mean of an image's and its mirror image's, as unit vectors, shape ``(N, S)``."""
    amplitudes = np.abs(np.fft.fft2(normal.reshape(-1, SIDE, SIDE))).astype(np.float32)
    mirrored = amplitudes[:, :, -np.arange(SIDE) % SIDE]
    both = (amplitudes + mirrored)[:, :, : SIDE // 2 + 1].reshape(len(normal), -1)
    return both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-6)


def alike_distances(views: Views, known: Prints) -> np.ndarray:
    """Return how different each image is from the likest known one, shape ``(N,)``: 0 equal, about 1.4 unrelated.

    The root of the mean squared difference of the normalised thumbnails; infinite where nothing is known.
    """
    if not len(known.thumbnails) or not len(views.places):
        return np.full(len(views.places), np.inf)
    near = _nearest(views.spectra, known.spectra)
    others = _normalised(known.thumbnails[near])
    products = views.places @ others.transpose(0, 2, 1)
    squared = (views.places**2).sum(-1)[:, :, None] + (others**2).sum(-1)[:, None, :] - 2 * products
    return np.sqrt(np.maximum(squared.min((1, 2)), 0) / (SIDE * SIDE))


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
