"""Turn positions in a training set into augmented, normalized and mixed batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from synaug.config import StageOptions
from synaug.errors import unknown
from synaug.runtime import to_device
from synaug.training.augmentation import AUGMENTATIONS, crop_and_flip, random_resized_crop
from synaug.training.losses import loss_named
from synaug.training.mixing import Batch, PartnerDraw, mixing_named
from synaug.training.sampling import sampler_named
from synaug.training.training_set import TrainingSet

LARGEST_PADDED = 64  # pixels; padding a larger side by an eighth would make much of each image black
SMALLEST_PART = 0.7  # of a larger image's area, the smallest part that a random crop shows

MakeBatch = Callable[..., Batch]
"""Called as ``make(rows, rng, share)``, with the completed ``share`` of the training. May return several views of the
rows, one view after the other.
"""

BatchMaker = Callable[[TrainingSet, StageOptions], MakeBatch]


def batch_maker(data: TrainingSet, options: StageOptions) -> MakeBatch:
    """Return a function that turns positions into an augmented, normalized and mixed batch."""
    plain = plain_batch_maker(data, options)
    mixing = mixing_named(options.mixing) if options.mixup_alpha > 0 else None
    draw = PartnerDraw(data, mixing) if mixing is not None and mixing.weights is not None else None

    def make(rows: np.ndarray, rng: np.random.Generator, share: float = 0.0) -> Batch:
        batch = plain(rows, rng, share)
        if mixing is None:
            return batch
        if options.mixing_probability < 1 and rng.random() >= options.mixing_probability:
            return batch
        if draw is None:
            order = to_device(rng.permutation(len(rows)), batch.images.device)
            partners = Batch(batch.images[order], batch.targets[order])
        else:
            partners = plain(draw(rows, rng), rng, share)
        return Batch(*mixing.mix(batch, partners, alpha=options.mixup_alpha, rng=rng))

    return make


def check_stage(options: StageOptions) -> None:
    """Raise an OptionError for an unknown mixing, loss, sampler or augmentation."""
    mixing_named(options.mixing)
    loss_named(options.loss, num_groups=1)
    sampler_named(options.sampler)
    check_augmentations(options)


def check_augmentations(options: StageOptions) -> None:
    """Raise an OptionError for an unknown augmentation."""
    for name in options.augmentations:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)


def plain_batch_maker(data: TrainingSet, options: StageOptions) -> MakeBatch:
    """Return a function that turns positions into an augmented and normalized batch, without mixing.

    Raises:
        OptionError: an augmentation is unknown.
    """
    check_augmentations(options)
    crop = cropping(data, options)
    factors = synthetic_factor(options)
    classes = torch.arange(data.num_classes, device=data.labels.device)

    def make(rows: np.ndarray, rng: np.random.Generator, share: float = 0.0) -> Batch:
        positions = torch.from_numpy(rows)
        index = to_device(positions, data.labels.device)
        if options.autoencoded and data.twins is not None:
            images = data.with_twins(positions, torch.from_numpy(rng.random(len(rows)) < options.autoencoded))
        else:
            images = data.batch(positions)
        images = crop(images, rng)
        for name in options.augmentations:
            images = AUGMENTATIONS[name](images, rng=rng)
        targets = (data.labels[index, None] == classes).float()
        if factors is not None:
            targets = targets * torch.where(data.is_synthetic[index], factors(share), 1.0)[:, None]
        if data.weights is not None:
            targets = targets * data.weights[index, None]
        return Batch(data.normalized(images), targets)

    return make


def is_weighted(data: TrainingSet, options: StageOptions) -> bool:
    """Return whether images have different weights in the loss; their targets then sum to their weights."""
    return data.weights is not None or synthetic_factor(options) is not None


def synthetic_factor(options: StageOptions) -> Callable[[float], float] | None:
    """Return the loss weight of synthetic images by the completed share of the training; None if always 1."""
    first = options.synthetic_weight
    last = first if options.synthetic_weight_end is None else options.synthetic_weight_end
    return None if first == last == 1 else lambda share: first + (last - first) * share


def cropping(data: TrainingSet, options: StageOptions) -> Callable[[Tensor, np.random.Generator], Tensor]:
    """Return the random crop and flip for training.

    Small images are cropped from their black-padded version (default padding: an eighth of the side). Images above
    ``LARGEST_PADDED`` pixels, and images stored larger than the network's input, yield a random part of their area
    (Szegedy et al. 2015), since photographs have no black border.
    """
    side = max(data.size)
    if options.crop_padding is not None and data.side is None:
        padding, smallest = options.crop_padding, None
    elif side <= LARGEST_PADDED and data.side is None:
        padding, smallest = data.images.shape[-1] // 8, None
    else:
        padding, smallest = 0, SMALLEST_PART
    smallest = smallest if options.crop_smallest is None else options.crop_smallest

    def crop(images: Tensor, rng: np.random.Generator) -> Tensor:
        if smallest is not None:
            images = random_resized_crop(images, rng=rng, smallest=smallest, size=data.size)
            return crop_and_flip(images, padding=0, flip=options.flip, rng=rng)
        return crop_and_flip(images, padding=padding, flip=options.flip, rng=rng)

    return crop


def two_views(data: TrainingSet, options: StageOptions) -> MakeBatch:
    """Return a function that returns two augmentations of the images, all first views before all second views."""
    plain = plain_batch_maker(data, options)

    def make(rows: np.ndarray, rng: np.random.Generator, share: float = 0.0) -> Batch:
        first, second = plain(rows, rng, share), plain(rows, rng, share)
        return Batch(torch.cat([first.images, second.images]), torch.cat([first.targets, second.targets]))

    return make
