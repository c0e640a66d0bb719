"""Judge methods by repeated cross-validation, for data with too few test images to distinguish them.

If the run drew its test images itself, these join the training images; a test split of the data stays untouched.
Every real image is then predicted by a model that did not learn from it, nor from its duplicates, its group, or
synthetic images that were made from it. Each training takes as many steps as in the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from synaug.config import Recipe
from synaug.data import Manifest, class_counts
from synaug.errors import DataError
from synaug.evaluation import FoldPredictions
from synaug.evaluation.cross_validated import cross_validated
from synaug.methods import load_sets, uses_autoencoder
from synaug.methods.training_time import trained_from
from synaug.pipeline.choosing.choose import metric_of
from synaug.pipeline.choosing.comparison import Column, best_rival, leading_column
from synaug.pipeline.choosing.folds import (
    fold_sets,
    held_out_predictions,
    images_shown,
    real_folds,
    with_frozen_features,
)
from synaug.pipeline.choosing.judging_key import judging_key
from synaug.pipeline.measure_gap import unusable
from synaug.pipeline.run_results import JUDGE_AGAIN, chosen_result, finished_results, read_cross_validation
from synaug.recipes import with_overrides
from synaug.run_directory import Run, RunPaths
from synaug.runtime import Progress, duration, silent, storage
from synaug.runtime.records import of_form, read_sealed, write_sealed
from synaug.schemas import CrossValidation, Result

SCHEMA_VERSION = 1
ENOUGH = 30  # test images of the rarest class from which a single split is enough
USUAL_FOLDS = 5
FOLDER = "cross-validation"


def num_folds(manifest: Manifest, recipe: Recipe) -> int:
    """Return how many folds the options request, 0: none; ``auto`` requests some if few test images were drawn."""
    asked = recipe.cross_validate.folds
    if asked != "auto":
        return asked
    tested = class_counts(manifest.split("test").labels, manifest.num_classes)
    return USUAL_FOLDS if manifest.drew_test and tested.min() < ENOUGH else 0


def judged_images(manifest: Manifest) -> Manifest:
    """Return the images that are divided into folds, all in split ``train``."""
    splits = manifest.frame["split"].to_numpy()
    chosen = manifest.rows((splits == "train") | ((splits == "test") & manifest.drew_test))
    return replace(chosen, frame=chosen.frame.assign(split="train"))


def judged_methods(results: Sequence[Result], chosen: str, rival: str | None, recipe: Recipe) -> list[str]:
    """Return the methods to cross-validate, the chosen one first: all rows of the table, or with ``auto`` its rival.

    Left out are bounds, and methods that learn from autoencoded images, which only training images have.
    """
    rows = dict.fromkeys(each["method"] for each in results if not each["is_bound"])
    is_auto = recipe.cross_validate.folds == "auto"
    others = [name for name in rows if (name == rival if is_auto else name != chosen)]
    wanted = [chosen, *others] if chosen in rows else others
    return [name for name in wanted if not uses_autoencoder([name], recipe)]


def too_long(manifest: Manifest, folds: int, seconds: float) -> str:
    """Return why the result was not cross-validated although the test images are few."""
    tested = class_counts(manifest.split("test").labels, manifest.num_classes)
    name = manifest.class_names[int(tested.argmin())]
    number = int(tested.min())
    return (
        f"The class {name} has only {number:,} test {'image' if number == 1 else 'images'}. {folds}-fold "
        f"cross-validation would take about {duration(seconds)}: --folds {folds}."
    )


def cost(names: Sequence[str], results: Sequence[Result], folds: int, recipe: Recipe) -> float:
    """Return about how many seconds it takes, by the trainings of the run; features that methods share count once."""
    seconds = {each["method"]: float(each["seconds"]) for each in results}
    trained = dict.fromkeys(trained_from(name, recipe) for name in names)
    last_layers = sum(max(0.0, seconds.get(n, 0.0) - seconds.get(trained_from(n, recipe), 0.0)) for n in names)
    full = sum(seconds.get(name, 0.0) for name in trained) + last_layers
    return full * folds * recipe.cross_validate.repeats


def cross_validate_results(run: Run, *, progress: Progress = silent) -> str:
    """Cross-validate the rows of a run as its options request; if it is skipped, return a note for users."""
    recipe, manifest = run.recipe, run.manifest
    folds = num_folds(manifest, recipe)
    if not folds:
        return ""
    results = finished_results(run, recipe)
    if unusable(run):
        results = [each for each in results if not each["uses_synthetic"]] or results
    chosen = chosen_result(results, run)["method"]
    column = leading_column(metric_of(recipe, manifest), judged_images(manifest))
    names = judged_methods(results, chosen, best_rival(results, chosen, column), recipe)
    seconds = cost(names, results, folds, recipe)
    if recipe.cross_validate.folds == "auto" and seconds > 60 * recipe.cross_validate.minutes:
        return too_long(manifest, folds, seconds)
    if names:
        cross_validate(run, recipe, names, folds=folds, progress=progress)
    return ""


def cross_validate(
    run: Run, recipe: Recipe, names: Sequence[str], *, folds: int, progress: Progress = silent
) -> CrossValidation:
    """Cross-validate the methods, write ``cross-validation.json`` into the run directory, and return its content.

    Finished folds are kept, so an interrupted call is resumed; a result of the same methods, options and images is
    returned as it is.

    Args:
        run: the run, with its synthetic images.
        recipe: the options.
        names: methods.
        folds: at least 2.
        progress: called with the progress so far.

    Returns:
        ``folds``, ``repeats``, ``num_images``, ``methods``; see ``evaluation.cross_validated``.
    """
    manifest = run.manifest
    images = judged_images(manifest)
    column = leading_column(metric_of(recipe, manifest), images)
    key = _key(names, recipe, images, run, folds, column)
    path, place = run.cross_validation, run.path / FOLDER
    if (there := read_cross_validation(run)).get("key") == key:
        storage.remove_tree(place)  # still there if the run that validated was killed just before it removed it
        return there
    storage.make_folder(place)
    if not (place / key).exists():  # folds of other options
        storage.remove_tree(place)
        storage.write_text(storage.make_folder(place) / key, "")
    sets = load_sets(run, recipe.train, real=images, progress=progress)
    shown = images_shown(images, run)
    by_group = manifest.num_attributes > 1 and bool((sets.real.groups >= 0).all())
    untracked = with_overrides(recipe, {"train.track": None})
    sets = with_frozen_features(names, sets, RunPaths(place / "frozen"), untracked)
    repeats = []
    for repeat in range(recipe.cross_validate.repeats):
        numbers = real_folds(images, folds, np.random.default_rng([recipe.seed, 12, repeat]), by_group=by_group)
        predictions = np.full((len(sets.real), len(names)), -1, np.int64)
        for fold in np.unique(numbers[numbers >= 0]):
            number = repeat * folds + int(fold) + 1

            def of_fold(stage: str, done: int, total: int, note: str = "", number: int = number) -> None:
                whole = folds * recipe.cross_validate.repeats
                progress(f"fold {number}/{whole}, {stage.removeprefix('training ')}", done, total, note)

            finished = place / f"fold-{number}.json"
            if not finished.exists():
                states = RunPaths(place / f"fold-{number}")
                inside, outside = fold_sets(sets, numbers, int(fold), shown), sets.real.rows(numbers == fold)
                found = list(held_out_predictions(names, inside, outside, states, untracked, of_fold))
                write_sealed(finished, {"predictions": np.column_stack(found).tolist()})
                storage.remove_tree(states.path)
            predictions[numbers == fold] = read_fold(finished, int((numbers == fold).sum()), len(names))
        repeats.append(FoldPredictions(folds=numbers, predictions=predictions))
    labels = sets.real.labels.numpy()
    groups = sets.real.groups.numpy() if column == "worst_group_accuracy" and by_group else None
    content: CrossValidation = {
        "schema_version": SCHEMA_VERSION,
        "key": key,
        "folds": folds,
        "repeats": recipe.cross_validate.repeats,
        "num_images": int((repeats[0].folds >= 0).sum()),
        "methods": cross_validated(
            repeats,
            labels,
            names=names,
            class_names=manifest.class_names,
            groups=groups,
        ),
    }
    write_sealed(path, content)
    storage.remove_tree(place)
    return content


def read_fold(path: Path, num_images: int, num_methods: int) -> np.ndarray:
    """Return the predictions of a finished fold, shape ``(num_images, num_methods)``.

    Raises:
        DataError: the file is damaged, or changed since it was written.
    """
    content = of_form(
        read_sealed(path, way_out=JUDGE_AGAIN), dict[str, list[list[int]]], where=path, way_out=JUDGE_AGAIN
    )
    rows = content.get("predictions", [])
    if len(rows) != num_images or any(len(row) != num_methods for row in rows):
        raise DataError(f"{path} is damaged: it does not have {num_methods} predictions per image. {JUDGE_AGAIN}")
    return np.array(rows, np.int64)


def _key(names: Sequence[str], recipe: Recipe, images: Manifest, run: Run, folds: int, column: Column) -> str:
    """Return the key of the predictions."""
    frame = images.frame
    rows = frame["id"].astype(str) + " " + frame["label"].astype(str) + " " + frame["attribute"].astype(str)
    more = {} if column == "accuracy" else {"column": column}
    return judging_key(
        names, recipe, run, rows, methods=list(names), folds=[folds, recipe.cross_validate.repeats], **more
    )
