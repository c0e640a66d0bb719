"""Select the content that a report shows beside its scores: example images, confusions, and the training loss."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from synaug.data import Manifest, read_image
from synaug.data.images import read_file
from synaug.pipeline.review import check_present
from synaug.run_directory import Run, RunPaths, read_table
from synaug.schemas import Confusions, Result
from synaug.synthesis.execution import synthetic_manifest
from synaug.synthesis.planning.slots import slots

if TYPE_CHECKING:
    from synaug.report import ReportImages

EXAMPLES = 10  # pictures per kind and class
MOST_CURVES = 5  # methods whose loss is drawn
CURVE_POINTS = 200


def report_images(run: Run) -> ReportImages:
    """Return examples per class: real, synthetic and rejected images."""
    from synaug.report import ReportImages

    manifest, plan = run.manifest, run.plan
    real, synthetic = manifest.split("train"), synthetic_manifest(plan, run.path)
    check_present(synthetic, run)
    shown = {name: example_rows(synthetic, label) for label, name in enumerate(synthetic.class_names)}
    ids = set(synthetic.frame["id"].iloc[list(itertools.chain(*shown.values()))].astype(str))
    prompts = {slot.id: slot.prompt for slot in slots(plan) if slot.id in ids}
    return ReportImages(
        real={
            name: [read_image(real, row) for row in example_rows(real, label)]
            for label, name in enumerate(real.class_names)
        },
        synthetic={name: [read_image(synthetic, row) for row in rows] for name, rows in shown.items()},
        prompts={name: [prompts[str(synthetic.frame["id"].iat[row])] for row in rows] for name, rows in shown.items()},
        rejected=rejected_images(run),
        duplicates=duplicate_images(manifest),
    )


def duplicate_images(manifest: Manifest) -> dict[tuple[str, str], tuple[Image.Image, Image.Image]]:
    """Return the two images of each example of duplicates, by their ids; those that were removed are left out."""
    found = manifest.duplicates
    rows = {name: row for row, name in enumerate(manifest.frame["id"])}
    pairs = [(pair.first, pair.second) for pair in (*found.leaked, *found.two_labels)]
    return {
        pair: (read_image(manifest, rows[pair[0]]), read_image(manifest, rows[pair[1]]))
        for pair in pairs
        if all(name in rows for name in pair)
    }


def rejected_images(run: Run) -> dict[str, list[tuple[Image.Image, str]]]:
    """Return up to ``EXAMPLES`` rejected images per class, with reasons."""
    from synaug.synthesis.execution import read_tally

    kept = read_tally(run.plan, run.path).kept
    shown: dict[str, list[tuple[Image.Image, str]]] = {}
    for label, name in enumerate(run.plan.class_names):
        there = ((run.path / path, reason) for path, reason in kept.get(label, []) if (run.path / path).is_file())
        shown[name] = [(read_file(path), reason) for path, reason in itertools.islice(there, EXAMPLES)]
    return shown


def confusions(run: RunPaths, results: Sequence[Result], class_names: Sequence[str]) -> dict[str, Confusions]:
    """Return the confusions of each method: the most frequent mistakes and, for few classes, the whole matrix."""
    from synaug.report import MAX_CLASSES_IN_MATRIX, confused_pairs

    found: dict[str, Confusions] = {}
    for result in results:
        path = run.method_predictions(result["method"], result["seed"])
        table = read_table(path, {"label": str, "prediction": str}, run)
        matrix = (
            pd.crosstab(table["label"], table["prediction"])
            .reindex(index=list(class_names), columns=list(class_names), fill_value=0)
            .to_numpy()
        )
        found[result["method"]] = {
            "pairs": confused_pairs(matrix, class_names),
            "matrix": matrix.tolist() if len(class_names) <= MAX_CLASSES_IN_MATRIX else None,
        }
    return found


def loss_curves(run: RunPaths, results: Sequence[Result]) -> dict[str, list[float]]:
    """Return the training loss of the first methods that trained features, each point averaged over some steps."""
    from synaug.training import CURVES

    paths = {result["method"]: run.checkpoint(result["method"], result["seed"]) / CURVES for result in results}
    curves = {}
    for name in [name for name, path in paths.items() if path.exists()][:MOST_CURVES]:
        losses = read_table(paths[name], {"loss": float}, run)["loss"].to_numpy()
        parts = np.array_split(losses, min(CURVE_POINTS, len(losses)))
        curves[name] = [float(part.mean()) for part in parts]
    return curves


def example_rows(manifest: Manifest, label: int) -> list[int]:
    """Return up to ``EXAMPLES`` evenly spread rows of a class."""
    rows = np.flatnonzero(manifest.labels == label)
    spread = np.unique(np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(int))
    return [int(row) for row in rows[spread]]
