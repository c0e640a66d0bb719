"""Decide which options of an existing run may change, and name the command that changes them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import yaml

from synaug.config import Recipe
from synaug.errors import OptionError
from synaug.recipes import with_overrides, with_settings
from synaug.run_directory.lock_file import change_lock, locked_recipe, replace_recipe
from synaug.run_directory.paths import RunPaths, method_and_seed
from synaug.run_directory.run import Run, replace_plan
from synaug.runtime import storage

TRAINING_ENVIRONMENT = ("device", "track", "track_report", "in_memory")
"""Options below ``train`` that do not affect the trained classifiers."""
_OF_SERVICE = (
    *("key_variable", "price", "max_cost", "concurrency", "requests_per_minute", "timeout", "retries", "backoff"),
)
_ALWAYS = (  # affect no image and no classifier, or are recorded in each result
    *(f"api.{name} " for name in _OF_SERVICE),
    *(f"train.{name} " for name in TRAINING_ENVIRONMENT),
    *("generate.device ", "name ", "methods.", "choose.", "cross_validate."),
)
_OF_LATER_IMAGES = ("quality.max_attempts ", "quality.max_missing ")  # may change between two images of a run
_OF_GENERATION = ("generate.", "api.", "plan.model ", "plan.negative_prompt ")  # may change before the first image
_OF_TRAINING = ("train.",)


def changed_options(before: Recipe, now: Recipe) -> dict[str, tuple[object, object]]:
    """Return the dotted options that differ, each with its value before and now."""
    old, new = (_flat(recipe.model_dump(mode="json")) for recipe in (before, now))
    return {
        name: (old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def may_resume(run: RunPaths, names: Iterable[str]) -> bool:
    """Return whether a run may be resumed with these options changed; it then records the new values.

    Training options may change until a method has a result. After that, only ``change_training`` changes them, so that
    a forgotten option does not retrain everything.
    """
    allowed = _ALWAYS if trained_methods(run) else _ALWAYS + _OF_TRAINING
    return all(_is_of(name, allowed) for name in names)


def way_out(run: RunPaths, recipe: Recipe, *, same_data: bool) -> str:
    """Return advice for options that differ from those of a run: commands that change them, or another folder.

    The commands depend on the content of the run: its images, if options of generation differ, and its results, if
    options of training do.
    """
    differing = {name: now for name, (_, now) in changed_options(locked_recipe(run), recipe).items()}
    rest = {name: now for name, now in differing.items() if not may_resume(run, [name])}
    training = {name: now for name, now in rest.items() if _is_of(name, _OF_TRAINING)}
    generation = {
        name: now
        for name, now in rest.items()
        if _is_of(name, _OF_LATER_IMAGES if _has_images(run) else _OF_LATER_IMAGES + _OF_GENERATION)
    }
    if not same_data or rest.keys() - training.keys() - generation.keys():
        return "Choose another folder with --out, or repeat the data and options of that run to resume it."
    commands = []
    if generation:
        commands.append(shlex.join(["synaug", "generate", str(run.path), *_settings(generation)]))
    if training:
        methods = ",".join(trained_methods(run))
        commands.append(shlex.join(["synaug", "train", str(run.path), *_settings(training), "--methods", methods]))
    return (
        f"To change {'it' if len(rest) == 1 else 'them'} in this run: {', then '.join(commands)}; then repeat this "
        "command. To keep both, choose another folder with --out."
    )


def trained_methods(run: RunPaths) -> list[str]:
    """Return the names of the methods with a result, of any seed and any options."""
    names = (path.parent.name for path in run.checkpoints.glob("*-*/result.json"))
    return sorted({parsed[0] for name in names if (parsed := method_and_seed(name)) is not None})


def change_training(run: RunPaths, recipe: Recipe) -> Recipe:
    """Replace the training options of a run; its images stay, and methods with changed options are retrained.

    Returns the recipe, as now recorded in the lock file.

    Raises:
        OptionError: another option differs, one that affects the images.
    """
    differing = changed_options(locked_recipe(run), recipe)
    outside = [name for name in differing if not _is_of(name, _ALWAYS + _OF_TRAINING)]
    if outside:
        raise OptionError(
            f"{outside[0]} cannot change in {run.path}: the images there depend on it. Allowed: the options below "
            "train, methods, choose and cross_validate. For others start a new run: synaug run DATA --out OTHER "
            "--set ..."
        )
    if differing:
        replace_recipe(run, recipe)
    return recipe


def change_generation(run: Run, overrides: Mapping[str, object], settings: Sequence[str] = ()) -> Run:
    """Change generation options of a planned run: before the first image any of them, later those that affect no image.

    Returns the run with its new plan, or ``run`` itself if nothing changes.

    Args:
        run: planned; it may have images.
        overrides: dotted options, such as ``{"plan.model": "embedded"}``; None leaves one as it is.
        settings: values of ``--set``, which override ``overrides``.

    Raises:
        OptionError: an option is unknown or its value is not allowed, or existing images depend on it.
    """
    recipe = run.recipe
    changed = with_settings(with_overrides(recipe, dict(overrides)), settings)
    differing = changed_options(recipe, changed)
    if not differing:
        return run
    with storage.lock(run.path):
        for name, (before, now) in differing.items():
            _check_generation(run, name, before, now)
        plan = run.plan
        new = {"model": changed.plan.model, "negative_prompt": changed.plan.negative_prompt}
        changed_plan = replace(plan, options=plan.options.model_copy(update=new), generate=changed.generate)
        changed_run = replace_plan(run, changed_plan)
        replace_recipe(run, changed)
        if changed.plan.model != recipe.plan.model:
            change_lock(run, model={})
    return changed_run


def _check_generation(run: RunPaths, name: str, before: object, now: object) -> None:
    """Raise an OptionError for an option that ``generate`` cannot change, or can no longer change."""
    if _is_of(name, _OF_LATER_IMAGES) or (_is_of(name, _ALWAYS) and _is_of(name, _OF_GENERATION)):
        return
    if not _is_of(name, _OF_GENERATION):
        raise OptionError(
            f"{name} cannot be changed by 'synaug generate'. Plan into another directory: synaug plan DATA --out OTHER "
            f"--set {name}=..."
        )
    if _has_images(run):
        raise OptionError(
            f"{run.path} holds images of {name} {before!r} and cannot continue with {now!r}. Plan into another "
            "directory, or leave the option out."
        )


def _has_images(run: RunPaths) -> bool:
    return (run.path / "journal").exists()


def _is_of(name: str, groups: tuple[str, ...]) -> bool:
    """Return whether a dotted option is one of these, or below one of these sections, which end with a dot."""
    return f"{name} ".startswith(groups)


def _settings(values: Mapping[str, object]) -> list[str]:
    """Return the options as ``--set`` arguments, which parse to the same values."""
    return [f"--set={name}={value if _is_plain(value) else json.dumps(value)}" for name, value in values.items()]


def _is_plain(value: object) -> bool:
    """Return whether a value is a string that YAML reads as the same string."""
    return isinstance(value, str) and yaml.safe_load(value) == value


def _flat(content: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
