"""Turn positions in a training set into the batch that a network sees: augmented, normalised, mixed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from synaug.config import StageOptions
from synaug.errors import unknown
from synaug.training.augmentation import AUGMENTATIONS, crop_and_flip
from synaug.training.losses import loss_named
from synaug.training.mixing import Batch, PartnerDraw, mixing_named
from synaug.training.sampling import sampler_named
from synaug.training.training_set import TrainingSet

MakeBatch = Callable[[np.ndarray, np.random.Generator], Batch]
"""Called as ``make(rows, rng)``; may return several views of the rows, one view after the other."""

BatchMaker = Callable[[TrainingSet, StageOptions], MakeBatch]


def batch_maker(data: TrainingSet, options: StageOptions) -> MakeBatch:
    """Return a function that turns positions into an augmented, normalised and mixed batch."""
    plain = plain_batch_maker(data, options)
    mixing = mixing_named(options.mixing) if options.mixup_alpha > 0 else None
    draw = PartnerDraw(data, mixing) if mixing is not None and mixing.weights is not None else None

    def make(rows: np.ndarray, rng: np.random.Generator) -> Batch:
        batch = plain(rows, rng)
        if mixing is None:
            return batch
        if draw is None:
            order = torch.from_numpy(rng.permutation(len(rows))).to(batch.images.device)
            partners = Batch(batch.images[order], batch.targets[order])
        else:
            partners = plain(draw(rows, rng), rng)
        return Batch(*mixing.mix(batch, partners, alpha=options.mixup_alpha, rng=rng))

    return make


def check_stage(options: StageOptions) -> None:
    """Raise an OptionError for a mixing, loss, sampler or augmentation that is unknown."""
    mixing_named(options.mixing)
    loss_named(options.loss, num_groups=1)
    sampler_named(options.sampler)
    check_augmentations(options)


def check_augmentations(options: StageOptions) -> None:
    """Raise an OptionError for an augmentation that is unknown."""
    for name in options.augmentations:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)


def plain_batch_maker(data: TrainingSet, options: StageOptions) -> MakeBatch:
    """Return a function that turns positions into an augmented and normalised batch, not mixed.

    Raises:
        OptionError: an augmentation is unknown.
    """
    check_augmentations(options)
    padding = data.images.shape[-1] // 8 if options.crop_padding is None else options.crop_padding

    def make(rows: np.ndarray, rng: np.random.Generator) -> Batch:
        index = torch.from_numpy(rows).to(data.labels.device)
        images = crop_and_flip(data.batch(index), padding=padding, flip=options.flip, rng=rng)
        for name in options.augmentations:
            images = AUGMENTATIONS[name](images, rng=rng)
        targets = F.one_hot(data.labels[index], data.num_classes).float()
        return Batch(data.normalised(images), targets)

    return make


def two_views(data: TrainingSet, options: StageOptions) -> MakeBatch:
    """Return a function that gives two augmentations of the images, the second ones after the first ones."""
    plain = plain_batch_maker(data, options)

    def make(rows: np.ndarray, rng: np.random.Generator) -> Batch:
        first, second = plain(rows, rng), plain(rows, rng)
        return Batch(torch.cat([first.images, second.images]), torch.cat([first.targets, second.targets]))

    return make
