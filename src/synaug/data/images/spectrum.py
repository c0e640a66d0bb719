"""Match the mean spectrum of synthetic images to that of real ones, so that their sharpness does not give them away.

Generated images are often too smooth, since a diffusion model learns fine detail last, or too rough. Each spatial
frequency is scaled by a factor that is computed over all images, which changes no image's subject. Frequencies are
those of a cosine transform, whose mirrored borders are no edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from synaug.runtime import signals, storage

BANDS = 20  # of equal width, from frequency 0 to that of a checkerboard; at 28 pixels one period per image each
LARGEST_FACTOR = 3.0  # more would amplify rounding to 8 bits; nor are factors below a third needed
LEAST_WEIGHT = 20  # 20 real and very many synthetic images, or 40 of each; with fewer, chance would decide
_CHUNK = 64  # images that are read at once
_DECIMALS = 6  # of the factors, so that they do not depend on the machine


@dataclass(frozen=True, eq=False)
class SpectralGain:
    """Factors by which spatial frequencies are scaled.

    Attributes:
        factors: per channel and band, coarse to fine, float64 of shape ``(C, BANDS)``; from 1/3 to 3.
    """

    factors: np.ndarray

    def __call__(self, pixels: np.ndarray, *, strength: float = 1.0) -> np.ndarray:
        """Return one image with scaled frequencies; its mean brightness stays but for pixels that leave 0 to 255.

        Args:
            pixels: uint8 of shape ``(C, H, W)``.
            strength: exponent of the factors; 0: no change.
        """
        from scipy.fft import dctn, idctn

        coefficients = dctn(pixels.astype(np.float32), axes=(1, 2), norm="ortho")
        coefficients *= np.exp(np.float32(strength) * _of_size(self.factors.tobytes(), pixels.shape))
        changed = idctn(coefficients, axes=(1, 2), norm="ortho")
        return np.rint(changed).clip(0, 255).astype(np.uint8)

    def digest(self) -> str:
        """Return a digest of the factors."""
        return storage.digest(self.factors.tobytes())


@dataclass(frozen=True)
class SpectralSide:
    """Real or synthetic images: ``read(positions)`` returns them as uint8 of shape ``(N, C, H, W)``.

    ``cells`` is the class of each image or, if known, its class and attribute as one number; shape ``(N,)``.
    """

    cells: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]


def matching_gain(real: SpectralSide, synthetic: SpectralSide, *, most: int = 4000) -> SpectralGain | None:
    """Return the gain that gives synthetic images the mean amplitudes of real ones, None if there are too few images.

    Args:
        real: the real training images.
        synthetic: the synthetic images.
        most: images that are read per side, approximately.
    """
    ratio = amplitude_ratio(real, synthetic, most=most)
    return None if ratio is None else SpectralGain(ratio.clip(1 / LARGEST_FACTOR, LARGEST_FACTOR).round(_DECIMALS))


def amplitude_ratio(real: SpectralSide, synthetic: SpectralSide, *, most: int = 4000) -> np.ndarray | None:
    """Return the amplitude of real over that of synthetic images per channel and band, None if there are too few.

    Amplitudes are compared within each cell, so that a set whose rare classes are mostly synthetic does not confuse a
    class with a kind of image. The logarithms are averaged over the cells, weighted by the number of image pairs
    ``1 / (1 / real + 1 / synthetic)``. Arguments are those of ``matching_gain``.
    """
    shared = np.intersect1d(real.cells, synthetic.cells)
    weights, logs = [], []
    for cell in shared:
        picks = [_spread(np.flatnonzero(side.cells == cell), most // len(shared) + 1) for side in (real, synthetic)]
        weights.append(1 / sum(1 / len(pick) for pick in picks))
        measured = [_amplitudes(_read(side, pick)) for side, pick in zip((real, synthetic), picks, strict=True)]
        logs.append(np.log(measured[0]) - np.log(measured[1]))
    return np.exp(np.average(logs, axis=0, weights=weights)) if sum(weights) >= LEAST_WEIGHT else None


def amplitudes(images: np.ndarray) -> np.ndarray:
    """Return the mean amplitude per channel and band, shape ``(C, BANDS)``, of uint8 images ``(N, C, H, W)``.

    Bands without a frequency, in images of few pixels, have the amplitude of the nearest coarser one, or the first.
    """
    return _amplitudes(iter(images))


def _amplitudes(images: Iterator[np.ndarray]) -> np.ndarray:
    from scipy.fft import dctn

    spectra = (np.abs(dctn(image.astype(np.float32), axes=(1, 2), norm="ortho")) for image in images)
    found = next(spectra).astype(np.float64)
    number = 1
    for spectrum in spectra:
        found += spectrum
        number += 1
    found /= number
    bands, counts = _bands(*found.shape[1:])
    means = np.stack([np.bincount(bands, channel.ravel()[1:], BANDS) for channel in found]) / np.maximum(counts, 1)
    filled = np.flatnonzero(counts)
    nearest = filled[np.maximum(np.searchsorted(filled, np.arange(BANDS), side="right") - 1, 0)]
    return np.maximum(means[:, nearest], 1e-3)  # of a channel in one color


def _read(side: SpectralSide, positions: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the images at these positions; only a few are in memory at a time."""
    for start in range(0, len(positions), _CHUNK):
        signals.stop_here()
        yield from side.read(positions[start : start + _CHUNK])


def _spread(positions: np.ndarray, most: int) -> np.ndarray:
    """Return up to ``most`` of the positions, evenly spaced."""
    return positions[np.unique(np.linspace(0, len(positions) - 1, min(most, len(positions))).astype(int))]


def _radii(height: int, width: int) -> np.ndarray:
    """Return the frequency of each coefficient, as a share of that of a checkerboard, shape ``(H, W)``."""
    return np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width) / np.sqrt(2)


@lru_cache(maxsize=8)
def _bands(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the band of each coefficient but the mean, flattened, and the number of coefficients per band."""
    bands = np.minimum((_radii(height, width) * BANDS).astype(int), BANDS - 1).ravel()[1:]
    return bands, np.bincount(bands, minlength=BANDS)


@lru_cache(maxsize=8)
def _of_size(factors: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Return the logarithm of each coefficient's factor, interpolated between bands, float32 of shape ``(C, H, W)``."""
    channels, height, width = shape
    centers, radii = (np.arange(BANDS) + 0.5) / BANDS, _radii(height, width)
    logs = np.log(np.frombuffer(factors).reshape(channels, BANDS))
    whole = np.stack([np.interp(radii, centers, row) for row in logs]).astype(np.float32)
    whole[:, 0, 0] = 0
    return whole
