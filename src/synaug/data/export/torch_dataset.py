"""A manifest's images as a torch data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from synaug.data.color_mode import color_mode
from synaug.data.manifest import Manifest, read_image


class Sample(NamedTuple):
    """One image; a loader collates many into a ``Sample`` of three tensors."""

    image: object
    label: int
    is_synthetic: bool


class ImageDataset(Dataset[object]):
    """Real and synthetic images with their labels; see ``conversion.to_torch``."""

    def __init__(
        self, data: Manifest, *, transform: Callable[[Image.Image], object] | None = None, pairs: bool = False
    ) -> None:
        self._data, self._pairs = data, pairs
        self._mode = color_mode(data)  # one for all, so that a loader can stack gray and color images
        self.transform = transform or as_tensor
        self.classes = list(data.class_names)
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self.targets: list[int] = data.labels.tolist()
        self.is_synthetic = data.is_synthetic
        self.attributes = data.attributes

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: int) -> Sample | tuple[object, int]:
        """Return one transformed image with its label and, unless ``pairs`` is set, its origin."""
        image = self.transform(read_image(self._data, position).convert(self._mode))
        label = self.targets[position]
        return (image, label) if self._pairs else Sample(image, label, bool(self.is_synthetic[position]))


def as_tensor(image: Image.Image) -> Tensor:
    """Return a Pillow image as float32 of shape ``(C, H, W)`` in [0, 1]."""
    array = np.array(image).reshape(image.height, image.width, -1)
    return torch.from_numpy(array.transpose(2, 0, 1).astype(np.float32) / 255)
