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
from synaug.runtime import storage


class ImageFiles:
    """The images of a manifest, with the interface of a uint8 tensor of shape ``(N, C, H, W)``.

    Attributes:
        shape: shape of that tensor.
    """

    def __init__(self, manifest: Manifest, *, channels: int, size: tuple[int, int]) -> None:
        self._manifest, self._size = manifest, size
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
        channels, height, width = self.shape[1:]
        return ImageFiles(self._manifest.rows(positions.cpu().numpy()), channels=channels, size=(width, height))

    def digest(self) -> str:
        """Return a digest of all images, from the checksums in the manifest."""
        return storage.digest("\n".join(self._manifest.frame["sha256"]).encode())

    def _decode(self, row: int) -> np.ndarray:
        image = read_image(self._manifest, row)
        return pixels(image, channels=self.shape[1], size=self._size)


def pixels(image: Image.Image, *, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Return an image as uint8 of shape ``(C, H, W)``, resized and center-cropped to (width, height)."""
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size[1], size[0], channels).transpose(2, 0, 1)
