"""Run an experiment over several seeds, beside its upper bound, and collect the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synaug import experiment, storage
from synaug.config import Recipe, read_recipe, with_overrides
from synaug.data import fashion, groups, readers
from synaug.data.images import read_image
from synaug.data.manifest import Manifest, from_arrays, joined
from synaug.embedded import demo_data, demo_recipe
from synaug.errors import unknown
from synaug.methods import METHODS
from synaug.progress import Progress, silent
from synaug.runs import machine

COLUMNS = ("accuracy", "many", "medium", "few", "worst_class", "seconds")
DEMO_METHODS = (
    "cross_entropy",
    "cross_entropy_mixup",
    "cross_entropy_retrained",
    "classifier_only",
    "oversampling",
    "oversampling_mixup",
    "synaug_stage1",
    "synaug_balanced_real",
    "synaug",
)
UPPER_BOUNDS = ("upper_bound", "upper_bound_retrained")


@dataclass(frozen=True)
class Experiment:
    """Data, options, methods, and the same data filled with other real images: what a perfect generator could do."""

    data: Callable[[Recipe], Manifest]
    recipe: Callable[[], Recipe]
    filled: Callable[[Manifest], Manifest]
    methods: tuple[str, ...]


def run_bench(name: str, out: Path, *, seeds: Sequence[int] = (0, 1, 2), progress: Progress = silent) -> dict[str, Any]:
    """Run the named experiment once a seed and return ``{"results": [...], "table": [...]}``.

    Runs that are finished in ``out`` are not done again.

    Raises:
        OptionError: no experiment has this name.
    """
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    chosen = EXPERIMENTS[name]
    chosen.filled(chosen.data(chosen.recipe()))  # fails before the work where the other real images are not there
    results: list[dict[str, Any]] = []
    storage.remove_temporary(storage.make_folder(out))
    for seed in seeds:
        recipe = with_overrides(chosen.recipe(), {"seed": seed, "plan.seed": seed})
        data = chosen.data(recipe)
        report = experiment.run(data, out / f"seed-{seed}", recipe, methods=chosen.methods, progress=progress)
        results += report["results"]
        filled = experiment.run(
            chosen.filled(data), out / f"upper_bound-seed-{seed}", recipe, methods=UPPER_BOUNDS, progress=progress
        )
        counts = groups.class_counts(data.split("train").labels, data.num_classes)
        results += [in_bins_of(result, data.class_names, counts) for result in filled["results"]]
    content = {
        "schema_version": 1,
        "name": name,
        "seeds": list(seeds),
        "machine": machine(),
        "results": results,
        "table": table(results),
    }
    storage.write_json(out / "bench.json", content)
    storage.write_text(out / "bench.md", markdown(content))
    return content


def in_bins_of(result: dict[str, Any], class_names: Sequence[str], class_counts: np.ndarray) -> dict[str, Any]:
    """Return the result with many, medium and few as the classes were before they were filled up."""
    recalls = np.array([result["per_class"][name] for name in class_names], float)
    bins = groups.shot_bins(class_counts)
    masks = {"many": bins.many, "medium": bins.medium, "few": bins.few}
    return result | {name: float(recalls[mask].mean()) if mask.any() else math.nan for name, mask in masks.items()}


def table(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a method: mean and standard deviation over seeds, and the share of the gap that it closes.

    ``gap_closed`` is (accuracy - cross_entropy) / (best upper bound - cross_entropy), from the means.
    """
    frame = pd.DataFrame(results)
    for column in COLUMNS:
        frame[column] = frame[column].astype(float)
    means = frame.groupby("method", sort=False)[list(COLUMNS)].mean()
    spreads = frame.groupby("method", sort=False)[list(COLUMNS)].std(ddof=1)
    low = means["accuracy"].get("cross_entropy", math.nan)
    bounds = [name for name in UPPER_BOUNDS if name in means.index]
    high = means.loc[bounds, "accuracy"].max() if bounds else math.nan
    rows = []
    for method in means.index:
        row: dict[str, Any] = {"method": method, "seeds": int((frame["method"] == method).sum())}
        for column in COLUMNS:
            row[column] = float(means.loc[method, column])
            row[f"{column}_std"] = float(spreads.loc[method, column])
        row["gap_closed"] = (row["accuracy"] - low) / (high - low) if high != low else math.nan
        rows.append(row)
    return rows


def markdown(content: dict[str, Any]) -> str:
    """Return the table as Markdown: percent, mean ± standard deviation over seeds."""
    names = [column for column in COLUMNS if column != "seconds"]
    head = ["method", *(name.replace("_", " ") for name in names), "gap closed", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in content["table"]:
        cells = [_mean_and_spread(row[name], row[f"{name}_std"]) for name in names]
        closed = "n/a" if math.isnan(row["gap_closed"]) else f"{row['gap_closed']:.0%}"
        lines.append("| " + " | ".join([row["method"], *cells, closed, f"{row['seconds']:.0f}"]) + " |")
    lines += ["", f"Percent of the real test images; mean ± standard deviation over seeds {content['seeds']}; "
              f"{content['machine']}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _mean_and_spread(mean: float, spread: float) -> str:
    if math.isnan(mean):
        return "n/a"
    return f"{100 * mean:.1f}" + ("" if math.isnan(spread) else f" ± {100 * spread:.1f}")


# ---------------------------------------------------------------- experiments


def _demo_data(recipe: Recipe) -> Manifest:
    return readers.read_data(demo_data(), recipe.data)


def filled_with_fashion(manifest: Manifest) -> Manifest:
    """Return the demo's data filled to the largest class with other real images that the generator never saw."""
    train, test = fashion.read_archive("train"), fashion.read_archive("test")
    held_out = fashion.split_positions(train, test).held_out
    known = {np.asarray(read_image(manifest, row)).tobytes() for row in range(len(manifest))}
    counts = groups.class_counts(manifest.split("train").labels, manifest.num_classes)
    chosen: list[int] = []
    for label, number in enumerate(counts.max() - counts):
        taken = 0
        for position in held_out[train.labels[held_out] == label]:
            if taken == number:
                break
            if train.images[position].tobytes() not in known:
                chosen.append(int(position))
                taken += 1
    others = from_arrays(train.images[chosen], train.labels[chosen], class_names=manifest.class_names)
    others = replace(others, frame=others.frame.assign(id=[f"archive-{position:05d}" for position in chosen]))
    return joined(manifest, others)


EXPERIMENTS = {
    "demo": Experiment(
        data=_demo_data,
        recipe=lambda: read_recipe(demo_recipe()),
        filled=filled_with_fashion,
        methods=DEMO_METHODS,
    ),
    "methods": Experiment(
        data=_demo_data,
        recipe=lambda: read_recipe(demo_recipe()),
        filled=filled_with_fashion,
        methods=tuple(
            name for name, method in METHODS.items() if method.groups_from is None and name not in UPPER_BOUNDS
        ),
    ),
}
"""Experiments by name. ``methods`` is every method that needs no groups, on the same images; in the folder of a
finished ``demo`` it goes on with that one's images and results."""
