"""Hold out parts of the real images in turn, and train methods on the rest: for the choice and for cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synaug.config import Recipe
from synaug.data.groups import group_ids
from synaug.data.manifest import Manifest
from synaug.data.subsets import content_numbers, fold_numbers
from synaug.methods import Sets, method_named, trained_model
from synaug.methods.training import kept_features
from synaug.run_directory import Run, RunPaths
from synaug.runtime import signals
from synaug.runtime.progress import Progress
from synaug.synthesis.execution.provenance import provenance, synthetic_manifest

if TYPE_CHECKING:
    from synaug.training.training_set import TrainingSet

FROZEN = "frozen"  # the schedule of a network that is not trained


def real_folds(training: Manifest, num_folds: int, rng: np.random.Generator, *, by_group: bool) -> np.ndarray:
    """Return the fold of each real image, int64 of shape ``(M,)``; -1: never held out.

    Folds are even over classes, or over class x attribute groups. Images of equal content, nearly equal ones and those
    of one group of the data (``data.group``) share a fold.
    """
    rows = np.flatnonzero(~training.is_synthetic)
    labels, attributes = training.labels[rows], training.attributes[rows]
    strata = labels
    if by_group:
        strata = group_ids(labels=labels, attributes=attributes, num_attributes=training.num_attributes)
    return fold_numbers(strata, num_folds, rng, contents=content_numbers(training, rows))


def images_shown(training: Manifest, run: Run) -> np.ndarray:
    """Return the position among the real images of the one that each synthetic image shows; -1: made from text alone.

    Shape ``(S,)``: synthetic images of the data, then those that the run generated.
    """
    real = training.rows(~training.is_synthetic)
    made_from: dict[str, int] = {}
    if run.plan.options.variant not in ("text", "fitted"):  # made from real images
        position = {image: row for row, image in enumerate(real.frame["id"].tolist())}
        table = provenance(run.plan, run.path)
        made_from = {str(row.id): position.get(row.guide, -1) for row in table.itertuples()}
    made = synthetic_manifest(run.plan, run.path).frame["id"].tolist()
    given = int(training.is_synthetic.sum())
    return np.array([-1] * given + [made_from.get(image, -1) for image in made], np.int64)


def with_frozen_features(names: Sequence[str], sets: Sets, place: RunPaths, recipe: Recipe) -> Sets:
    """Return the sets with the features of all images under the networks that no fold trains, so that each is run once.

    Args:
        names: methods that the folds will train.
        sets: the images.
        place: where training states would lie.
        recipe: the options of the folds.
    """
    starts = {method_named(name, recipe).starts_from for name in names} - {None}
    frozen = sorted(start for start in starts if start and method_named(start, recipe).schedule == FROZEN)
    found = replace(sets, features={})
    for start in frozen:
        model, _ = trained_model(start, found, place, recipe)
        kept_features(start, model, "evened_out", found.evened_out, sets=found, recipe=recipe)
    return found


def fold_sets(sets: Sets, folds: np.ndarray, fold: int, shown: np.ndarray) -> Sets:
    """Return the images without the real ones of a fold and without the synthetic ones that show those.

    Known features of ``with_frozen_features`` stay known.
    """
    both = sets.evened_out
    is_synthetic = both.is_synthetic.numpy()
    keep = np.ones(len(both), bool)
    keep[~is_synthetic] = folds != fold
    keep[is_synthetic] = (shown < 0) | (folds[shown] != fold)
    inside = both.rows(keep)
    features = {}
    for (name, which, options), values in sets.features.items():
        if which == "evened_out":
            features[name, which, options] = values[keep]
            features[name, "all_real", options] = values[keep & ~is_synthetic]
    return replace(sets, evened_out=inside, real=inside.rows(~inside.is_synthetic), features=features)


def held_out_predictions(
    names: Sequence[str], sets: Sets, held_out: TrainingSet, place: RunPaths, recipe: Recipe, progress: Progress
) -> Iterator[np.ndarray]:
    """Yield the predictions ``(M,)`` of each method, trained on ``sets``, for images that it did not learn from."""
    from synaug.training.inference import predict

    for name in names:
        model, _ = trained_model(name, sets, place, recipe, progress=progress)
        yield predict(model, held_out, device=recipe.train.device).argmax(1).numpy()
        signals.stop_here()
