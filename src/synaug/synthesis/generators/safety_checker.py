"""Keep a coarse mosaic of images seen by a pipeline's safety checker: flagged images are never stored in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import torch

CELLS = 8  # per side


class Mosaics:
    """Means over ``CELLS x CELLS`` parts of the images passed to a checker since the last ``clear``."""

    def __init__(self, checker: torch.nn.Module | None) -> None:
        self._means: list[torch.Tensor] = []
        if checker is not None and hasattr(
            checker, "register_forward_pre_hook"
        ):  # a pre-hook, because the checker blackens flagged images
            checker.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, _checker: torch.nn.Module, _arguments: object, named: Mapping[str, object]) -> None:
        import torch

        images = named.get("images")
        if torch.is_tensor(images):
            self._means += torch.nn.functional.adaptive_avg_pool2d(images.detach().float().clamp(-1, 1), CELLS)

    def clear(self) -> None:
        """Discard all mosaics."""
        self._means.clear()

    def image(self, position: int, size: tuple[int, int]) -> Image.Image | None:
        """Return the mosaic of the image at a position, in a given size; None if the checker received no tensor."""
        import torch

        if position >= len(self._means):
            return None
        values = (self._means[position] / 2 + 0.5).nan_to_num() * 255
        pixels = values.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
