"""Compute image features with a frozen network, without classifier, that was trained on other images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from synaug.training.networks.packaged_weights import NETWORK, packaged_file, write_packaged_weights

CACHE = Path("~/.cache/synaug")
_SIDE = 128  # pixels: a third of the time of 224, and enough to recognize a class
_BATCH = 64

Embedder = Callable[[Sequence[Image.Image]], np.ndarray]
"""Returns features of N images, float32 of shape ``(N, D)``."""


def network_at_hand() -> str | None:
    """Return a pretrained network from an installed package, which needs no download; None if there is none."""
    if packaged_file() is None:
        return None
    return write_packaged_weights(CACHE.expanduser() / NETWORK)


def make_embedder(network: str, *, device: str = "auto") -> Embedder:
    """Return a function that computes image features with a pretrained timm network.

    Args:
        network: a timm name, or ``timm/local-dir:FOLDER``.
        device: where it runs.

    Raises:
        EnvironmentFault: the weights are not available.
        OptionError: timm has no network of this name.
    """
    import torch

    from synaug.runtime import chosen_device
    from synaug.training.networks.timm_networks import pretrained_normalization, timm_backbone

    mean, std, own_side = pretrained_normalization(network)
    side = min(_SIDE, own_side)
    place = chosen_device(device)
    model = timm_backbone(network, in_channels=3, image_size=side, pretrained=True).eval().to(place)
    width = int(model.num_features)  # type: ignore[arg-type]  # a plain number in every network of timm
    offset, scale = (torch.tensor(values, device=place)[:, None, None] for values in (mean, std))

    def embed(images: Sequence[Image.Image]) -> np.ndarray:
        parts = [np.zeros((0, width), np.float32)]
        for start in range(0, len(images), _BATCH):
            pixels = torch.from_numpy(_pixels(images[start : start + _BATCH], side)).to(place)
            with torch.inference_mode():
                parts.append(model((pixels.permute(0, 3, 1, 2) / 255 - offset) / scale).float().cpu().numpy())
        return np.concatenate(parts)

    return embed


def _pixels(images: Sequence[Image.Image], side: int) -> np.ndarray:
    found = [image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC) for image in images]
    return np.stack([np.asarray(image, np.float32) for image in found])
