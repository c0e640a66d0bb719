"""Log a training to a tracker of accelerate; the CSV beside the checkpoint is always written.

Only the loss and the learning rate are sent, under the name of the method and seed: no image, no path, no class name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.errors import EnvironmentFault, SynaugError, unknown
from synaug.runtime import storage
from synaug.training.loop import Track

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

PROJECT = "synaug"


@contextlib.contextmanager
def tracked(tracker: str | None, *, name: str, folder: Path) -> Iterator[Track | None]:
    """Yield the function that ``train_representation`` calls with its numbers; None if nothing is tracked.

    Args:
        tracker: one of ``TRACKERS``, or None.
        name: of the run.
        folder: of the log files; trackers of a service keep their local files there.

    Raises:
        OptionError: the tracker is unknown.
        EnvironmentFault: the tracker's package is not installed, or the tracker cannot start, such as one of a service
            without an account or a connection.
        DataError: a link is in the place of the folder.
    """
    if tracker is None:
        yield None
        return
    if tracker not in TRACKERS:
        raise unknown("tracker", tracker, TRACKERS)
    try:
        chosen = TRACKERS[tracker](name, folder)
        _prepare_accelerate()
        chosen.start()
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            f"{tracker} cannot be used: {error}. Install it with pip install {_PACKAGES[tracker]}, or set train.track "
            "to null; the numbers are in training.csv anyway."
        ) from error
    except SynaugError:
        raise
    except Exception as error:  # of an account, a connection or a server, each in a class of its own
        raise EnvironmentFault(
            f"{tracker} cannot start: {error}. {_OFFLINE[tracker]}Or set train.track to null; the numbers are in "
            "training.csv anyway."
        ) from error
    try:
        yield chosen.log
    finally:
        chosen.finish()


def _prepare_accelerate() -> None:
    """Let the trackers of accelerate log: without its state, which a launcher or this makes, they raise an error."""
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())


def _tensorboard(name: str, folder: Path) -> GeneralTracker:
    from accelerate.tracking import TensorBoardTracker

    storage.make_folder(folder / name)  # which refuses a link there; TensorBoard would follow it
    return TensorBoardTracker(name, logging_dir=folder)


def _wandb(name: str, folder: Path) -> GeneralTracker:
    from accelerate.tracking import WandBTracker

    return WandBTracker(os.environ.get("WANDB_PROJECT", PROJECT), name=name, dir=str(folder))


def _mlflow(name: str, folder: Path) -> GeneralTracker:
    """Make a tracker; without a server in ``MLFLOW_TRACKING_URI`` it writes a database into the folder."""
    import mlflow
    from accelerate.tracking import MLflowTracker

    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{folder.resolve()}/mlflow.db")
        return MLflowTracker(PROJECT, logging_dir=folder.resolve().as_uri(), run_name=name)
    return MLflowTracker(PROJECT, run_name=name)


def _trackio(name: str, folder: Path) -> GeneralTracker:
    from accelerate.tracking import TrackioTracker

    return TrackioTracker(PROJECT, name=name)


TRACKERS: dict[str, Callable[[str, Path], GeneralTracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
_PACKAGES = {"tensorboard": "'synaug[track]'", "wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio"}
_OFFLINE = {
    "tensorboard": "",
    "wandb": "To keep the numbers on this machine: WANDB_MODE=offline. ",
    "mlflow": "To write into the run directory, unset MLFLOW_TRACKING_URI. ",
    "trackio": "",
}
