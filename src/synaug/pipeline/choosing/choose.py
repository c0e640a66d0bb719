"""Choose the final classifier of a run, on real images that it was not trained on and never on test images.

These are the validation images, if every class has some. Otherwise the candidates are cross-fitted: each is trained
again without a part of the real training images, with a share of its steps, and judged on that part.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from synaug.config import Recipe
from synaug.data import Manifest, group_ids
from synaug.evaluation import Metric, chosen_name, lead, standings, usual_metric
from synaug.methods import (
    DEFAULT_METHODS,
    Sets,
    load_sets,
    read_result,
    stage_options,
    uses_autoencoder,
)
from synaug.methods.training_time import trained_from
from synaug.pipeline.choosing.candidates import candidates, uses_synthetic
from synaug.pipeline.choosing.folds import (
    fold_sets,
    held_out_predictions,
    images_shown,
    real_folds,
    with_frozen_features,
)
from synaug.pipeline.choosing.judging_key import judging_key
from synaug.pipeline.measure_gap import unusable
from synaug.pipeline.part_names import CHOICE
from synaug.pipeline.run_results import read_choice
from synaug.recipes import with_overrides
from synaug.run_directory import Run, RunPaths
from synaug.runtime import Progress, enter, silent, storage
from synaug.runtime.records import write_sealed
from synaug.schemas import Candidate, Choice, Rival

if TYPE_CHECKING:
    from synaug.training import TrainingSet

SCHEMA_VERSION = 1
LEAST_EFFORT = 0.01
VALIDATION: Final = "validation"
FOLDS: Final = "folds"


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions of the candidates ``(N, K)`` on real images, with their classes and groups, both ``(N,)``."""

    predictions: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


def choose_classifier(run: Run, *, methods: Sequence[str] = DEFAULT_METHODS, progress: Progress = silent) -> Choice:
    """Choose the classifier of a run that has its synthetic images; see ``choose``."""
    enter(progress, CHOICE)
    recipe = run.recipe
    sets = load_sets(run, recipe.train, autoencoded=uses_autoencoder(methods, recipe), progress=progress)
    return choose(run, recipe, sets, methods, progress=progress)


def choose(run: Run, recipe: Recipe, sets: Sets, methods: Sequence[str], *, progress: Progress = silent) -> Choice:
    """Choose among the candidates, write ``choice.json`` into the run directory, and return its content.

    An existing choice is kept if candidates, options and images are the same.

    Args:
        run: the run; its folder ``choice`` holds training states until the choice is made.
        recipe: the options.
        sets: the images; the test images among them are not used.
        methods: the methods of the run.
        progress: called with the progress so far.

    Returns:
        Empty if nothing can be chosen; else ``chosen``, ``best`` (names), ``metric``, ``judged_on`` (``validation`` or
        ``folds``), ``num_images``, ``folds``, ``effort``, ``candidates`` (their standings), ``rival`` (the best one of
        the other kind, real-only or with synthetic images, and its distance), ``seconds``.
    """
    manifest = run.manifest
    with_groups = knows_groups(manifest)
    with_synthetic = bool(sets.evened_out.is_synthetic.any()) and not unusable(run)
    names = candidates(methods, recipe, with_groups=with_groups, with_synthetic=with_synthetic)
    if not names:  # only bounds, which nobody can use
        return {}
    held_out = validation_set(manifest, sets)
    key = key_of(names, recipe, run)
    if (there := read_choice(run)).get("key") == key:
        storage.remove_tree(run.choosing)  # still there if the run that chose was killed just before it removed them
        return there
    began = time.monotonic()
    effort = affordable_effort(names, recipe, run)
    if held_out is not None:
        judged = on_validation(names, sets, held_out, run, recipe, progress)
    else:
        judged = cross_fitted_predictions(
            names, sets, manifest, run, recipe, key, effort=effort, with_groups=with_groups, progress=progress
        )
    content: Choice = {
        "schema_version": SCHEMA_VERSION,
        "key": key,
        "judged_on": FOLDS if held_out is None else VALIDATION,
        "folds": recipe.choose.folds if held_out is None else None,
        "effort": effort if held_out is None else None,
        **verdict(names, judged, recipe, metric_of(recipe, manifest)),
        "seconds": time.monotonic() - began,
    }
    write_sealed(run.choice, content)
    storage.remove_tree(run.choosing)
    return content


