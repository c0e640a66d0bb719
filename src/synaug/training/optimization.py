"""Make the optimizer, compute its number of steps and learning rates, and skip steps without a finite loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from synaug.config import StageOptions

READ_EVERY = 10  # steps between two reads of the losses on an asynchronous device
WORK_ALONE = ("cuda",)  # types of asynchronous devices


class StepRecord:
    """The losses of a training, read from its device only now and then.

    Reading a number makes the host wait until a GPU has finished all work that was queued before. If it did so in each
    step, the GPU would idle while the host prepares the next one. So on a GPU the losses are read every few steps, and
    the optimizer itself, on the device, skips a step whose loss is not finite.

    Attributes:
        every: steps between two reads; with 1, a step without a finite loss is known before the optimizer runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.every = READ_EVERY if device.type in WORK_ALONE else 1
        self._read: list[float] = []
        self._unread: list[Tensor] = []
        self._num_skipped = 0

    def __len__(self) -> int:
        return len(self._read) + len(self._unread)

    def restore(self, losses: list[float]) -> None:
        """Continue an earlier record, NaN where a step was skipped."""
        self._read, self._unread = list(losses), []
        self._num_skipped = sum(map(math.isnan, losses))

    def add(self, loss: Tensor) -> None:
        """Add the loss of a step, a scalar on its device."""
        self._unread.append(loss)

    @property
    def is_due(self) -> bool:
        """Whether it is time to read; in several processes after the same step, as they take steps together."""
        return len(self) % self.every == 0

    @property
    def losses(self) -> list[float]:
        """Losses of all steps so far, NaN where a step was skipped; reads those that have not been read."""
        if self._unread:
            new = [loss if math.isfinite(loss) else math.nan for loss in torch.stack(self._unread).tolist()]
            self._unread = []
            self._read += new
            self._num_skipped += sum(map(math.isnan, new))
        return self._read

    @property
    def num_skipped(self) -> int:
        """Number of steps so far without a finite loss; reads the losses that have not been read."""
        return self._num_skipped if self.losses else 0


def step_if_finite(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take a step unless the loss is not finite, decided on the device, without waiting for it.

    Args:
        optimizer: a fused one. Others read the number, and would wait.
        loss: a scalar.
    """
    optimizer.found_inf = torch.isfinite(loss).logical_not().float()  # type: ignore[attr-defined]
    optimizer.step()


def make_optimizer(model: nn.Module, options: StageOptions, *, fused: bool = False) -> torch.optim.Optimizer:
    """Return the optimizer; weight decay skips biases and normalization layers unless ``decay_all``.

    Args:
        model: its parameters are optimized, those that require gradients.
        options: options of the stage.
        fused: one kernel updates all weights, fast on a GPU, and ``step_if_finite`` does not wait.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": options.weight_decay * options.decay_all},
    ]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.learning_rate, fused=fused or None)
    nesterov = options.momentum > 0
    return torch.optim.SGD(
        groups, lr=options.learning_rate, momentum=options.momentum, nesterov=nesterov, fused=fused or None
    )


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
