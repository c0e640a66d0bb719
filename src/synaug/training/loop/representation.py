"""Train the representation of a classifier, stage 1 of the method."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from synaug.config import StageOptions
from synaug.errors import DataError
from synaug.runtime import (
    FUNCTION,
    PATH,
    SEED,
    TEXT,
    Progress,
    check_arguments,
    chosen_device,
    chosen_precision,
    forked_randomness,
    instance_of,
    silent,
)
from synaug.training.batching import BatchMaker, batch_maker
from synaug.training.checkpoint import Parts
from synaug.training.distributed import joined_team
from synaug.training.loop.resumable_training import ResumableTraining, Track, TrainingLog
from synaug.training.loop.steps import Steps
from synaug.training.losses import Loss, loss_named
from synaug.training.optimization import StepRecord, make_optimizer, num_steps
from synaug.training.training_set import TrainingSet


class Place(TypedDict, total=False):
    """The arguments of ``train_representation`` for device, precision and progress."""

    device: str | torch.device
    precision: str
    progress: Progress


class Watched(Place, total=False):
    """With those that name a stage and record its losses."""

    track: Track | None
    stage: str


def train_representation(
    model: nn.Module,
    data: TrainingSet,
    options: StageOptions,
    *,
    seed: int,
    device: str | torch.device = "auto",
    precision: str = "auto",
    checkpoint: Path | None = None,
    loss: Loss | None = None,
    maker: BatchMaker = batch_maker,
    progress: Progress = silent,
    track: Track | None = None,
    stage: str = "training",
) -> TrainingLog:
    """Train the network in place, on real and synthetic images alike.

    Args:
        model: its logits are trained; it is moved to the device and left there, in evaluation mode.
        data: the images.
        options: of the stage.
        seed: random seed.
        device: where to train.
        precision: auto, float32, float16 or bfloat16 for the forward pass; weights stay float32.
        checkpoint: folder for the state, written every 30 seconds and when interrupted. An unfinished training found
            there is resumed, a finished one is loaded.
        loss: replaces the loss named in the options; see ``losses``.
        maker: of the batches; see ``batching``.
        progress: called with the number of finished steps.
        track: called as ``track({"loss": ..., "learning_rate": ...}, step=...)`` every 10 steps, such as the
            ``log`` method of any tracker of accelerate (TensorBoard, Weights & Biases, ...).
        stage: name of the stage in ``progress``.

    Raises:
        OptionError: an option does not fit, or the checkpoint belongs to another training.
        SynaugError: too many steps had no finite loss.
        Interrupted: a signal arrived; the state is saved.
    """
    check_arguments(
        "train_representation",
        model=(model, instance_of(nn.Module, words="a torch network (nn.Module)")),
        data=(data, instance_of(TrainingSet, words="a TrainingSet")),
        options=(options, instance_of(StageOptions, words="StageOptions")),
        device=(device, instance_of(str, torch.device, words="the name of a device")),
        seed=(seed, SEED), precision=(precision, TEXT), checkpoint=(checkpoint, PATH.or_none),
        loss=(loss, FUNCTION.or_none), maker=(maker, FUNCTION), progress=(progress, FUNCTION),
        track=(track, FUNCTION.or_none), stage=(stage, TEXT),
    )  # fmt: skip
    if not len(data):
        raise DataError("train_representation: the training set has no images.")
    team, device = joined_team(device)
    team.check(options.batch_size)
    place = chosen_device(device)
    dtype = chosen_precision(precision, place)
    model.to(device=place)
    model.to(memory_format=torch.channels_last)  # 1.2 to 1.4 times as fast, also on CPUs
    data = data.to(place)
    criterion = loss or _loss_of(data, options)
    record = StepRecord(place)
    parts = _parts(model, criterion, options, record=record, place=place)
    steps = Steps(
        parts,
        data,
        options,
        criterion,
        maker(data, options),
        record=record,
        team=team,
        total=num_steps(options, len(data)),
        seed=seed,
        dtype=dtype,
    )
    training = ResumableTraining(steps, data, options, checkpoint=None if checkpoint is None else Path(checkpoint))
    with forked_randomness(place):
        # Only the first process saves. The others wait, so that none starts the next stage (which would look for the
        # checkpoint) or exits before the last save is complete.
        training.run(progress, track, stage)
        team.wait()
    if "average" in parts.modules:
        model.load_state_dict(parts.modules["average"].module.state_dict())  # type: ignore[union-attr]
    model.eval()
    return training.log()


def _loss_of(data: TrainingSet, options: StageOptions) -> Loss:
    """Return the loss named in the options, set up for the groups of the data."""
    return loss_named(
        options.loss,
        num_groups=data.num_groups,
        adjustment=options.group_adjustment,
        group_counts=group_counts(data),
    )


def group_counts(data: TrainingSet) -> Tensor:
    """Return the number of images per group, unknown groups last, shape ``(num_groups + 1,)``."""
    groups = torch.where(data.groups < 0, data.num_groups, data.groups)
    return torch.bincount(groups, minlength=data.num_groups + 1)


def _parts(
    model: nn.Module, criterion: Loss, options: StageOptions, *, record: StepRecord, place: torch.device
) -> Parts:
    """Return what a checkpoint holds: the network, the optimizer, a loss with state, the averaged weights."""
    modules = {"model": model}
    if isinstance(criterion, nn.Module):
        modules["loss"] = criterion.to(place)
    if options.average:
        modules["average"] = _averaged(model, options.average)
    return Parts(modules=modules, optimizer=make_optimizer(model, options, fused=record.every > 1))


def _averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Return the moving average of a network's weights."""
    average = AveragedModel(
        model,
        multi_avg_fn=get_ema_multi_avg_fn(decay),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    average.n_averaged = average.n_averaged.cpu()  # read in each step, for which a GPU would have to wait
    return average
