"""List training schedules by name: one stage, or a start stage and a main stage that share the steps.

A schedule is called like ``train_representation`` and trains the network in place. The main stage keeps its checkpoint
in the same place as that function; the start stage uses a subfolder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

from synaug.config import StageOptions
from synaug.errors import OptionError
from synaug.training.checkpoint import FILE
from synaug.training.contrastive import pretrain_contrastive
from synaug.training.distributed import joined_team
from synaug.training.glmc import train_glmc
from synaug.training.inference import extract_features
from synaug.training.last_layer import LabeledFeatures, retrain_classifier
from synaug.training.loop import Place, Track, TrainingLog, Watched, train_representation
from synaug.training.networks import ImageClassifier
from synaug.training.optimization import num_steps
from synaug.training.training_set import TrainingSet

PROBED = 64  # images per batch for the features of a probe
PROBE_STRENGTH = 0.01  # C of its logistic regression: many columns, few images
FINE_TUNING = 0.1  # factor of the learning rate if the images change but the task does not

Schedule = Callable[..., TrainingLog]
"""Called as ``schedule(model, data, options, seed=seed, checkpoint=folder, **more)``; returns the last stage's log,
with the total seconds.
"""


def synthetic_then_real(
    model: ImageClassifier,
    data: TrainingSet,
    options: StageOptions,
    *,
    seed: int,
    checkpoint: Path | None = None,
    track: Track | None = None,
    stage: str = "training",
    **more: Unpack[Place],
) -> TrainingLog:
    """Train on the synthetic images, then on the real ones, so that no batch reveals which is which.

    Qraitem et al. 2024, "From Fake to Real" (arXiv 2308.04553). Real images are trained on with a tenth of the learning
    rate, which is our choice.

    Raises:
        OptionError: there are no synthetic images.
    """
    if not bool(data.is_synthetic.any()):
        raise OptionError("There are no synthetic images to start from; choose a method that needs none.")
    start, main = halves(options, len(data))
    synthetic, real = data.rows(data.is_synthetic), data.rows(~data.is_synthetic)
    first = train_representation(model, synthetic, start, seed=seed, **_of_start(checkpoint, track, stage), **more)
    main = main.model_copy(update={"learning_rate": FINE_TUNING * options.learning_rate})
    last = train_representation(model, real, main, seed=seed, checkpoint=checkpoint, track=track, stage=stage, **more)
    return replace(last, seconds=first.seconds + last.seconds)


def mixed_then_real(
    model: ImageClassifier,
    data: TrainingSet,
    options: StageOptions,
    *,
    seed: int,
    checkpoint: Path | None = None,
    track: Track | None = None,
    stage: str = "training",
    **more: Unpack[Place],
) -> TrainingLog:
    """Train on all images, then the whole network on balanced real images for the last ``real_finish`` of the steps.

    Like the second stages of Gen2Balance and Fill-Up (arXiv 2306.07200). The last steps draw real images group-balanced
    if groups are known and class-balanced otherwise, at a tenth of the learning rate, which is our choice.

    Raises:
        OptionError: there are no synthetic images.
    """
    if not bool(data.is_synthetic.any()):
        raise OptionError("There are no synthetic images to mix with; choose a method that needs none.")
    real = data.rows(~data.is_synthetic)
    start, main = parts(options, len(data), first=1 - options.real_finish)
    first = train_representation(model, data, start, seed=seed, **_of_start(checkpoint, track, stage), **more)
    changes = {
        "learning_rate": FINE_TUNING * options.learning_rate,
        "sampler": "group_balanced" if bool((real.groups >= 0).any()) else "class_balanced",
        "max_synthetic": 1.0,
        "warmup": 0.0,
    }
    main = main.model_copy(update=changes)
    last = train_representation(model, real, main, seed=seed, checkpoint=checkpoint, track=track, stage=stage, **more)
    return replace(last, seconds=first.seconds + last.seconds)


def frozen(model: ImageClassifier, data: TrainingSet, options: StageOptions, **_more: object) -> TrainingLog:
    """Leave the network unchanged: its pretrained features, for a linear probe."""
    model.eval()
    return TrainingLog(steps=0, losses=(), seconds=0.0, images_per_second=float("nan"), skipped=0)


def contrastive_start(
    model: ImageClassifier,
    data: TrainingSet,
    options: StageOptions,
    *,
    loss: str = "simclr",
    seed: int,
    checkpoint: Path | None = None,
    track: Track | None = None,
    stage: str = "training",
    **more: Unpack[Place],
) -> TrainingLog:
    """Train the features on two views of each image, then everything on labels; for ``loss`` see ``contrastive``."""
    start, main = halves(options, len(data))
    before = _of_start(checkpoint, track, stage)
    first = pretrain_contrastive(model, data, start, loss=loss, seed=seed, **before, **more)
    last = train_representation(model, data, main, seed=seed, checkpoint=checkpoint, track=track, stage=stage, **more)
    return replace(last, seconds=first.seconds + last.seconds)


def fine_tune(
    model: ImageClassifier,
    data: TrainingSet,
    options: StageOptions,
    *,
    seed: int,
    checkpoint: Path | None = None,
    **more: Unpack[Watched],
) -> TrainingLog:
    """Fit a linear probe on the existing features, then train the whole network from there.

    A random last layer would distort pretrained features before it becomes useful (Kumar et al. 2022, "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", arXiv 2202.10054).
    """
    began = time.monotonic()
    if checkpoint is None or not (checkpoint / FILE).exists():  # else the checkpoint has a later layer
        team_device = joined_team(more.get("device", "auto"))[1]
        features = extract_features(model, data, batch_size=PROBED, device=team_device)
        known = LabeledFeatures(features, data.labels, data.groups, data.is_synthetic)
        probe = retrain_classifier(model, known, method="logistic", regularization=PROBE_STRENGTH)
        model.classifier.load_state_dict(probe.classifier.state_dict())
    seconds = time.monotonic() - began
    log = train_representation(model, data, options, seed=seed, checkpoint=checkpoint, **more)
    return replace(log, seconds=log.seconds + seconds)


def halves(options: StageOptions, num_images: int) -> tuple[StageOptions, StageOptions]:
    """Return the options of two stages that together take the steps of one, at least one each.

    >>> [stage.steps for stage in halves(StageOptions(steps=5), 100)]
    [2, 3]
    """
    return parts(options, num_images, first=0.5)


def parts(options: StageOptions, num_images: int, *, first: float) -> tuple[StageOptions, StageOptions]:
    """Return the options of two stages, the first with the share ``first`` of the steps, at least one each.

    >>> [stage.steps for stage in parts(StageOptions(steps=20), 100, first=0.85)]
    [17, 3]
    """
    steps = num_steps(options, num_images)
    start = max(int(steps * first + 1e-9), 1)
    return (
        options.model_copy(update={"steps": start}),
        options.model_copy(update={"steps": max(steps - start, 1)}),
    )


class _Start(TypedDict):
    checkpoint: Path | None
    track: Track | None
    stage: str


def _of_start(checkpoint: Path | None, track: Track | None, stage: str) -> _Start:
    """Return the first stage's checkpoint folder, tracker and stage name."""

    def named(values: dict[str, float], *, step: int) -> None:
        assert track is not None
        track({f"start/{name}": value for name, value in values.items()}, step=step)

    return {
        "checkpoint": None if checkpoint is None else checkpoint / "start",
        "track": None if track is None else named,
        "stage": f"{stage}, start",
    }


SCHEDULES: dict[str, Schedule] = {
    "usual": train_representation,
    "glmc": train_glmc,
    "synthetic_then_real": synthetic_then_real,
    "mixed_then_real": mixed_then_real,
    "frozen": frozen,
    "fine_tune": fine_tune,
    "simclr_start": contrastive_start,
    "balanced_contrastive_start": partial(contrastive_start, loss="balanced"),
}
