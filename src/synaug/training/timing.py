"""Time a network on this machine before training."""

from __future__ import annotations

import time

import torch
from torch import nn

from synaug.runtime import chosen_device, chosen_precision

_FEWEST, _MOST = 8, 128  # images per batch
_PIXELS = 2**17  # total pixels of a batch on a CPU, where larger batches take as long per image
_LONG_ENOUGH = 0.5  # seconds


def seconds_per_image(
    model: nn.Module, *, in_channels: int, image_size: int, device: str = "auto", precision: str = "auto"
) -> float:
    """Return the seconds per image of a forward and backward pass; the model's gradients are left empty.

    Args:
        model: is moved to the device and left in training mode.
        in_channels: channels of its images.
        image_size: side of its images in pixels.
        device: device for the training.
        precision: as for ``train_representation``.
    """
    place = chosen_device(device)
    dtype = chosen_precision(precision, place)
    number = max(_FEWEST, min(_MOST, _PIXELS // image_size**2)) if place.type == "cpu" else _MOST
    images = torch.rand(number, in_channels, image_size, image_size, device=place)
    images = images.to(memory_format=torch.channels_last)
    model.to(device=place, memory_format=torch.channels_last).train()  # type: ignore[call-overload]

    def timed() -> float:
        began = time.perf_counter()
        with torch.autocast(place.type, dtype, enabled=dtype != torch.float32):
            outputs = model(images)
        outputs.float().logsumexp(1).mean().backward()
        model.zero_grad()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        return time.perf_counter() - began

    spent = timed()  # also warms up, so it does not count
    times = [timed()]
    while spent + sum(times) < _LONG_ENOUGH:
        times.append(timed())
    return min(times) / number