def finalists(choice: Choice) -> list[str]:
    """Return the methods to test: the chosen one and the best of the other kind, so that its rival is no weaker one."""
    return [choice["chosen"], *([choice["rival"]["method"]] if choice["rival"] else [])]


def metric_of(recipe: Recipe, manifest: Manifest) -> Metric:
    """Return what a run's classifier is chosen by: as requested, else what fits the images that it is judged on."""
    if recipe.choose.metric != "auto":
        return recipe.choose.metric
    if not knows_groups(manifest):
        return usual_metric(None)
    judged = manifest.split("validation" if has_validation(manifest) else "train")
    return usual_metric(known_groups(judged.rows(~judged.is_synthetic)))


def known_groups(images: Manifest) -> np.ndarray:
    """Return the groups of the images whose attribute is known, shape ``(M,)``."""
    known = images.attributes >= 0
    return group_ids(
        labels=images.labels[known], attributes=images.attributes[known], num_attributes=images.num_attributes
    )


def verdict(names: Sequence[str], judged: Judged, recipe: Recipe, metric: Metric) -> Choice:
    """Return the choice, its metric, and the standings of all candidates; without images, the first one is chosen."""
    facts: Choice = {"metric": metric, "num_images": len(judged.labels)}
    if not len(judged.labels):
        return {**facts, "chosen": names[0], "best": None, "candidates": [], "rival": None}
    right = judged.predictions == judged.labels[:, None]
    cells = judged.labels if metric == "mean_recall" else judged.groups
    found = standings(list(names), right, cells, metric)
    chosen = chosen_name(found, simple=[name for name in names if not uses_synthetic(name, recipe)])
    by_score = sorted(found, key=lambda each: each.behind)
    kind = uses_synthetic(chosen, recipe)
    others = [each.name for each in by_score if uses_synthetic(each.name, recipe) != kind]
    rival: Rival | None = None
    if others:
        columns = [right[:, names.index(name)].astype(float) for name in (chosen, others[0])]
        ahead = lead(columns[0], columns[1], cells, metric)
        rival = {
            "method": others[0],
            "difference": ahead.difference,
            "error": ahead.error,
            "certainty": ahead.certainty,
        }
    rows: list[Candidate] = [
        {
            "method": each.name,
            "uses_synthetic": uses_synthetic(each.name, recipe),
            "score": each.score,
            "error": each.error,
            "behind": each.behind,
            "behind_error": each.behind_error,
        }
        for each in found
    ]
    return {**facts, "chosen": chosen, "best": by_score[0].name, "candidates": rows, "rival": rival}


def key_of(names: Sequence[str], recipe: Recipe, run: Run, **more: object) -> str:
    """Return the key of a choice, which is independent of test images; ``more`` as in ``judging_key``."""
    frame = run.manifest.frame
    used = frame[frame["split"] != "test"]
    rows = used["id"].astype(str) + used["split"].astype(str)
    return judging_key(names, recipe, run, rows, choose=recipe.choose.model_dump(mode="json"), **more)


def validation_set(manifest: Manifest, sets: Sets) -> TrainingSet | None:
    """Return the validation images, if there are some of each class and, if they count, of known groups."""
    return sets.validation if has_validation(manifest) else None


def knows_groups(manifest: Manifest) -> bool:
    """Return whether the attribute of each real training image is known, and has several values."""
    training = manifest.split("train")
    return manifest.num_attributes > 1 and bool((training.attributes[~training.is_synthetic] >= 0).all())


def has_validation(manifest: Manifest) -> bool:
    """Return whether there are validation images of each class and, if they count, of known groups."""
    rows = manifest.split("validation")
    complete = len(np.unique(rows.labels)) == manifest.num_classes
    return complete and not (knows_groups(manifest) and bool((rows.attributes < 0).any()))


