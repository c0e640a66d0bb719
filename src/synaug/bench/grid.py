"""Run the grid of an experiment: finished results are skipped, and several processes may share the work."""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synaug.bench.experiments import Experiment, data_of, recipe_of
from synaug.bench.pictures import write_pictures
from synaug.bench.processes import run_in_processes
from synaug.bench.result_tables import markdown, table
from synaug.config import AUTO, Recipe
from synaug.data import groups
from synaug.data.benchmarks import deciding_options
from synaug.errors import OptionError
from synaug.evaluation import train_weighted_accuracy
from synaug.methods import (
    check_methods,
    images_digest,
    is_current,
    is_of_options,
    method_named,
    read_result,
    train_group_counts,
)
from synaug.pipeline import generate as generate_stage
from synaug.pipeline import prepare as plan_stage
from synaug.pipeline.reporting import is_reported
from synaug.pipeline.reporting.report import report
from synaug.pipeline.train import train
from synaug.run_directory import Run, RunPaths, read_lock
from synaug.runtime import Progress, check_free, claim, machine, signals, silent, storage
from synaug.runtime.files import directories
from synaug.runtime.records import of_form
from synaug.schemas import Result
from synaug.synthesis.execution import is_settled, synthetic_manifest
from synaug.synthesis.planning import read_plan

if TYPE_CHECKING:
    pass

RESULTS, TABLE, CONTENT = "results.jsonl", "bench.md", "bench.json"


@dataclass(frozen=True)
class Cell:
    """A run directory of the grid: an arm, and the seeds whose methods are trained in it."""

    arm: str
    seeds: tuple[int, ...]
    recipe: Recipe
    folder: Path


def cells(experiment: Experiment, out: Path, seeds: Sequence[int]) -> Iterator[Cell]:
    """Yield the run directories, named after arm, seed and a digest of the options that determine them.

    Options of single methods are not part of the digest, since each result contains its options. Neither are defaults,
    so that a new option does not change a name.
    """
    for name, arm in experiment.arms.items():
        for together in [tuple(seeds)] if arm.one_pool else [(seed,) for seed in seeds]:
            recipe = recipe_of(experiment, arm, together[0])
            deciding = named_options(recipe)
            mirror = deciding_options(experiment.bench.mirror or "", arm.mirror)
            content = [deciding, experiment.bench.mirror, mirror, arm.filled, arm.validation]
            digest = storage.digest(json.dumps(content, sort_keys=True).encode())[:8]
            which = "all-seeds" if arm.one_pool else f"seed-{together[0]}"
            yield Cell(name, together, recipe, out / "runs" / f"{name}-{which}-{digest}")


FIRST_DEFAULTS: dict[str, Any] = {
    "quality.gates": ["broken", "flagged", "off_class", "copy", "leak"],
    "quality.scorer": "classifier",
    "train.pretrained": False,
    "train.stage1.mixing": "mixup",
    "train.stage1.mixup_alpha": 0.2,
    "train.stage1.max_synthetic": 1.0,
    "train.retrain.data": "balanced_real",
    "train.retrain.method": "logistic",
}
"""The defaults when run directories got their names: changed defaults must not rename finished folders."""
_NAMELESS: Any = {
    "methods": True,
    "bench": True,
    "name": True,
    "train": {"match_spectrum"},  # newer than the names, and part of each result
}


def named_options(recipe: Recipe) -> dict[str, Any]:
    """Return the options that name a run directory: those that differ from the first defaults."""
    chosen, usual = (each.model_dump(mode="json", exclude=_NAMELESS) for each in (recipe, Recipe()))
    for name, value in FIRST_DEFAULTS.items():
        *sections, key = name.split(".")
        section = usual
        for each in sections:
            section = section[each]
        section[key] = value
    return _different(chosen, usual)


