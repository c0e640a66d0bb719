"""Give the synthetic images of a training set the mean spectrum of its real ones, each in part."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synaug.data import Manifest
from synaug.data.images import SpectralGain, SpectralSide, matching_gain
from synaug.runtime import Progress, signals, silent, storage

if TYPE_CHECKING:
    from torch import Tensor

    from synaug.training import TrainingSet
    from synaug.training.lazy_images import ImageFiles


def with_matched_spectrum(
    images: TrainingSet, manifest: Manifest, *, twins: Manifest | None = None, progress: Progress = silent
) -> TrainingSet:
    """Return the set with its synthetic images changed; as it is if there are too few images of either kind.

    Each image is changed by a share of the whole correction, drawn from 0 to 1. With the whole one, all synthetic
    images would have the same artificial sharpness, which a network can learn for the class that they belong to.
    Autoencoded real images are changed alike, since they are to look like synthetic ones. Synthetic images in memory
    are changed in place; files are changed each time they are decoded, to the same pixels.

    Args:
        images: real and synthetic images.
        manifest: its rows.
        twins: rows of its autoencoded images.
        progress: called with the progress so far.
    """
    from torch import Tensor

    gain = spectral_gain(images)
    if gain is None:
        return images
    strengths = np.zeros(len(manifest))
    strengths[manifest.is_synthetic] = shares(manifest.rows(manifest.is_synthetic))
    matched = replace(images, images=_changed(images.images, gain, strengths, progress))
    if images.autoencoded is None or twins is None:
        return matched
    others = images.autoencoded
    own = others.clone() if isinstance(others, Tensor) else others  # those of the real-only methods stay as they are
    return replace(matched, autoencoded=_changed(own, gain, shares(twins), progress))


def shares(manifest: Manifest) -> np.ndarray:
    """Return a number from 0 to 1 for each image, from its digest or else its id; shape ``(N,)``."""
    frame = manifest.frame
    names = (digest or image_id for digest, image_id in zip(frame["sha256"], frame["id"], strict=True))
    return np.array([int(name[:8], 16) / 16**8 for name in map(_digest, names)])


def _digest(name: str) -> str:
    """Return the name if it is a digest, else its digest."""
    return name if re.fullmatch("[0-9a-f]{64}", name) else storage.digest(name.encode())


def _changed(
    images: Tensor | ImageFiles, gain: SpectralGain, strengths: np.ndarray, progress: Progress
) -> Tensor | ImageFiles:
    from synaug.training.lazy_images import ImageFiles

    if isinstance(images, ImageFiles):
        return images.with_gain(gain, strengths)
    pixels, rows = images.numpy(), np.flatnonzero(strengths)

    def change(row: int) -> None:
        pixels[row] = gain(pixels[row], strength=float(strengths[row]))

    with ThreadPoolExecutor() as threads:
        for done, _ in enumerate(threads.map(change, rows), 1):
            progress("matching spectra", done, len(rows), "")
            if done % 256 == 0:
                signals.stop_here()
    return images


def spectral_gain(images: TrainingSet) -> SpectralGain | None:
    """Return the gain for the synthetic images of a set; None with too few images of either kind.

    They are compared with real images of their group if all of their groups are known, and of their class if that
    leaves too few.
    """
    import torch

    is_synthetic, groups = images.is_synthetic.numpy(), images.groups.numpy()

    def gain_within(cells: np.ndarray) -> SpectralGain | None:
        def side(rows: np.ndarray) -> SpectralSide:
            return SpectralSide(cells[rows], lambda picked: images.images[torch.from_numpy(rows[picked])].numpy())

        real = np.flatnonzero(~is_synthetic & (cells >= 0))
        return matching_gain(side(real), side(np.flatnonzero(is_synthetic)))

    found = gain_within(groups) if (groups[is_synthetic] >= 0).all() else None
    return gain_within(images.labels.numpy()) if found is None else found
