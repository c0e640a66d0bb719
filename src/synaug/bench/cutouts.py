"""Generate images without a large model: altered cut-outs of training images on new backgrounds.

This draws nothing new: every object comes from a training image of its class. So it shows what the pipeline does with
photographs, not what a text-to-image model would add.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from synaug.data.benchmarks import composed

_SCALES = (0.6, 1.0)  # of the side, the share that the object takes
_TURN = 15  # maximum angle in degrees
_LIGHT = (0.75, 1.25)  # brightness, contrast and color


class CutoutGenerator:
    """Makes one image per prompt, which is the name of a class; equal seeds give equal images."""

    def __init__(self, cutouts: Mapping[str, Sequence[Image.Image]], *, side: int) -> None:
        """Store the RGBA cut-outs of the training images of each class, and the side of the new images."""
        self.cutouts = cutouts
        self.side = side
        self.about = {"model": "cut-outs of training images on new backgrounds"}

    def __call__(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> list[Image.Image]:
        return [self._made(name, np.random.default_rng(seed)) for name, seed in zip(prompts, seeds, strict=True)]

    def _made(self, name: str, rng: np.random.Generator) -> Image.Image:
        known = self.cutouts[name]
        image = known[int(rng.integers(len(known)))]
        if rng.random() < 0.5:
            image = ImageOps.mirror(image)
        image = image.rotate(rng.uniform(-_TURN, _TURN), Image.Resampling.BICUBIC, expand=True)
        alpha = image.getchannel("A")
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhancer(image).enhance(rng.uniform(*_LIGHT))
        image.putalpha(alpha)
        scale = rng.uniform(*_SCALES) * self.side / max(image.size)
        image = image.resize([max(1, round(size * scale)) for size in image.size], Image.Resampling.LANCZOS)
        return composed(image, _background(self.side, rng))


def _background(side: int, rng: np.random.Generator) -> Image.Image:
    """Return a soft pattern of a few random colors, light or dark."""
    cells = int(rng.integers(1, 5))
    base = rng.uniform(40, 240, 3)
    colors = np.clip(base + rng.normal(0, 35, (cells, cells, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(colors).resize((side, side), Image.Resampling.BICUBIC)
