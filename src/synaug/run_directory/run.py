"""Open a run directory: check that it is one and that its recorded files are unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from synaug.config import UNNAMED, Recipe
from synaug.data import Manifest, read_manifest
from synaug.errors import DataError
from synaug.run_directory.lock_file import (
    check_recorded,
    locked_recipe,
    write_files,
)
from synaug.run_directory.paths import RunPaths, check_regular
from synaug.runtime.files import directories
from synaug.runtime.security import shell_word
from synaug.synthesis.planning import Plan, plan_bytes, read_plan


def _way_to_a_run(path: Path) -> str:
    """Return how to get a run directory; none is suggested inside a folder with other content, such as the images."""
    if path.is_dir() and next(path.iterdir(), None) is not None:
        return "Give the directory of a run, such as runs/photos; 'synaug run DATA' and 'synaug plan DATA' create one."
    return f"Create one with: synaug plan DATA --out {shell_word(path)}"


@dataclass(frozen=True)
class Run(RunPaths):
    """A planned run: its paths, and the content of its files.

    Open it once and pass it on: the plan and the manifest are read on first use and kept. The recipe is read every
    time, since training may change it.
    """

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a run directory created by ``plan``, after comparing its plan and manifest with their recorded digests.

        Raises:
            DataError: it has no plan, or its lock file is damaged.
            ChangedFileError: the plan or the manifest does not match its recorded digest.
        """
        path = Path(path)
        run = cls(directories.own(path))
        if not run.plan_file.is_file() or not run.lock_file.is_file():
            missing = run.lock_file if run.plan_file.is_file() else run.plan_file
            raise DataError(f"{path} is not a run directory: it has no {missing.name}. {_way_to_a_run(path)}")
        check_regular(run)
        check_recorded(run)
        return run

    @property
    def recipe(self) -> Recipe:
        """The options the run was planned with, including later changes by ``train``."""
        return locked_recipe(self)

    @property
    def name(self) -> str:
        """The name of the run on pages and cards: the recipe's, or the directory's if it has none."""
        return run_name(self, self.recipe)

    @cached_property
    def plan(self) -> Plan:
        """The synthetic images to generate."""
        return read_plan(self.plan_file)

    @cached_property
    def manifest(self) -> Manifest:
        """The real images of all splits."""
        return read_manifest(self.data_file)


def replace_plan(run: Run, plan: Plan) -> Run:
    """Write another plan into a run directory, and return the run with it."""
    write_files(run, {run.plan_file.name: plan_bytes(plan)})
    return Run.open(run.path)


def run_name(run: RunPaths, recipe: Recipe) -> str:
    """Return the name of a run on pages and cards: the recipe's, or the folder's if it has none."""
    return recipe.name if recipe.name != UNNAMED else run.path.resolve().name