def _different(chosen: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """Return the entries that differ, without empty sections."""
    found: dict[str, Any] = {}
    for name, value in chosen.items():
        other = usual.get(name)
        if isinstance(value, dict) and isinstance(other, dict) and other:
            if inner := _different(value, other):
                found[name] = inner
        elif value != other:
            found[name] = value
    return found


def run_bench(
    experiment: Experiment,
    out: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    jobs: int = 1,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run everything without a result; return ``{"results": [...], "table": [...], ...}``, also written into ``out``.

    Args:
        experiment: see ``read_experiment``.
        out: folder of the grid.
        seeds: for each arm and method.
        jobs: number of processes; each takes its share of the cores.
        progress: called with the progress so far; with several processes, only after whole run directories.

    Raises:
        OptionError, DataError, EnvironmentFault, Interrupted: see ``errors``; finished work is kept.
    """
    check_free(out, "bench")
    grid = list(cells(experiment, out, seeds))
    for cell in grid:
        plan_stage.check_recipe(cell.recipe)
        check_methods(experiment.arms[cell.arm].methods, cell.recipe)
    for arm in experiment.arms.values():
        data_of(experiment, arm, recipe_of(experiment, arm, seeds[0]))  # fails before the work if images are missing
    storage.remove_temporary(claim(out, "bench"))
    if jobs == 1 or len(grid) == 1:
        for cell in grid:
            run_cell(experiment, cell, progress=progress)
    else:
        run_in_processes(
            functools.partial(run_cell, experiment),
            grid,
            jobs,
            lambda number, cell: progress("running the grid", number, len(grid), cell.folder.name),
        )
    return collect(experiment, out, seeds)


def run_cell(experiment: Experiment, cell: Cell, *, progress: Progress = silent) -> None:
    """Run one run directory of the grid: its images once, then for each of its seeds the methods without a result."""
    directories.own(cell.folder.parent.parent)
    methods = experiment.arms[cell.arm].methods
    there = {(result["seed"], result["method"]) for result in results_of(cell, methods)}
    missing = {seed: [name for name in methods if (seed, name) not in there] for seed in cell.seeds}
    if not any(missing.values()) and is_reported(Run(cell.folder), cell.recipe):
        return
    data = plan_stage.load_data(data_of(experiment, experiment.arms[cell.arm], cell.recipe), cell.recipe)
    if cell.recipe.plan.target == AUTO:
        raise OptionError("plan.target auto works in 'synaug run' only; give an arm a number or a share.")
    plan = plan_stage.drafted_plan(data, cell.recipe)
    with storage.lock(claim(cell.folder, "run")):
        run = plan_stage.write_run(
            data, plan, cell.folder, cell.recipe, source=experiment.bench.mirror or str(experiment.source)
        )
        generate_stage.generate(run, progress=progress)
        for names in dict.fromkeys(map(tuple, missing.values())):  # seeds that lack the same share one reading
            signals.stop_here()
            together = [seed for seed in missing if tuple(missing[seed]) == names]
            train(run, methods=names, seeds=together, progress=progress)
        if not is_reported(run, cell.recipe):
            report(run)


def results_of(cell: Cell, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return the existing results with the current options and images, without changing anything.

    They come from the run directory and, for results that it lacks, from the lines of an earlier ``results.jsonl``.
    """
    run, digest, is_made = RunPaths(cell.folder), "", False
    if run.plan_file.is_file():
        plan = read_plan(run.plan_file)
        digest = images_digest(synthetic_manifest(plan, cell.folder))
        is_made = is_settled(plan, folder=cell.folder, quality=cell.recipe.quality)
    kept = {(line["seed"], line["method"]): line for line in _kept_lines(cell)}
    found = []
    for seed, name in itertools.product(cell.seeds, methods):
        recipe = cell.recipe.model_copy(update={"seed": seed})
        if run.result(name, seed).exists():
            if is_current(run, name, recipe, digest):
                found.append(_line(cell, name, seed))
        elif (line := kept.get((seed, name))) and is_of_options(line, recipe):
            of_images = method_named(name, recipe).data != "real"
            if not (of_images and is_made and line["synthetic"] != digest):
                found.append(line)
    return found


def _line(cell: Cell, name: str, seed: int) -> dict[str, Any]:
    """Return a result of a run directory in the form of ``results.jsonl``: with options, versions and machine."""
    run = RunPaths(cell.folder)
    lock, plan = read_lock(run), read_plan(run.plan_file)
    return read_result(run, name, seed) | {
        "arm": cell.arm,
        "folder": cell.folder.name,
        "uses_synthetic": plan.num_to_generate > 0 and method_named(name, cell.recipe).uses_synthetic,
        "recipe": lock["recipe"],
        "versions": lock["versions"],
        "machine": lock.get("machine", ""),
    }


def _kept_lines(cell: Cell) -> Iterator[dict[str, Any]]:
    path = cell.folder.parent.parent / RESULTS
    for number, line in enumerate(storage.read_records(path), 1):
        if line.get("folder") == cell.folder.name:
            of_form(line, Result, where=f"{path}, line {number}", way_out="Remove that line.")
            yield line


def status(experiment: Experiment, out: Path, *, seeds: Sequence[int] = (0, 1, 2)) -> list[dict[str, Any]]:
    """Return one row per run directory of the grid: its numbers of images and results; changes nothing."""
    rows = []
    directories.own(out)
    for cell in cells(experiment, out, seeds):
        run = RunPaths(cell.folder)
        methods = experiment.arms[cell.arm].methods
        plan = read_plan(run.plan_file) if run.plan_file.is_file() else None
        rows.append(
            {
                "folder": cell.folder.name,
                "images": len(synthetic_manifest(plan, cell.folder)) if plan else 0,
                "planned": plan.num_to_generate if plan else None,
                "results": len(results_of(cell, methods)),
                "wanted": len(cell.seeds) * len(methods),
            }
        )
    return rows


def collect(experiment: Experiment, out: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Gather the existing results into one line per run, a table and pictures, all in ``out``."""
    claim(out, "bench")
    results = list(finished(experiment, out, seeds))
    rows = table(results, experiment)
    content = {
        "schema_version": 2,
        "name": experiment.recipe.name,
        "seeds": list(seeds),
        "machine": machine(),
        "columns": list(experiment.bench.columns),
        "results": results,
        "table": rows,
    }
    storage.write_text(
        out / RESULTS, "".join(json.dumps(storage.without_nan(result), ensure_ascii=False) + "\n" for result in results)
    )
    storage.write_json(out / CONTENT, content)
    storage.write_text(out / TABLE, markdown(content))
    write_pictures(content, out, curves=experiment.bench.curves)
    return content


def finished(experiment: Experiment, out: Path, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the existing results; those of a filled set are described as before filling."""
    counts: dict[str, Any] = {}
    for cell in cells(experiment, out, seeds):
        arm = experiment.arms[cell.arm]
        for result in results_of(cell, arm.methods):
            if arm.filled:
                counts = counts or _counts(experiment)
                result = as_before(result, **counts)
            yield {"experiment": experiment.recipe.name} | result


def _counts(experiment: Experiment) -> dict[str, Any]:
    """Return class names and the counts of the main arm, to which the filled arm's results refer."""
    arm = experiment.arms[experiment.main_arm].model_copy(update={"filled": False})
    training = data_of(experiment, arm, recipe_of(experiment, arm, 0)).split("train")
    return {
        "class_names": training.class_names,
        "class_counts": groups.class_counts(training.labels, training.num_classes),
        "group_counts": train_group_counts(training) if training.num_attributes else None,
    }


def as_before(
    result: dict[str, Any],
    *,
    class_names: Sequence[str],
    class_counts: np.ndarray,
    group_counts: np.ndarray | None,
) -> dict[str, Any]:
    """Return a filled set's result with the shot bins and weights from before filling."""
    recalls = np.array([result["per_class"][name] for name in class_names], float)
    bins = groups.shot_bins(class_counts)
    masks = {"many": bins.many, "medium": bins.medium, "few": bins.few}
    result = result | {name: float(recalls[mask].mean()) if mask.any() else math.nan for name, mask in masks.items()}
    if group_counts is None or "per_group" not in result:
        return result
    rates = np.array(list(result["per_group"].values()), float)
    return result | {"train_weighted_accuracy": train_weighted_accuracy(rates, train_group_counts=group_counts)}
