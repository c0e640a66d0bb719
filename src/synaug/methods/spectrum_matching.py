"""Give the synthetic images of a training set the mean spectrum of its real ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synaug.data.images import SpectralGain, SpectralSide, matching_gain
from synaug.runtime import Progress, signals, silent

if TYPE_CHECKING:
    from synaug.training import TrainingSet


def with_matched_spectrum(images: TrainingSet, *, progress: Progress = silent) -> TrainingSet:
    """Return the set with its synthetic images changed; as it is if there are too few images of either kind.

    Images in memory are changed in place; files are changed each time they are decoded, to the same pixels.
    """
    from synaug.training.lazy_images import ImageFiles

    gain = spectral_gain(images)
    if gain is None:
        return images
    if isinstance(images.images, ImageFiles):
        return replace(images, images=images.images.with_gain(gain))
    pixels, synthetic = images.images.numpy(), np.flatnonzero(images.is_synthetic.numpy())

    def change(row: int) -> None:
        pixels[row] = gain(pixels[row])

    with ThreadPoolExecutor() as threads:
        for done, _ in enumerate(threads.map(change, synthetic), 1):
            progress("matching spectra", done, len(synthetic), "")
            if done % 256 == 0:
                signals.stop_here()
    return images


def spectral_gain(images: TrainingSet) -> SpectralGain | None:
    """Return the gain for the synthetic images of a set, compared within groups if all of those are known."""
    import torch

    is_synthetic, groups = images.is_synthetic.numpy(), images.groups.numpy()
    cells = groups if (groups[is_synthetic] >= 0).all() else images.labels.numpy()

    def side(rows: np.ndarray) -> SpectralSide:
        return SpectralSide(cells[rows], lambda picked: images.images[torch.from_numpy(rows[picked])].numpy())

    real = np.flatnonzero(~is_synthetic & (cells >= 0))
    return matching_gain(side(real), side(np.flatnonzero(is_synthetic)))
