"""Open a run directory: check that it is one and that its recorded files are unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from synaug.config import UNNAMED, Recipe
from synaug.data import Manifest, read_manifest
from synaug.errors import DataError, OptionError
from synaug.recipes import with_overrides, with_settings
from synaug.run_directory.lock_file import (
    OF_SERVICE,
    change_lock,
    changed_options,
    check_recorded,
    locked_recipe,
    replace_recipe,
    write_files,
)
from synaug.run_directory.paths import RunPaths, check_regular
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.runtime.security import shell_word
from synaug.synthesis.planning import Plan, plan_bytes, read_plan


@dataclass(frozen=True)
class Run(RunPaths):
    """A planned run: its paths, and its files' content.

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
        run = cls(directories.own(Path(path)))
        if not run.plan_file.is_file() or not run.lock_file.is_file():
            missing = run.lock_file if run.plan_file.is_file() else run.plan_file
            raise DataError(
                f"{path} is not a run directory: it has no {missing.name}. Create one with: "
                f"synaug plan DATA --out {shell_word(path)}"
            )
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


_OF_LATER_IMAGES = ("quality.max_attempts", "quality.max_missing", "generate.device")
"""Options beside those of the service that may change between two images of a run."""


def change_generation(run: Run, overrides: Mapping[str, object], settings: Sequence[str] = ()) -> Run:
    """Change how a planned run generates: all of it before the first image, later only what changes no image.

    Returns the run with its new plan, or ``run`` itself if nothing changes.

    Args:
        run: without images, or with images that the changes do not concern.
        overrides: dotted options, such as ``{"plan.model": "embedded"}``; None leaves one as it is.
        settings: as of ``--set``; these override ``overrides``.

    Raises:
        OptionError: an option is unknown or its value is not allowed, or images that are there depend on it.
    """
    recipe = run.recipe
    changed = with_settings(with_overrides(recipe, dict(overrides)), settings)
    differing = changed_options(recipe, changed)
    if not differing:
        return run
    with storage.lock(run.path):
        has_images = (run.path / "journal").exists()
        for name, (before, now) in differing.items():
            _check_may_change(run.path, name, before, now, has_images=has_images)
        plan = run.plan
        new = {"model": changed.plan.model, "negative_prompt": changed.plan.negative_prompt}
        changed_plan = replace(plan, options=plan.options.model_copy(update=new), generate=changed.generate)
        write_files(run, {run.plan_file.name: plan_bytes(changed_plan)})
        replace_recipe(run, changed)
        if changed.plan.model != recipe.plan.model:
            change_lock(run, model={})
    return Run.open(run.path)


def _check_may_change(path: Path, name: str, before: object, now: object, *, has_images: bool) -> None:
    """Raise an OptionError for an option that ``generate`` cannot change."""
    if f"{name} ".startswith(OF_SERVICE) or name in _OF_LATER_IMAGES:
        return
    if not name.startswith(("generate.", "api.", "plan.model", "plan.negative_prompt")):
        raise OptionError(
            f"{name} cannot be changed by 'synaug generate'. Plan into another directory: synaug plan DATA --out OTHER "
            f"--set {name}=..."
        )
    if has_images:
        raise OptionError(
            f"{path} holds images of {name} {before!r}; they cannot be continued with {now!r}. Plan into another "
            "directory, or leave the option out."
        )


def run_name(run: RunPaths, recipe: Recipe) -> str:
    """Return the name of a run on pages and cards: the recipe's, or the folder's if it has none."""
    return recipe.name if recipe.name != UNNAMED else run.path.resolve().name
