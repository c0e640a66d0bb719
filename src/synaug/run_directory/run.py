"""Open a run directory: check that it is one and that its recorded files are unchanged."""

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

_opened: weakref.WeakValueDictionary[Hashable, Run] = weakref.WeakValueDictionary()  # freed with the last user


@dataclass(frozen=True)
class Run(RunPaths):
    """A planned run: its paths, and its files' content.

    The plan and the manifest are read on first use and kept. While an open run is referenced, opening it again returns
    the same object, unless its plan or manifest changed. The recipe is read every time, since training may change it.
    """

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run directory created by ``plan``, after comparing its plan and manifest with their recorded digests.

        Raises:
            DataError: it has no plan, or its lock file is damaged.
            ChangedFileError: the plan or the manifest does not match its recorded digest.
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


def change_model(path: Path, model: str) -> None:
    """Switch a planned run to another generator model.

    Raises:
        OptionError: images of the planned model exist already, or this is not a model name.
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
    """Return the name of a run on pages and cards: the recipe's, or the folder's if it has none."""
    return recipe.name if recipe.name != UNNAMED else run.path.resolve().name