def choosing_candidates(
    methods: Sequence[str], manifest: Manifest, recipe: Recipe, *, with_synthetic: bool
) -> list[str]:
    """Return the candidates of a run whose table has these rows; see ``candidates``."""
    return candidates(methods, recipe, with_groups=knows_groups(manifest), with_synthetic=with_synthetic)


def on_validation(
    names: Sequence[str], sets: Sets, held_out: TrainingSet, run: RunPaths, recipe: Recipe, progress: Progress
) -> Judged:
    """Return the predictions of methods on the validation images; ``run`` stores the states of the trainings."""
    predictions = list(held_out_predictions(names, sets, held_out, run, recipe, progress))
    return Judged(np.column_stack(predictions), held_out.labels.numpy(), held_out.groups.numpy())


def cross_fitted_predictions(
    names: Sequence[str],
    sets: Sets,
    manifest: Manifest,
    run: Run,
    recipe: Recipe,
    key: str,
    *,
    effort: float,
    with_groups: bool,
    progress: Progress,
) -> Judged:
    """Return the predictions of methods on the real training images, each by a model that did not learn from it.

    Args:
        names: the methods.
        sets: the images.
        manifest: the manifest of the run.
        run: the run; its folder ``choice`` holds training states, which the caller removes in the end.
        recipe: the options.
        key: key of everything that determines the predictions; training states of another key are removed first.
        effort: share of the training steps.
        with_groups: whether folds are even over groups, not only over classes.
        progress: called with the progress so far.
    """
    place = storage.make_folder(run.choosing)
    if not (place / key).exists():  # states of another choice
        storage.remove_tree(place)
        storage.write_text(storage.make_folder(place) / key, "")
    training = manifest.split("train")
    rng = np.random.default_rng([recipe.seed, 9])
    folds = real_folds(training, recipe.choose.folds, rng, by_group=with_groups)
    shown = images_shown(training, run)
    parts: list[Judged] = []
    shorter = _with_share_of_steps(names, recipe, sets, effort)
    sets = with_frozen_features(names, sets, RunPaths(place / "frozen"), shorter)
    for fold in np.unique(folds[folds >= 0]):
        inside = fold_sets(sets, folds, int(fold), shown)
        outside = sets.real.rows(folds == fold)

        def of_fold(stage: str, done: int, total: int, note: str = "", fold: int = int(fold)) -> None:
            progress(f"choosing {fold + 1}/{recipe.choose.folds}, {stage.removeprefix('training ')}", done, total, note)

        states = RunPaths(place / f"fold-{fold}")
        predictions = list(held_out_predictions(names, inside, outside, states, shorter, of_fold))
        parts.append(Judged(np.column_stack(predictions), outside.labels.numpy(), outside.groups.numpy()))
    if not parts:
        return Judged(np.zeros((0, len(names)), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    joined = (np.concatenate(each) for each in zip(*((p.predictions, p.labels, p.groups) for p in parts), strict=True))
    return Judged(*joined)


def affordable_effort(names: Sequence[str], recipe: Recipe, run: RunPaths) -> float:
    """Return the share of the steps for each fold: that of the options, or less if ``choose.budget`` is shorter.

    The pace is the mean of the run's finished trainings, so a resumed choice uses the same share. The share is at least
    a hundredth.
    """
    if recipe.choose.budget is None:
        return recipe.choose.effort
    trained = {trained_from(name, recipe) for name in names}
    finished = [name for name in sorted(trained) if run.result(name, recipe.seed).exists()]
    seconds = [read_result(run, name, recipe.seed)["seconds"] for name in finished]
    if not seconds:
        return recipe.choose.effort
    full = recipe.choose.folds * len(trained) * float(np.mean(seconds))
    return float(np.clip(60 * recipe.choose.budget / max(full, 1e-9), LEAST_EFFORT, recipe.choose.effort))


def _with_share_of_steps(names: Sequence[str], recipe: Recipe, sets: Sets, effort: float) -> Recipe:
    """Return the options of the shortened trainings."""
    changes: dict[str, object] = {"train.track": None}
    steps = stage_options(names[0], recipe, sets.num_counted).steps or 1
    changes["train.stage1.steps"] = max(1, round(effort * steps))
    return with_overrides(recipe, changes)
