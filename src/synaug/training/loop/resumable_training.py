"""Run a training from its first step, or from its checkpoint, to its last."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synaug.config import StageOptions
from synaug.errors import Interrupted
from synaug.runtime import Progress, signals, storage
from synaug.training.checkpoint import TrainingRecord, read_checkpoint, training_digest, write_checkpoint
from synaug.training.lazy_images import ImageFiles
from synaug.training.loop.steps import Steps
from synaug.training.sampling import batches
from synaug.training.training_set import TrainingSet

SAVE_EVERY = 30.0  # seconds
CURVES = "training.csv"  # step, loss and learning rate, beside the checkpoint
_SHOWN_EVERY = 10  # steps
_SHOWN_AFTER = 5.0  # seconds

Track = Callable[..., None]


@dataclass(frozen=True)
class TrainingLog:
    """The record of a training.

    Attributes:
        steps: optimizer steps, including skipped ones.
        losses: loss of each step; NaN if it was not finite and the step was skipped.
        seconds: total time, across interruptions.
        images_per_second: over the whole training; NaN if no step was taken.
        skipped: number of steps without a finite loss.
    """

    steps: int
    losses: tuple[float, ...] = field(repr=False)
    seconds: float
    images_per_second: float
    skipped: int


class ResumableTraining:
    """A training in progress; its state is saved regularly if there is a checkpoint folder."""

    def __init__(self, steps: Steps, data: TrainingSet, options: StageOptions, *, checkpoint: Path | None) -> None:
        self._steps, self._data, self._options, self._checkpoint = steps, data, options, checkpoint
        self._digest = (
            training_digest(steps.parts.modules["model"], data, options, seed=steps.seed, steps=steps.total)
            if checkpoint
            else ""
        )
        self._seconds = self._shown = 0.0

    def run(self, progress: Progress, track: Track | None, stage: str) -> None:
        """Take all remaining steps.

        Raises:
            OutdatedCheckpointError: the checkpoint belongs to other options, data or another network.
            SynaugError: too many steps had no finite loss.
            Interrupted: a signal arrived; the state is saved.
        """
        steps, team = self._steps, self._steps.team
        began = saved = time.monotonic()
        before = self._shown = self._resume()
        if team.is_first and len(steps.record) < steps.total:
            progress(stage, len(steps.record), steps.total, "")
        steps.begin()
        for step, (rows, coming) in enumerate(_with_next(self._batches()), len(steps.record)):
            if isinstance(self._data.images, ImageFiles) and coming is not None:
                self._data.images.prefetch(team.share(coming))
            stop = steps.take(step, team.share(rows))
            self._seconds = before + time.monotonic() - began
            done = step + 1
            if team.is_first:
                self._show(done, progress, track, stage)
            if stop or done == steps.total or time.monotonic() - saved > SAVE_EVERY:
                self._save()
                saved = time.monotonic()
            if stop and done < steps.total:
                signals.stop_here()
                raise Interrupted("Interrupted in another process. Rerun the same command to resume.")

    def log(self) -> TrainingLog:
        """Return the record of the training."""
        losses = self._steps.record.losses
        num_images = len(losses) * self._options.batch_size
        return TrainingLog(
            steps=len(losses),
            losses=tuple(losses),
            seconds=self._seconds,
            images_per_second=num_images / self._seconds if self._seconds > 0 else math.nan,
            skipped=self._steps.record.num_skipped,
        )

    def _batches(self) -> Iterator[np.ndarray]:
        """Return the rows of each remaining batch of all processes together."""
        return batches(
            self._options.sampler,
            self._data,
            batch_size=self._options.batch_size,
            steps=self._steps.total,
            seed=self._steps.seed,
            start=len(self._steps.record),
            max_synthetic=self._options.max_synthetic,
        )

    def _show(self, done: int, progress: Progress, track: Track | None, stage: str) -> None:
        """Report the loss every few steps; if steps are slow, report only progress in between."""
        regular = done % _SHOWN_EVERY == 0 or done == self._steps.total
        if not regular and self._seconds - self._shown < _SHOWN_AFTER:
            return
        self._shown = self._seconds
        loss = self._steps.record.losses[-1]
        progress(stage, done, self._steps.total, f"loss {loss:.3f}")
        if regular and track is not None:
            track({"loss": loss, "learning_rate": self._steps.learning_rate(done - 1)}, step=done)

    def _save(self) -> None:
        """Write the state if there is a checkpoint folder and this process is the one that writes."""
        steps = self._steps
        if self._checkpoint is None or not steps.team.is_first:
            return
        losses = steps.record.losses
        about: TrainingRecord = {
            "digest": self._digest,
            "steps": steps.total,
            "losses": [None if math.isnan(loss) else loss for loss in losses],
            "skipped": steps.record.num_skipped,
            "seconds": self._seconds,
            "scaler": steps.scaler.state_dict(),
        }
        lines = [f"{step + 1},{loss!r},{steps.learning_rate(step)!r}" for step, loss in enumerate(losses)]
        storage.make_folder(self._checkpoint)
        storage.write_text(self._checkpoint / CURVES, "\n".join(["step,loss,learning_rate", *lines, ""]))
        # last, since a finished checkpoint is not written again
        write_checkpoint(self._checkpoint, steps.parts, about)

    def _resume(self) -> float:
        """Load the checkpoint, if there is one, and return the seconds spent so far."""
        if self._checkpoint is None:
            return 0.0
        about = read_checkpoint(self._checkpoint, self._steps.parts, digest=self._digest)
        if about is not None:
            self._steps.record.restore([math.nan if loss is None else loss for loss in about["losses"]])
            self._seconds = about["seconds"]
            if about["scaler"]:
                self._steps.scaler.load_state_dict(about["scaler"])
        return self._seconds


def _with_next(stream: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield each item with its successor; None after the last."""
    current, following = itertools.tee(stream)
    return itertools.zip_longest(current, itertools.islice(following, 1, None))
