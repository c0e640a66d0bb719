"""Decode images that do not fit into memory, by threads, when a batch needs them.

``ImageFiles`` replaces the uint8 tensor in a ``TrainingSet``. Indexed with positions it returns the same pixels, so
training gives bit-identical results on either path.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from synaug.data import Manifest, read_image
from synaug.data.images import SpectralGain
from synaug.runtime import storage


class ImageFiles:
    """The images of a manifest, with the interface of a uint8 tensor of shape ``(N, C, H, W)``.

    Attributes:
        shape: shape of that tensor.

    Args:
        manifest: the images.
        channels: 1 or 3.
        size: width and height to which images are resized and cropped.
        gain: changes images after decoding.
        strengths: how much it changes each image, shape ``(N,)``; 0: not at all, as by default.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        channels: int,
        size: tuple[int, int],
        gain: SpectralGain | None = None,
        strengths: np.ndarray | None = None,
    ) -> None:
        self._manifest, self._size, self._gain = manifest, size, gain
        self._strengths = np.zeros(len(manifest)) if strengths is None else strengths
        self.shape = torch.Size((len(manifest), channels, size[1], size[0]))
        self._threads = ThreadPoolExecutor()
        self._waiting: dict[int, Future[np.ndarray]] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Return the decoded images at these positions, on the CPU."""
        wanted = positions.tolist()
        futures = [self._waiting.get(row) or self._threads.submit(self._decode, row) for row in wanted]
        self._waiting = {row: future for row, future in self._waiting.items() if row not in set(wanted)}
        return torch.from_numpy(np.stack([future.result() for future in futures]))

    def prefetch(self, positions: np.ndarray) -> None:
        """Start decoding images that will be needed soon."""
        for row in set(positions.tolist()) - self._waiting.keys():
            self._waiting[row] = self._threads.submit(self._decode, row)

    def rows(self, positions: Tensor) -> ImageFiles:
        """Return the images at these positions or under this mask, still not decoded."""
        chosen = positions.cpu().numpy()
        return self._like(self._manifest.rows(chosen), self._gain, self._strengths[chosen])

    def with_gain(self, gain: SpectralGain, strengths: np.ndarray) -> ImageFiles:
        """Return the images, changed after decoding by the gain, each with its own strength."""
        return self._like(self._manifest, gain, strengths)

    def digest(self) -> str:
        """Return a digest of all images, from the checksums in the manifest and the gain."""
        facts = list(self._manifest.frame["sha256"])
        if self._gain is not None and self._strengths.any():
            facts += [self._gain.digest(), storage.digest(self._strengths.tobytes())]
        return storage.digest("\n".join(facts).encode())

    def _like(self, manifest: Manifest, gain: SpectralGain | None, strengths: np.ndarray) -> ImageFiles:
        return ImageFiles(manifest, channels=self.shape[1], size=self._size, gain=gain, strengths=strengths)

    def _decode(self, row: int) -> np.ndarray:
        decoded = pixels(read_image(self._manifest, row), channels=self.shape[1], size=self._size)
        strength = float(self._strengths[row])
        return self._gain(decoded, strength=strength) if self._gain is not None and strength else decoded


def pixels(image: Image.Image, *, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Return an image as uint8 of shape ``(C, H, W)``, resized and center-cropped to (width, height)."""
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size[1], size[0], channels).transpose(2, 0, 1)
