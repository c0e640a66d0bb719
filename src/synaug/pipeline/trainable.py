"""Check that a run has the images that the requested methods are trained on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from synaug.config import Recipe
from synaug.errors import DataError
from synaug.pipeline.choosing import uses_synthetic
from synaug.run_directory import Run
from synaug.runtime.security import shell_word
from synaug.synthesis.execution import is_settled


def check_trainable(run: Run, recipe: Recipe, methods: Sequence[str], settings: Sequence[str] = ()) -> None:
    """Raise an error if a method needs synthetic images that have not been generated yet.

    Args:
        run: planned run.
        recipe: its options, with changes that are not recorded yet.
        methods: names of the methods to train.
        settings: those changes, as of ``--set``, for the command in the message.

    Raises:
        DataError: images are missing; the message names the command that generates them, and the one that trains the
            methods that need none.
    """
    waiting = [name for name in methods if uses_synthetic(name, recipe)]
    if not waiting or is_settled(run.plan, folder=run.path, quality=recipe.quality):
        return
    message = (
        f"Some images of {run.path} have not been generated yet, and {waiting[0]} is trained on them. Generate them "
        f"with: synaug generate {shell_word(run.path)}"
    )
    if ready := [name for name in methods if name not in waiting]:
        options = ["--methods", ",".join(ready), *(f"--set={setting}" for setting in settings)]
        message += f". Or train without them: {shlex.join(['synaug', 'train', str(run.path), *options])}"
    raise DataError(message)
