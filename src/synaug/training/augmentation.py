"""Augment batches of uint8 images on their device, each image independently.

An augmentation is a function ``(images, *, rng)``. All random numbers are drawn on the CPU, so results do not depend on
the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from synaug.runtime import to_device


def crop_and_flip(images: Tensor, *, padding: int, flip: bool, rng: np.random.Generator) -> Tensor:
    """Return random crops of the zero-padded images, each at its own offset, half of them mirrored.

    Args:
        images: uint8, shape ``(N, C, H, W)``.
        padding: black pixels on each side; 0: no crop.
        flip: whether to mirror each image with probability 1/2.
        rng: draws offsets and flips on the CPU, so that results do not depend on the device.
    """
    num = len(images)
    offsets = rng.integers(0, 2 * padding + 1, (2, num)) if padding else np.zeros((2, num), np.int64)
    mirrored = rng.random(num) < 0.5 if flip else np.zeros(num, bool)
    padded = F.pad(images, [padding] * 4) if padding else images
    if images.device.type == "cpu":
        return windows_by_slices(padded, offsets, mirrored, size=images.shape[2:])
    return windows_by_gather(padded, offsets, mirrored, size=images.shape[2:])


def windows_by_slices(padded: Tensor, offsets: np.ndarray, mirrored: np.ndarray, *, size: Sequence[int]) -> Tensor:
    """Return each image's window on a CPU: one copy per image, since a gather is slow there.

    Args:
        padded: images of shape ``(N, C, H, W)``.
        offsets: of the windows' upper left corners, down then right, shape ``(2, N)``.
        mirrored: whether the window is mirrored, bool of shape ``(N,)``.
        size: height, width of the windows.
    """
    (height, width), source = size, padded.numpy()
    result = np.empty((*source.shape[:2], height, width), source.dtype)
    for place, (image, down, right, turned) in enumerate(
        zip(source, *offsets.tolist(), mirrored.tolist(), strict=True)
    ):
        window = image[:, down : down + height, right : right + width]
        result[place] = window[:, :, ::-1] if turned else window
    return torch.from_numpy(result)


def windows_by_gather(padded: Tensor, offsets: np.ndarray, mirrored: np.ndarray, *, size: Sequence[int]) -> Tensor:
    """Return the same windows as ``windows_by_slices`` with one gather, which is fast on a GPU."""
    down, right = to_device(offsets, padded.device)
    windows = padded.unfold(2, size[0], 1).unfold(3, size[1], 1)
    result = windows[torch.arange(len(padded), device=padded.device), :, down, right]
    turned = to_device(mirrored, padded.device)
    return torch.where(turned[:, None, None, None], result.flip(3), result)


def cutout(images: Tensor, *, rng: np.random.Generator, share: float = 0.5) -> Tensor:
    """Return each image with a black square of half its side length around a random center.

    DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout": 16 of 32
    pixels for CIFAR-10; the square may extend beyond the edge.
    """
    num, _, height, width = images.shape
    inside = []
    for length in (height, width):
        start = rng.integers(0, length, (num, 1)) - int(length * share) // 2
        place = np.arange(length)
        inside.append(to_device((place >= start) & (place < start + int(length * share)), images.device))
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(square, 0)


def random_resized_crop(
    images: Tensor,
    *,
    rng: np.random.Generator,
    smallest: float = 0.08,
    max_ratio: float = 4 / 3,
    size: Sequence[int] | None = None,
) -> Tensor:
    """Return a random part of each image, 8 to 100 % of its area, resized to ``size`` (default: unchanged size).

    Szegedy et al. 2015; area and aspect ratio are drawn as by torchvision's ``RandomResizedCrop``; a part that would
    extend beyond the edge is cut off there.
    """
    num = len(images)
    area = rng.uniform(smallest, 1, num)
    ratio = np.exp(rng.uniform(-np.log(max_ratio), np.log(max_ratio), num))
    across = np.minimum(np.sqrt(area * ratio), 1)
    along = np.minimum(np.sqrt(area / ratio), 1)
    theta = np.zeros((num, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = across, along
    theta[:, 0, 2] = rng.uniform(-1, 1, num) * (1 - across)
    theta[:, 1, 2] = rng.uniform(-1, 1, num) * (1 - along)
    shape = [*images.shape[:2], *(size or images.shape[2:])]
    grid = F.affine_grid(to_device(theta, images.device), shape, align_corners=False)
    parts = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return parts.round().clamp(0, 255).to(torch.uint8)


def color_jitter(images: Tensor, *, rng: np.random.Generator, strength: float = 0.4) -> Tensor:
    """Return the images with random brightness, contrast and saturation per image, a fifth of them in gray.

    Chen et al. 2020, "A Simple Framework for Contrastive Learning" (SimCLR), appendix A, without the hue.
    """
    brightness, contrast, saturation = (
        to_device(factors.astype(np.float32), images.device)[:, None, None, None]
        for factors in rng.uniform(1 - strength, 1 + strength, (3, len(images)))
    )
    becomes_gray = to_device(rng.random(len(images)) < 0.2, images.device)
    values = images.float() * brightness
    values = torch.lerp(values.mean((1, 2, 3), keepdim=True), values, contrast)
    gray = values.mean(1, keepdim=True)
    values = torch.lerp(gray, values, saturation.masked_fill(becomes_gray[:, None, None, None], 0))
    return values.round().clamp(0, 255).to(torch.uint8)


def gaussian_blur(images: Tensor, *, rng: np.random.Generator, largest: float = 0.05) -> Tensor:
    """Return half of the images blurred, each with a random width.

    Chen et al. 2020 (SimCLR), appendix A, with the width relative to the side: a standard deviation of up to
    ``largest`` of it. Blurring removes fine detail, by which a network can distinguish synthetic images from real ones.
    """
    num, channels, height, width = images.shape
    deviations = np.where(rng.random(num) < 0.5, rng.uniform(0, largest * max(height, width), num), 0)
    reach = max(1, int(3 * largest * max(height, width)))
    distances = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (distances / np.maximum(deviations, 1e-3)[:, None]) ** 2)
    kernels = to_device((weights / weights.sum(1, keepdims=True)).astype(np.float32), images.device)
    kernels = kernels.repeat_interleave(channels, 0)[:, None]
    values = images.float().reshape(1, num * channels, height, width)
    for kernel, sides in ((kernels[..., None, :], (reach, reach, 0, 0)), (kernels[..., None], (0, 0, reach, reach))):
        values = F.conv2d(F.pad(values, sides, mode="replicate"), kernel, groups=num * channels)
    return values.reshape(images.shape).round().clamp(0, 255).to(torch.uint8)


def _each_by_torchvision(make: Callable[[], Callable[[Tensor], Tensor]]) -> Augmentation:
    """Return an augmentation that applies a torchvision transform to each image separately."""

    def augment(images: Tensor, *, rng: np.random.Generator) -> Tensor:
        transform = make()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            return torch.stack([transform(image) for image in images])

    return augment


def _auto_augment() -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    return v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)


def _rand_augment() -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    return v2.RandAugment()


Augmentation = Callable[..., Tensor]
"""Called as ``augmentation(images, rng=rng)`` with uint8 images; returns the same number of augmented images."""

AUGMENTATIONS: dict[str, Augmentation] = {
    "cutout": cutout,
    "random_resized_crop": random_resized_crop,
    "color_jitter": color_jitter,
    "gaussian_blur": gaussian_blur,
    "autoaugment": _each_by_torchvision(_auto_augment),
    "randaugment": _each_by_torchvision(_rand_augment),
}
"""Additional augmentations by name: Cubuk et al. 2019 (AutoAugment, CIFAR policy) and 2020 (RandAugment)."""
