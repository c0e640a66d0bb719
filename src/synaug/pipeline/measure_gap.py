"""Measure, on the features of a run's network, how far its synthetic images are from its real ones."""

from __future__ import annotations

import numpy as np

from synaug.config import Recipe
from synaug.data import groups
from synaug.data.manifest import Manifest
from synaug.methods import Sets, trained_model
from synaug.run import RunFolder
from synaug.runtime.progress import Progress, silent
from synaug.runtime.sealed import write_sealed
from synaug.synthesis.planning.plan_file import read_plan

GAP_METHOD = "synaug_stage1"  # on whose features the gap between real and synthetic is measured
GAP_IMAGES = 2000  # of each side at most, spread over the classes


def write_gap(sets: Sets, run_folder: RunFolder, recipe: Recipe, *, progress: Progress = silent) -> None:
    """Measure how far synthetic training images are from real ones, and keep it for the report.

    The features are those of ``GAP_METHOD``'s network; with no synthetic images nothing is measured.
    """
    from synaug.evaluation.domain_gap import gap_report, gap_section
    from synaug.training.distributed import joined_team
    from synaug.training.inference import extract_features

    images, class_names = sets.evened_out, read_plan(run_folder.plan).class_names
    labels, is_synthetic = images.labels.numpy(), images.is_synthetic.numpy()
    team, device = joined_team(recipe.train.device)
    if not is_synthetic.any():
        if team.is_first:
            write_sealed(run_folder.gap(recipe.seed), {})
        return
    progress("measuring the gap", 0, 1, "")
    model, _ = trained_model(GAP_METHOD, sets, run_folder, recipe)
    if not team.is_first:
        return
    rng = np.random.default_rng([recipe.seed, 3])
    cells = labels + len(class_names) * is_synthetic
    rows = at_most_of_each(cells, max(1, GAP_IMAGES // len(class_names)), rng)
    features = extract_features(model, images.rows(rows), device=device).numpy()
    made = is_synthetic[rows]
    found = gap_report(
        real=features[~made],
        synthetic=features[made],
        real_labels=labels[rows][~made],
        synthetic_labels=labels[rows][made],
        class_names=class_names,
        seed=recipe.seed,
    )
    write_sealed(run_folder.gap(recipe.seed), gap_section(found, class_names))
    progress("measuring the gap", 1, 1, "")


def at_most_of_each(cells: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of up to ``number`` entries of each value, drawn at random, in ascending order."""
    chosen = [rng.permutation(np.flatnonzero(cells == cell))[:number] for cell in np.unique(cells)]
    return np.sort(np.concatenate(chosen))


def shortcuts(training: Manifest) -> list[str]:
    """Return what to be careful about: where being synthetic gives the class or the group away."""
    from synaug.evaluation.shortcut import shortcut_warnings

    said = shortcut_warnings(cells=training.labels, is_synthetic=training.is_synthetic, cell_names=training.class_names)
    known = training.rows(training.attributes >= 0)
    if not len(known):
        return said
    names = [f"{name} x {attribute}" for name in known.class_names for attribute in known.attribute_names]
    cells = groups.group_ids(labels=known.labels, attributes=known.attributes, num_attributes=known.num_attributes)
    return said + shortcut_warnings(cells=cells, is_synthetic=known.is_synthetic, cell_names=names, kind="group")
