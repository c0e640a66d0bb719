"""Hold out parts of the real images in turn, and train methods on the rest: for the choice and for cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synaug.config import Recipe
from synaug.data import Manifest, content_numbers, fold_numbers, group_ids
from synaug.methods import Sets, method_named, trained_model
from synaug.methods.training import kept_features
from synaug.run_directory import Run, RunPaths
from synaug.runtime import Progress, signals
from synaug.synthesis.execution import synthetic_manifest
from synaug.synthesis.execution.provenance import provenance
from synaug.synthesis.planning import starts_from_real

if TYPE_CHECKING:
    from synaug.training import TrainingSet

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
    """Return the positions among the real images of those that each synthetic image shows; -1: made from text alone.

    Shape ``(S, K)``, with up to K real images per synthetic one (such as its references); missing ones are -1. Rows are
    the synthetic images of the data, then those that the run generated.
    """
    real = training.rows(~training.is_synthetic)
    made_from: dict[str, list[int]] = {}
    if starts_from_real(run.plan):
        position = {image: row for row, image in enumerate(real.frame["id"].tolist())}
        table = provenance(run.plan, run.path)
        made_from = {str(record["id"]): _positions(record, position) for record in table.to_dict("records")}
    ids = synthetic_manifest(run.plan, run.path).frame["id"].tolist()
    given = int(training.is_synthetic.sum())
    rows: list[list[int]] = [[]] * given + [made_from.get(image, []) for image in ids]
    most = max([1, *map(len, rows)])
    return np.array([[*each, *[-1] * (most - len(each))] for each in rows], np.int64).reshape(len(rows), most)


def _positions(record: Mapping[Any, Any], position: Mapping[str, int]) -> list[int]:
    """Return the positions of the real images that a synthetic one was made from."""
    guides = record.get("guides")
    names = guides if isinstance(guides, list) else [record.get("guide")]
    return [position.get(str(name), -1) for name in names]


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
    keep[is_synthetic] = ((shown < 0) | (folds[shown] != fold)).all(1)
    features = {}
    for (name, which, options), values in sets.features.items():
        if which == "evened_out":
            features[name, which, options] = values[keep]
            features[name, "all_real", options] = values[keep & ~is_synthetic]
    return replace(sets, evened_out=both.rows(keep), real=sets.real.rows(folds != fold), features=features)


def held_out_predictions(
    names: Sequence[str], sets: Sets, held_out: TrainingSet, place: RunPaths, recipe: Recipe, progress: Progress
) -> Iterator[np.ndarray]:
    """Yield the predictions ``(M,)`` of each method, trained on ``sets``, for images that it did not learn from."""
    from synaug.training import predict

    for name in names:
        model, _ = trained_model(name, sets, place, recipe, progress=progress)
        yield predict(model, held_out, device=recipe.train.device).argmax(1).numpy()
        signals.stop_here()
