"""Make the optimizer, and compute its number of steps and learning rates."""

from __future__ import annotations

import math

import torch
from torch import nn

from synaug.config import StageOptions


def make_optimizer(model: nn.Module, options: StageOptions) -> torch.optim.Optimizer:
    """Return the optimizer; weight decay skips biases and normalization layers unless ``decay_all``."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": options.weight_decay * options.decay_all},
    ]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.learning_rate)
    nesterov = options.momentum > 0
    return torch.optim.SGD(groups, lr=options.learning_rate, momentum=options.momentum, nesterov=nesterov)


def learning_rate_share(step: int, steps: int, *, warmup: float) -> float:
    """Return the factor of the full learning rate: linear warm-up, then half a cosine down to 0.

    >>> [round(learning_rate_share(step, 8, warmup=0.25), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.933, 0.75, 0.5, 0.25, 0.067]
    """
    rising = warmup * steps
    if step < rising:
        return min((step + 1) / rising, 1.0)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def num_steps(options: StageOptions, num_images: int) -> int:
    """Return the number of steps in the options, or that of their epochs over ``num_images``.

    >>> num_steps(StageOptions(epochs=2, batch_size=8), 20), num_steps(StageOptions(steps=3), 20)
    (5, 3)
    """
    return options.steps or math.ceil(options.epochs * num_images / options.batch_size)
