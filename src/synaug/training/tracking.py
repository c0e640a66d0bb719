"""Log a training, and at the end the report, to a tracker of accelerate; a CSV beside the checkpoint is always written.

Of a training, only the loss and the learning rate are sent, under the name of the method and seed: no image, no path,
no class name. The report's tables and pictures contain images and class names.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synaug.errors import DataError, EnvironmentFault, SynaugError, unknown
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.training.loop import Track

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker
    from pandas import DataFrame
    from PIL.Image import Image

PROJECT = "synaug"


@contextlib.contextmanager
def tracked(tracker: str | None, *, name: str, folder: Path) -> Iterator[Track | None]:
    """Yield the function that ``train_representation`` calls with its numbers; None if nothing is tracked.

    Args:
        tracker: one of ``TRACKERS``, or None.
        name: name of the run.
        folder: folder for the log files; trackers of a service keep their local files there.

    Raises:
        OptionError: the tracker is unknown.
        EnvironmentFault: the tracker's package is not installed, or the tracker cannot start, such as that of a service
            without an account or a connection.
        DataError: the folder is a link.
    """
    if tracker is None:
        yield None
        return
    with _started(tracker, name, folder) as chosen:
        yield chosen.log


def is_local_tracker(tracker: str) -> bool:
    """Return whether a tracker keeps what it receives on this machine, with the settings of this environment."""
    return _LOCAL_WITHOUT[tracker] is not None and str(_LOCAL_WITHOUT[tracker]) not in os.environ


def log_report(
    tracker: str, *, name: str, folder: Path, tables: Mapping[str, DataFrame], pictures: Mapping[str, Image]
) -> None:
    """Log tables and pictures, each under its own name.

    Raises:
        OptionError, EnvironmentFault, DataError: as ``tracked``.
    """
    with _started(tracker, name, folder) as chosen:
        _REPORTERS[tracker](chosen, tables, pictures)


@contextlib.contextmanager
def _started(tracker: str, name: str, folder: Path) -> Iterator[GeneralTracker]:
    if tracker not in TRACKERS:
        raise unknown("tracker", tracker, TRACKERS)
    _check_links(folder)
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
    except Exception as error:  # account, connection or server errors, each of its own type
        raise EnvironmentFault(
            f"{tracker} cannot start: {error}. {_OFFLINE[tracker]}Or set train.track to null; the numbers are in "
            "training.csv anyway."
        ) from error
    try:
        yield chosen
    finally:
        chosen.finish()


def _check_links(folder: Path) -> None:
    """Raise a DataError for a link that leads out of the folder: a tracker's library would write through it."""
    top = os.path.realpath(folder)
    for path in directories.entries_below(folder):
        if path.is_symlink() and os.path.commonpath([top, os.path.realpath(path)]) != top:
            raise DataError(f"{path} is a link that leads out of {folder}, and was left alone. Move it away.")


def _prepare_accelerate() -> None:
    """Let accelerate's trackers log: they need its state, which a launcher or this function creates."""
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


def _report_to_tensorboard(tracker: Any, tables: Mapping[str, DataFrame], pictures: Mapping[str, Image]) -> None:
    import numpy as np

    tracker.log({name: _markdown(table) for name, table in tables.items()}, step=0)
    for name, picture in pictures.items():
        tracker.log_images({f"examples/{name}": np.asarray(picture)[None]}, step=0, dataformats="NHWC")


def _report_to_wandb(tracker: Any, tables: Mapping[str, DataFrame], pictures: Mapping[str, Image]) -> None:
    for name, table in tables.items():
        tracker.log_table(name, dataframe=table)
    for name, picture in pictures.items():
        tracker.log_images({f"examples/{name}": [picture]})


def _report_to_mlflow(tracker: Any, tables: Mapping[str, DataFrame], pictures: Mapping[str, Image]) -> None:
    import mlflow

    for name, table in tables.items():
        mlflow.log_table(table, artifact_file=f"{name}.json")
    for name, picture in pictures.items():
        mlflow.log_image(picture, artifact_file=f"examples/{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.png")


def _report_to_trackio(tracker: Any, tables: Mapping[str, DataFrame], pictures: Mapping[str, Image]) -> None:
    import trackio

    tracker.log({name: trackio.Table(dataframe=table) for name, table in tables.items()})
    for name, picture in pictures.items():
        tracker.log({f"examples/{name}": trackio.Image(picture)})


def _markdown(table: DataFrame) -> str:
    """Return a table as Markdown; text from the data cannot end a cell."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


TRACKERS: dict[str, Callable[[str, Path], GeneralTracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
_REPORTERS: dict[str, Callable[..., None]] = {
    "tensorboard": _report_to_tensorboard,
    "wandb": _report_to_wandb,
    "mlflow": _report_to_mlflow,
    "trackio": _report_to_trackio,
}
_LOCAL_WITHOUT = {  # the environment variable that names another machine; None: a service
    "tensorboard": "",
    "wandb": None,
    "mlflow": "MLFLOW_TRACKING_URI",
    "trackio": "TRACKIO_SPACE_ID",
}
_PACKAGES = {"tensorboard": "'synaug[track]'", "wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio"}
_OFFLINE = {
    "tensorboard": "",
    "wandb": "To keep the numbers on this machine: WANDB_MODE=offline. ",
    "mlflow": "To write into the run directory, unset MLFLOW_TRACKING_URI. ",
    "trackio": "",
}
