"""Prepare a run: its data with a test split, the plan, and both written into the run directory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from synaug.config import Recipe
from synaug.data import (
    Manifest,
    complete_classes,
    groups,
    manifest_bytes,
    readers,
    source_encoding,
    with_test_split,
    without_synthetic_tests,
)
from synaug.errors import DataError, OptionError
from synaug.methods import check_code, check_methods
from synaug.pipeline.scorer import with_scorer
from synaug.run_directory import Run, RunPaths, write_files, write_lock
from synaug.runtime import Progress, silent, storage
from synaug.runtime.files import is_text
from synaug.synthesis.execution.journal import FOLDER as JOURNAL
from synaug.synthesis.generators.models import check_no_single_file, place_of
from synaug.synthesis.planning import Plan, make_plan, plan_bytes, read_plan
from synaug.synthesis.planning.prompting import read_prompts

if TYPE_CHECKING:
    from synaug.data.formats.memory import Source

IN_MEMORY = "images in memory"


def check_recipe(recipe: Recipe, *, training: bool = True) -> None:
    """Raise an OptionError for an unknown name of a method, mixing, loss, sampler, network, gate or device.

    Without ``training``, only what needs no training library is checked: the names of methods and gates.
    """
    from synaug.synthesis.generators import check_own_generator
    from synaug.synthesis.quality import check_gates

    check_methods(list(recipe.methods), recipe)
    check_gates(recipe.quality.gates)
    networks = {recipe.train.network, *(own.network for own in recipe.methods.values() if own.network)}
    check_code(networks)
    if recipe.generate.generator is not None:
        check_own_generator(recipe.generate.generator)
        if recipe.plan.variant == "fitted":
            raise OptionError("variant 'fitted' trains a diffusion model, which generate.generator replaces.")
    if training:
        _check_training(recipe, networks)


def _check_training(recipe: Recipe, networks: Iterable[str]) -> None:
    from synaug.runtime import chosen_device, chosen_precision
    from synaug.training import check_stage
    from synaug.training.last_layer import method_named
    from synaug.training.networks import check_network

    chosen_precision(recipe.generate.dtype, chosen_device(recipe.generate.device))
    chosen_precision(recipe.train.precision, chosen_device(recipe.train.device))
    for network in networks:
        check_network(network)
    for changes in ({}, *(method.stage1 for method in recipe.methods.values())):
        check_stage(recipe.train.stage1.model_copy(update=changes))
    for changes in ({}, *(method.retrain for method in recipe.methods.values())):
        method_named(recipe.train.retrain.model_copy(update=changes).method)


def load_data(source: Source, recipe: Recipe, *, progress: Progress = silent) -> Manifest:
    """Return the images with a test split: the data's own, or a share of each class held out.

    Raises:
        DataError: the data cannot be used, or a class has no image to test on.
    """
    manifest = readers.read_data(source, recipe.data, progress=progress)
    if manifest.root is not None and not is_text(manifest.root.resolve()):
        raise DataError(
            f"{manifest.root} has a name that is not text in the encoding of this system, which tables cannot hold. "
            "Rename the folder; if the name is UTF-8, set PYTHONUTF8=1."
        )
    manifest = without_synthetic_tests(manifest)  # since a manifest passed by the caller did not go through a reader
    manifest = with_test_split(manifest, recipe.data.test_fraction, recipe.seed)
    return complete_classes(manifest, "test", recipe.data.incomplete_classes, where=place(source))


def check_counts(manifest: Manifest, split: str) -> None:
    """Raise a DataError if a class has no image in the split."""
    counts = groups.class_counts(manifest.split(split).labels, manifest.num_classes)
    empty = [manifest.class_names[label] for label in np.flatnonzero(counts == 0)]
    if empty:
        raise DataError(
            f"No {split} image in {len(empty)} of {manifest.num_classes} classes: {', '.join(empty[:5])}. "
            "Each class needs at least one real image to train on and one to test on."
        )


def drafted_plan(manifest: Manifest, recipe: Recipe) -> Plan:
    """Return the plan for the training images without writing anything.

    Raises:
        EnvironmentFault: the model is a checkpoint in a single file.
    """
    check_no_single_file(recipe.plan.model)
    training = manifest.split("train")
    check_counts(manifest, "train")
    look = source_encoding.detect_encoding(training)
    return make_plan(
        training,
        options=recipe.plan,
        generate=recipe.generate,
        encoding=look,
        image_size=look.size or source_encoding.median_size(training),
        written=read_prompts(Path(recipe.plan.prompts)) if recipe.plan.prompts else (),
    )


def write_run(manifest: Manifest, plan: Plan, out: Path, recipe: Recipe, *, source: str) -> Run:
    """Write the lock file, the manifest and the plan, and return the run; its missing or damaged files are rewritten.

    If the same data are now at another path, the manifest records that path from here on: the compared images are the
    images that are trained on.

    Raises:
        OptionError: the folder holds another run.
    """
    from synaug.pipeline.choosing import planned_so_far

    run = RunPaths(out)
    storage.remove_temporary(storage.make_folder(out))
    recipe = recipe.model_copy(update={"bench": None})
    if recipe.train.pretrained == "auto":
        from synaug.pipeline.pretraining import resolve_pretraining

        recipe, _ = resolve_pretraining(recipe, plan, out)
    recipe = with_scorer(recipe, plan, run)
    folder = {} if recipe.generate.generator else place_of(recipe.plan.model)
    write_lock(
        run,
        source=manifest.origin or source,
        recipe=recipe,
        data_digest=data_digest(manifest),
        model={"model": recipe.plan.model} | folder if folder else None,
    )
    check_same_prompts(run, plan)
    plan = planned_so_far(plan, out)
    contents = {run.data_file.name: manifest_bytes(manifest), run.plan_file.name: plan_bytes(plan)}
    write_files(run, contents)
    return Run.open(out)


def check_same_prompts(run: RunPaths, plan: Plan) -> None:
    """Reject prompts that differ from those of the existing images, whose plan would be lost.

    Raises:
        OptionError: the prompts file was changed.
    """
    if not run.plan_file.is_file() or not (run.path / JOURNAL).exists():
        return
    before = read_plan(run.plan_file).written
    if [each.to_dict() for each in before] != [each.to_dict() for each in plan.written]:  # whoever wrote them
        raise OptionError(
            f"{run.path} holds images of other prompts: {plan.options.prompts} was changed since. "
            "Choose another folder with --out, or restore the file."
        )


def data_digest(manifest: Manifest) -> str:
    """Return a digest of every row: image, label, attribute and split."""
    columns = manifest.frame[["id", "label", "attribute", "split", "sha256"]]
    rows = pd.util.hash_pandas_object(columns, index=False).to_numpy()
    return storage.digest(rows.tobytes() + "\0".join(manifest.class_names).encode())


def place(source: Source) -> str:
    """Return the name of the data in the lock file and the report if none was given."""
    return str(source) if isinstance(source, str | os.PathLike) else IN_MEMORY
