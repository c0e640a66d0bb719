"""Take the steps of a training: each is one update of the weights, the same one in all processes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from synaug.config import StageOptions
from synaug.errors import SynaugError
from synaug.runtime import signals, to_device
from synaug.training.batching import MakeBatch, is_weighted
from synaug.training.checkpoint import Parts
from synaug.training.distributed import Team
from synaug.training.losses import Loss, LossContext
from synaug.training.networks import logit_scale
from synaug.training.optimization import StepRecord, learning_rate_share, step_if_finite
from synaug.training.sampling import drawn_counts
from synaug.training.training_set import TrainingSet

MAX_SKIPPED = 20  # steps whose loss was not finite


class Steps:
    """The steps of one training.

    Attributes:
        parts: the network and what is trained with it.
        total: number of steps of the whole training.
        seed: random seed; all randomness in a step follows from the seed and the number of the step.
        record: the losses of the steps taken so far.
        scaler: of the gradients, for float16.
        team: the processes that train together.
    """

    def __init__(
        self,
        parts: Parts,
        data: TrainingSet,
        options: StageOptions,
        criterion: Loss,
        make_batch: MakeBatch,
        *,
        record: StepRecord,
        team: Team,
        total: int,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        self.parts, self.record, self.team = parts, record, team
        self.total, self.seed = total, seed
        self.scaler = torch.amp.GradScaler(data.labels.device.type, enabled=dtype == torch.float16)
        self._data, self._options, self._criterion, self._make_batch = data, options, criterion, make_batch
        self._model, self._dtype = parts.modules["model"], dtype
        self._network = self._model
        self._stop = torch.zeros((), device=data.labels.device)
        self._class_counts = prior_counts(data, options)
        self._is_weighted = is_weighted(data, options)

    def begin(self) -> None:
        """Switch the network to training, with its gradients averaged over all processes."""
        self._network = self.team.together(self._model)
        self._model.train()

    def take(self, step: int, rows: np.ndarray) -> bool:
        """Run one forward and backward pass and update the weights, unless the loss is not finite.

        Returns whether any of the processes has received a signal to stop.

        Raises:
            SynaugError: too many of the steps so far had no finite loss.
        """
        optimizer = self.parts.optimizer
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        loss = self._loss(step, rows)
        optimizer.zero_grad(set_to_none=True)
        value = self._shared(loss)
        self.record.add(value)
        if self.record.every == 1 and math.isnan(self.record.losses[-1]):
            self._check_skipped(step)
            return self._is_asked_to_stop()
        self._update(loss, value)
        if self.record.is_due:
            self._check_skipped(step)
        return self._is_asked_to_stop()

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        share = learning_rate_share(step, self.total, warmup=self._options.warmup)
        return self._options.learning_rate * share

    def _loss(self, step: int, rows: np.ndarray) -> Tensor:
        """Return the loss of this process's share of a batch, a scalar."""
        share = step / self.total
        torch.manual_seed(int(np.random.SeedSequence([self.seed, 2, step, self.team.rank]).generate_state(1)[0]))
        batch = self._make_batch(rows, np.random.default_rng([self.seed, 3, step, self.team.rank]), share)
        device = batch.images.device
        with torch.autocast(device.type, self._dtype, enabled=self._dtype != torch.float32):
            outputs = self._network(batch.images)
        groups = self._data.groups[to_device(rows, device)]
        context = LossContext(
            class_counts=self._class_counts,
            groups=groups.repeat(len(batch.images) // len(rows)),
            share=share,
            logit_scale=logit_scale(self._model),
            is_weighted=self._is_weighted,
        )
        return self._criterion(_in_float32(outputs), batch.targets, context=context)

    def _update(self, loss: Tensor, value: Tensor) -> None:
        """Update the weights, their moving average and the state of the loss; ``value`` is the mean loss of all."""
        optimizer, modules = self.parts.optimizer, self.parts.modules
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.record.every == 1 or self.scaler.is_enabled():  # the scaler itself skips what is not finite
            self.scaler.step(optimizer)
        else:
            step_if_finite(optimizer, value)
        self.scaler.update()
        if "average" in modules:
            modules["average"].update_parameters(self._model)  # type: ignore[operator]
        if "loss" in modules:
            # Each process updates the weights of Group DRO from its own share; averaging keeps them equal.
            for buffer in modules["loss"].buffers():
                buffer.copy_(self.team.mean(buffer))

    def _shared(self, loss: Tensor) -> Tensor:
        """Return the mean loss of all processes, and note whether one of them has been asked to stop.

        The signal is averaged along with the loss: all processes must stop after the same step, or those that go on
        would wait forever for the gradients of the others. The same holds for skipping a step.
        """
        if self.team.size == 1:
            return loss.detach()
        asked = loss.new_tensor(float(signals.is_requested()))
        value, stop = self.team.mean(torch.stack([loss.detach(), asked])).unbind()
        self._stop = torch.maximum(self._stop, stop)
        return value

    def _is_asked_to_stop(self) -> bool:
        """Return whether to stop after this step; several processes look at their common flag after the same steps."""
        if self.team.size == 1:
            return signals.is_requested()
        return self.record.is_due and bool(self._stop > 0)

    def _check_skipped(self, step: int) -> None:
        """Check how many of the steps so far had no finite loss and were skipped.

        Raises:
            SynaugError: too many.
        """
        skipped = self.record.num_skipped
        if skipped > MAX_SKIPPED:
            raise SynaugError(
                f"Training diverged: {skipped} steps up to step {step + 1} of {self.total} had no finite "
                f"loss. Lower the learning rate ({self._options.learning_rate}) or lengthen the warm-up."
            )


def prior_counts(data: TrainingSet, options: StageOptions) -> Tensor:
    """Return the class counts that losses use as their prior, shape ``(num_classes,)``."""
    if options.prior == "real":
        return data.class_counts
    return torch.from_numpy(drawn_counts(options.sampler, data)).to(data.labels.device)


def _in_float32(outputs: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return outputs.float() if isinstance(outputs, Tensor) else tuple(output.float() for output in outputs)
