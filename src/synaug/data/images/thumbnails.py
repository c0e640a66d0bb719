"""Make the thumbnails used to compare and score images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

SIDE = 16


def thumbnails(images: Sequence[Image.Image], *, mode: str = "L") -> np.ndarray:
    """Return the images scaled to ``SIDE`` x ``SIDE``, uint8 of shape ``(N, D)``."""
    size = (SIDE, SIDE)
    small = [np.asarray(image.convert(mode).resize(size, Image.Resampling.BOX)).ravel() for image in images]
    return np.stack(small) if small else np.zeros((0, SIDE * SIDE * len(mode)), np.uint8)
