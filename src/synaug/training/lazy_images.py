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
        gain: changes each synthetic image after decoding.
    """

    def __init__(
        self, manifest: Manifest, *, channels: int, size: tuple[int, int], gain: SpectralGain | None = None
    ) -> None:
        self._manifest, self._size, self._gain = manifest, size, gain
        self._is_synthetic = manifest.is_synthetic
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
        return self._like(self._manifest.rows(positions.cpu().numpy()), self._gain)

    def with_gain(self, gain: SpectralGain) -> ImageFiles:
        """Return the images, of which each synthetic one is changed by ``gain`` after decoding."""
        return self._like(self._manifest, gain)

    def digest(self) -> str:
        """Return a digest of all images, from the checksums in the manifest and the gain."""
        facts = [*self._manifest.frame["sha256"], *([] if self._gain is None else [self._gain.digest()])]
        return storage.digest("\n".join(facts).encode())

    def _like(self, manifest: Manifest, gain: SpectralGain | None) -> ImageFiles:
        return ImageFiles(manifest, channels=self.shape[1], size=self._size, gain=gain)

    def _decode(self, row: int) -> np.ndarray:
        decoded = pixels(read_image(self._manifest, row), channels=self.shape[1], size=self._size)
        return decoded if self._gain is None or not self._is_synthetic[row] else self._gain(decoded)


def pixels(image: Image.Image, *, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Return an image as uint8 of shape ``(C, H, W)``, resized and center-cropped to (width, height)."""
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size[1], size[0], channels).transpose(2, 0, 1)
