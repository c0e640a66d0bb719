"""Let a language model write prompts for a data set: the questions about the data, and the file that it fills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synaug.config import Recipe
from synaug.data import Manifest, read_image
from synaug.errors import IncompleteError, OptionError
from synaug.pipeline.prepare import load_data
from synaug.pipeline.prompts.run_prompts import check_new
from synaug.runtime import Progress, silent, storage
from synaug.synthesis.planning.prompting import prompts_text, readable_name
from synaug.synthesis.writing import ChatWriter, Task, Writer, write_prompts

_JOURNAL, _LOCK = "prompts.jsonl", "writing"


def write_prompt_file(
    source: Path,
    out: Path,
    recipe: Recipe,
    *,
    model: str,
    per_class: int,
    describe: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Let a language model write a prompts file for the data, and count written prompts and rejected lines.

    Args:
        source: the data.
        out: the new prompts file; the folder ``OUT.partial`` holds finished prompts, for resuming.
        recipe: how the data are read, ``plan.by``, ``plan.aliases``, ``plan.spread`` and the service (``api``).
        model: folder or Hub id of a transformers model; with ``api.endpoint`` or as ``openai:MODEL``, a service's.
        per_class: prompts per class, or per group.
        describe: number of training images per class that the model describes first; a service receives them.
        progress: called with the number of prompts.

    Raises:
        OptionError: an option is not allowed, or the file exists.
        EnvironmentFault: the model is not available.
        IncompleteError: a class has no prompt; those of the others are in the file.
    """
    check_new(out)
    spread = _spread(recipe)
    manifest = load_data(source, recipe, progress=progress)
    tasks = _tasks(manifest, recipe, per_class=per_class, describe=describe)
    about = {
        "model": model, "per_class": per_class, "describe": describe, "seed": recipe.plan.seed,
        "spread": {name: list(each) for name, each in spread.items()}, "cells": [task.cell for task in tasks],
        "endpoint": recipe.api.endpoint,
    }  # fmt: skip
    partial = out.with_name(f"{out.name}.partial")
    with storage.lock(partial, name=_LOCK):
        writer = make_writer(model, recipe)
        written = write_prompts(
            writer,
            tasks,
            spread=spread,
            seed=recipe.plan.seed,
            journal=partial / _JOURNAL,
            about=about,
            progress=progress,
        )
        storage.write_text(out, prompts_text(written.prompts, out.suffix))
    storage.remove_tree(partial, names={_JOURNAL, f".{_LOCK}.lock"})
    counts = Counter(f"{each.class_name} | {each.attribute}" if each.attribute else each.class_name
                     for each in written.prompts)  # fmt: skip
    return {
        "file": str(out),
        "model": written.about,
        "prompts": {task.cell: counts[task.cell] for task in tasks},
        "missing": written.missing,
        "rejected": written.rejected,
        "spread": _counts(written.prompts),
    }


def check_written(content: Mapping[str, Any]) -> None:
    """Raise an IncompleteError if a class or group has no prompt at all."""
    empty = [name for name, number in content["prompts"].items() if not number]
    if empty:
        reasons = ", ".join(f"{name} {number}" for name, number in content["rejected"].get(empty[0], {}).items())
        raise IncompleteError(
            f"The model wrote no usable prompt for {len(empty)} of {len(content['prompts'])} classes or groups, first "
            f"{empty[0]!r} (rejected lines: {reasons or 'none, it wrote nothing'}). Those of the others are in "
            f"{content['file']}. Use a larger model, or write the rows yourself."
        )


def make_writer(model: str, recipe: Recipe) -> Writer:
    """Return the language model: a service's if there is an endpoint or the name implies one, else a local one."""
    if recipe.api.endpoint is not None or model.startswith(("openai:", "api:")):
        if model.startswith("api:") and recipe.api.endpoint is None:
            raise OptionError(f"{model} needs --endpoint, the address of the service.")
        return ChatWriter(model, recipe.api)
    from synaug.synthesis.writing import LocalWriter

    return LocalWriter(model, device=recipe.generate.device)


def _spread(recipe: Recipe) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for name, each in recipe.plan.spread.items():
        if isinstance(each, Mapping) or name == "class":
            raise OptionError(f"plan.spread.{name}: a language model takes the same phrases for all classes: a list.")
        found[name] = each
    return found


def _tasks(manifest: Manifest, recipe: Recipe, *, per_class: int, describe: int) -> list[Task]:
    training = manifest.split("train")
    by_group = recipe.plan.by == "group"
    if by_group and not manifest.num_attributes:
        raise OptionError("--by group needs an attribute of the images; name its column with --attribute.")
    tasks = []
    for label, class_name in enumerate(manifest.class_names):
        called = readable_name(class_name, recipe.plan.aliases)
        names = tuple(dict.fromkeys([called, readable_name(class_name)]))
        for attribute in manifest.attribute_names if by_group else ("",):
            rows = np.flatnonzero(training.labels == label)
            images = _images(training, rows, describe, recipe.plan.seed)
            tasks.append(Task(class_name, names, attribute, per_class, images))
    return tasks


def _images(training: Manifest, rows: np.ndarray, number: int, seed: int) -> tuple[Image.Image, ...]:
    chosen = np.random.default_rng([seed, 8]).permutation(rows)[:number]
    return tuple(read_image(training, int(row)) for row in chosen)


def _counts(prompts: Sequence[Any]) -> dict[str, dict[str, dict[str, int]]]:
    """Return class or group -> name of an attribute -> phrase -> number of prompts."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for each in prompts:
        cell = f"{each.class_name} | {each.attribute}" if each.attribute else each.class_name
        for name, phrase in each.phrases:
            counts.setdefault(cell, {}).setdefault(name, Counter())[phrase] += 1
    return {cell: {name: dict(each) for name, each in names.items()} for cell, names in counts.items()}
