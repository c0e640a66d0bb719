"""Log a training to a tracker of accelerate; the CSV beside the checkpoint is always written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from synaug.errors import EnvironmentFault
from synaug.runtime import storage
from synaug.training.loop import Track


@contextlib.contextmanager
def tracked(tracker: str | None, *, name: str, folder: Path) -> Iterator[Track | None]:
    """Yield the function that ``train_representation`` calls with its numbers; None if nothing is tracked.

    Args:
        tracker: ``tensorboard``, or None.
        name: of the run, a folder inside ``folder``.
        folder: of the log files.

    Raises:
        EnvironmentFault: the tracker's package is not installed.
        DataError: a link is in the place of the folder.
    """
    if tracker is None:
        yield None
        return
    from accelerate.tracking import TensorBoardTracker

    storage.make_folder(folder / name)  # which refuses a link there; TensorBoard would follow it
    board = TensorBoardTracker(name, logging_dir=folder)
    try:
        board.start()
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            f"TensorBoard cannot be used: {error}. Install it with pip install 'synaug[track]', or set train.track "
            "to null; the numbers are in training.csv anyway."
        ) from error
    try:
        yield board.log
    finally:
        board.finish()
