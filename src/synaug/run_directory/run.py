"""Open a run directory: check that it is one, and that nobody changed what it recorded."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from synaug.config import UNNAMED, Recipe
from synaug.data.manifest import Manifest, read_manifest
from synaug.errors import DataError, OptionError
from synaug.recipes import with_overrides
from synaug.run_directory.lock_file import change_lock, check_recorded, locked_recipe, replace_recipe, write_files
from synaug.run_directory.paths import RunPaths, check_regular
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.runtime.unchanged import signatures
from synaug.synthesis.planning.plan import Plan
from synaug.synthesis.planning.plan_file import plan_bytes, read_plan

_opened: weakref.WeakValueDictionary[Hashable, Run] = weakref.WeakValueDictionary()  # freed with their last user


@dataclass(frozen=True)
class Run(RunPaths):
    """A planned run: its paths and the content of its files.

    The plan and the manifest are read on first use and kept. As long as an open run is referenced, opening it again
    returns the same object, unless its plan or manifest changed. The recipe is read each time, since training may
    change it.
    """

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run directory that ``plan`` made, after comparing its plan and manifest with their recorded digests.

        Raises:
            DataError: it has no plan, or its lock file is damaged.
            ChangedFileError: the plan or the manifest is not the one that was recorded.
        """
        run = cls(directories.own(path))
        if not run.plan_file.is_file() or not run.lock_file.is_file():
            missing = run.lock_file if run.plan_file.is_file() else run.plan_file
            raise DataError(
                f"{path} is not a run directory: it has no {missing.name}. Create one with: "
                f"synaug plan DATA --out {path}"
            )
        check_regular(run)
        check_recorded(run)
        key = (cls, run.path, signatures([run.plan_file, run.data_file]))
        return _opened.setdefault(key, run)  # type: ignore[return-value]

    @property
    def recipe(self) -> Recipe:
        """The options that the run was planned with, as changed since by ``train``."""
        return locked_recipe(self)

    @property
    def name(self) -> str:
        """What pages and cards call the run: the recipe's name, or the directory's if it has none."""
        return run_name(self, self.recipe)

    @cached_property
    def plan(self) -> Plan:
        """The synthetic images to make."""
        return read_plan(self.plan_file)

    @cached_property
    def manifest(self) -> Manifest:
        """The real images, of all splits."""
        return read_manifest(self.data_file)


def change_model(path: Path, model: str) -> None:
    """Let a planned run take its images from another model.

    Raises:
        OptionError: images of the planned model are there already, or the model is not a name of one.
    """
    run = Run.open(path)
    recipe = locked_recipe(run)
    if recipe.plan.model == model:
        return
    changed = with_overrides(recipe, {"plan.model": model})
    with storage.lock(path):
        if (path / "journal").exists():
            raise OptionError(
                f"{path} holds images of {recipe.plan.model}; they cannot be combined with images of {model}. "
                "Plan into another directory, or remove --model."
            )
        changed_plan = replace(run.plan, options=run.plan.options.model_copy(update={"model": model}))
        write_files(run, {run.plan_file.name: plan_bytes(changed_plan)})
        replace_recipe(run, changed)
        change_lock(run, model={})


def run_name(run: RunPaths, recipe: Recipe) -> str:
    """Return what pages and cards call a run: the recipe's name, or the folder's if it has none."""
    return recipe.name if recipe.name != UNNAMED else run.path.resolve().name
