"""Train one method: its features, or the last layer on the features of another method."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.config import MethodOptions, Recipe
from synaug.errors import OutdatedCheckpointError
from synaug.methods.datasets import Sets, retraining_data, retraining_set, selected
from synaug.methods.judging import judged
from synaug.methods.method import OWN, Method
from synaug.methods.networks import check_code
from synaug.methods.options import method_named, network_of, retrain_options, stage_options
from synaug.run_directory import CHECKPOINT_FILES, RunPaths
from synaug.runtime import Progress, silent, storage

WEIGHTS_GROUPS = "cross_fitted"
BY_CLASS = ("all_real", "balanced_real")  # images with equal class weights, even if groups are known

if TYPE_CHECKING:
    from torch import Tensor

    from synaug.training import TrainingSet
    from synaug.training.networks import ImageClassifier


def trained_model(
    name: str, sets: Sets, run: RunPaths, recipe: Recipe, *, progress: Progress = silent
) -> tuple[ImageClassifier, float]:
    """Return the trained network of a method and the seconds spent; a finished checkpoint is loaded instead."""
    method, own = method_named(name, recipe), recipe.methods.get(name, MethodOptions())
    sets = selected(sets, own.images)
    if method.starts_from is not None:
        base, seconds = trained_model(method.starts_from, sets, run, recipe, progress=progress)
        began = time.monotonic()
        model = retrained_model(name, method.starts_from, base, sets=sets, recipe=recipe)
        return model, seconds + time.monotonic() - began
    data = sets.evened_out if method.uses_synthetic else sets.real
    if method.judged_from is not None:
        base, _ = trained_model(method.judged_from, sets, run, recipe, progress=progress)
        features = kept_features(method.judged_from, base, method.data, data, sets=sets, recipe=recipe)
        data = judged(data, features, by=method.judged_by, quantile=recipe.quality.off_class_quantile)
    if method.groups_from is not None and bool((data.groups < 0).any()):
        data = with_groups(data, method, sets, run, recipe, progress=progress)
    check_code([network_of(name, recipe)])
    try:
        return _trained_features(name, data, sets, run, recipe, progress=progress)
    except OutdatedCheckpointError:
        # The run's data and options are as recorded, so someone changed them on purpose, as with ``train --set``.
        _remove_checkpoint(name, run, recipe)
        return _trained_features(name, data, sets, run, recipe, progress=progress)


def _trained_features(
    name: str, data: TrainingSet, sets: Sets, run: RunPaths, recipe: Recipe, *, progress: Progress
) -> tuple[ImageClassifier, float]:
    """Return the network of a method that trains its own features, resumed from its checkpoint, and the seconds.

    Raises:
        OutdatedCheckpointError: the checkpoint has other options, images or another network.
    """
    from synaug.training import COSINE_LOSSES, SCHEDULES, tracked
    from synaug.training.networks import make_model

    method = method_named(name, recipe)
    options = stage_options(name, recipe, sets.num_counted)
    model = make_model(
        network_of(name, recipe),
        num_classes=data.num_classes,
        in_channels=data.images.shape[1],
        image_size=data.size[1],
        pretrained=recipe.train.pretrained is True,
        head="cosine" if method.schedule != "glmc" and options.loss in COSINE_LOSSES else "linear",
        seed=recipe.seed,
    )
    with tracked(recipe.train.track, name=f"{name}-{recipe.seed}", folder=_tracking_folder(run, recipe)) as track:
        log = SCHEDULES[method.schedule](
            model,
            data,
            options,
            seed=recipe.seed,
            device=recipe.train.device,
            precision=recipe.train.precision,
            checkpoint=storage.make_folder(run.checkpoint(name, recipe.seed)),
            progress=progress,
            track=track,
            stage=f"training {name}",
        )
    return model, log.seconds


def _remove_checkpoint(name: str, run: RunPaths, recipe: Recipe) -> None:
    """Remove the training state of a method and its outdated result, once no process reads them any more."""
    from synaug.training import joined_team

    team, _ = joined_team(recipe.train.device)
    team.wait()
    if team.is_first:
        storage.remove_tree(run.checkpoint(name, recipe.seed), names=CHECKPOINT_FILES, last="result.json")
    team.wait()


def _tracking_folder(run: RunPaths, recipe: Recipe) -> Path:
    """Return the folder for a tracker; it is made here, since a tracker would follow a link."""
    return run.tracking if recipe.train.track is None else storage.make_folder(run.tracking)


def retrained_model(
    name: str, starts_from: str, base: ImageClassifier, *, sets: Sets, recipe: Recipe
) -> ImageClassifier:
    """Return a copy of the base method's network with a retrained last layer."""
    from synaug.training.last_layer import LabeledFeatures, retrain_classifier

    options = retrain_options(name, recipe)
    chosen = retraining_data(options.data, sets.real, uses_synthetic=method_named(name, recipe).uses_synthetic)
    if chosen == "group_balanced_real" and options.method == WEIGHTS_GROUPS:
        chosen = "group_weighted_real"  # all of them, since the solver itself weights groups equally
    by_class = chosen in BY_CLASS and options.method == WEIGHTS_GROUPS  # else all rows would be balanced by group

    def known(of: str, data: TrainingSet) -> LabeledFeatures:
        features = kept_features(starts_from, base, of, data, sets=sets, recipe=recipe)
        return LabeledFeatures(features, data.labels, data.labels if by_class else data.groups, data.is_synthetic)

    images, subsets = retraining_set(sets, chosen, seed=recipe.seed)
    held_out = sets.validation if chosen != "validation" else None  # else it would choose on its training data
    return retrain_classifier(
        base,
        known(chosen, images),
        subsets=subsets,
        validation=None if held_out is None else known("held out", held_out),
        method=options.method,
        regularization=options.regularization,
        seed=recipe.seed,
    )


def kept_features(
    name: str, model: ImageClassifier, chosen: str, data: TrainingSet, *, sets: Sets, recipe: Recipe
) -> Tensor:
    """Return the features of a set under the network of a method, from the cache if they are in it."""
    from synaug.training import extract_features, joined_team

    key = name, chosen, recipe.model_dump_json()
    if key not in sets.features:
        sets.features[key] = extract_features(model, data, device=joined_team(recipe.train.device)[1])
    return sets.features[key]


def with_groups(
    data: TrainingSet, method: Method, sets: Sets, run: RunPaths, recipe: Recipe, *, progress: Progress
) -> TrainingSet:
    """Return the images with a group for those without an attribute: predicted, or their own."""
    from synaug.training.last_layer import own_groups, predicted_groups

    assert method.groups_from is not None
    if method.groups_from == OWN:
        return own_groups(data)
    base, _ = trained_model(method.groups_from, sets, run, recipe, progress=progress)
    features = kept_features(method.groups_from, base, method.data, data, sets=sets, recipe=recipe)
    return replace(data, groups=predicted_groups(data, features))
