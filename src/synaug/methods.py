"""The ways from images to a classifier: each method of a table, how it is trained, tested and kept."""

from __future__ import annotations

import math
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synaug import storage
from synaug.config import Recipe, RetrainOptions, StageOptions, TrainOptions
from synaug.data import groups
from synaug.data.manifest import Manifest, joined, read_manifest
from synaug.data.subsets import balanced_positions
from synaug.errors import unknown
from synaug.progress import Progress, silent
from synaug.runs import RunFolder, open_run
from synaug.synthesis import plan as planning
from synaug.synthesis.synthesize import synthetic_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from synaug.training.images import TrainingSet

LARGEST_SIDE = 224  # pixels, of what a network without weights of its own is trained on


@dataclass(frozen=True)
class Method:
    """A way from images to a classifier.

    Attributes:
        description: what it does, in one sentence, for the report.
        data: what stage 1 learns from: ``real`` or ``evened_out`` (real and synthetic).
        stage1: options that differ from the recipe's ``train.stage1``.
        starts_from: the method whose features are kept while the classifier is retrained; None trains stage 1.
        retrain: options that differ from the recipe's ``train.retrain``.
    """

    description: str
    data: str = "real"
    stage1: tuple[tuple[str, Any], ...] = ()
    starts_from: str | None = None
    retrain: tuple[tuple[str, Any], ...] = ()


METHODS = {
    "cross_entropy": Method(
        "Cross-entropy on the real images alone.",
        stage1=(("mixing", "none"),),
    ),
    "cross_entropy_mixup": Method("Cross-entropy with Mixup on the real images alone."),
    "cross_entropy_retrained": Method(
        "Features of cross_entropy; its last layer retrained on all real images, the classes weighted equally.",
        starts_from="cross_entropy",
        retrain=(("data", "all_real"),),
    ),
    "classifier_only": Method(
        "Features of cross_entropy; its last layer retrained on the evened-out set.",
        data="evened_out",
        starts_from="cross_entropy",
        retrain=(("data", "evened_out"),),
    ),
    "oversampling": Method(
        "Cross-entropy on the real images, drawn class-balanced: rare images are seen more often.",
        stage1=(("mixing", "none"), ("sampler", "class_balanced")),
    ),
    "oversampling_mixup": Method(
        "Oversampling with Mixup.",
        stage1=(("sampler", "class_balanced"),),
    ),
    "upper_bound": Method("Cross-entropy on the set filled with other real images: what a perfect generator could do."),
    "upper_bound_retrained": Method(
        "Features of upper_bound; the last layer retrained on the same set.",
        starts_from="upper_bound",
        retrain=(("data", "all_real"),),
    ),
    "synaug_stage1": Method(
        "Cross-entropy with Mixup on the evened-out set: real and synthetic images.", data="evened_out"
    ),
    "synaug": Method(
        "Features of synaug_stage1; the last layer retrained as train.retrain says.",
        data="evened_out",
        starts_from="synaug_stage1",
    ),
    "synaug_balanced_real": Method(
        "Features of synaug_stage1; the last layer retrained on equally many real images of each class.",
        data="evened_out",
        starts_from="synaug_stage1",
        retrain=(("data", "balanced_real"),),
    ),
}
DEFAULT_METHODS = ("cross_entropy", "cross_entropy_retrained", "oversampling", "synaug_stage1", "synaug")


def check_methods(methods: Sequence[str]) -> None:
    """Raise an OptionError for a name that is not in ``METHODS``."""
    for name in methods:
        if name not in METHODS:
            raise unknown("method", name, METHODS)


@dataclass(frozen=True)
class Sets:
    """The images in memory: what is learned from and what is measured on."""

    real: TrainingSet
    evened_out: TrainingSet
    test: TrainingSet


def load_sets(out: Path, options: TrainOptions, *, progress: Progress = silent) -> Sets:
    """Load real, synthetic and test images at one size, normalised alike."""
    from synaug.training.images import load_training_set
    from synaug.training.models import pretrained_normalisation

    run_folder = open_run(out)
    manifest = read_manifest(run_folder.data)
    plan = planning.read_plan(run_folder.plan)
    real = manifest.split("train")
    synthetic = synthetic_manifest(plan, out)
    side, normalisation = options.image_size or min(max(plan.image_size), LARGEST_SIDE), None
    channels = 1 if plan.encoding.mode == "L" else 3
    if options.pretrained:
        mean, std, usual = pretrained_normalisation(options.network, in_channels=channels)
        side, normalisation = options.image_size or usual, (mean, std)
    both = load_training_set(
        joined(real, synthetic), image_size=side, channels=channels, normalisation=normalisation, progress=progress
    )
    test = load_training_set(manifest.split("test"), like=both, progress=progress)
    return Sets(real=both.rows(~both.is_synthetic), evened_out=both, test=test)


def images_digest(synthetic: Manifest) -> str:
    """Return a digest of which synthetic images there are."""
    return storage.digest("\n".join(sorted(synthetic.frame["sha256"])).encode())


def is_finished(run_folder: RunFolder, name: str, seed: int, synthetic: str) -> bool:
    """Return whether a method has a result, of these synthetic images where it learns from them.

    A result of other images is removed together with the network it came from.
    """
    path = run_folder.result(name, seed)
    if not path.exists():
        return False
    if METHODS[name].data == "real" or storage.read_json(path).get("synthetic") == synthetic:
        return True
    storage.remove_tree(run_folder.checkpoint(name, seed))
    return False


def train_method(
    name: str, sets: Sets, run_folder: RunFolder, recipe: Recipe, *, synthetic: str, progress: Progress = silent
) -> None:
    """Train one method, test it on the real test images, and write network, predictions and result.

    Args:
        name: of ``METHODS``.
        sets: the images.
        run_folder: gets all of it, the result last.
        recipe: the options.
        synthetic: which synthetic images there are; see ``images_digest``.
        progress: called with how far the training has come.
    """
    from synaug.evaluation.intervals import recall_intervals
    from synaug.evaluation.longtail import longtail_report
    from synaug.training.fit import predict
    from synaug.training.saving import write_classifier

    model, seconds = trained_model(name, sets, run_folder, recipe, progress=progress)
    logits = predict(model, sets.test, device=recipe.train.device)
    manifest = read_manifest(run_folder.data)
    test = manifest.split("test")
    predictions = logits.argmax(1).numpy()
    scores = longtail_report(
        labels=test.labels,
        predictions=predictions,
        num_classes=manifest.num_classes,
        class_counts=groups.class_counts(manifest.split("train").labels, manifest.num_classes),
    )
    intervals = recall_intervals(
        labels=test.labels, predictions=predictions, num_classes=manifest.num_classes, seed=recipe.seed
    )
    folder = storage.make_folder(run_folder.checkpoint(name, recipe.seed))
    write_classifier(model, folder, data=sets.real, network=recipe.train.network, class_names=manifest.class_names)
    write_predictions(run_folder.method_predictions(name, recipe.seed), test, predictions)
    result = {
        "method": name,
        "seed": recipe.seed,
        "accuracy": scores.accuracy,
        "mean_recall": scores.mean_recall,
        "many": scores.many,
        "medium": scores.medium,
        "few": scores.few,
        "worst_class": scores.worst_class,
        "per_class": dict(zip(manifest.class_names, scores.per_class, strict=True)),
        "intervals": {"per_class": dict(zip(manifest.class_names, map(astuple, intervals), strict=True))},
        "seconds": seconds,
        "synthetic": synthetic,
    }
    storage.write_json(run_folder.result(name, recipe.seed), result)


def trained_model(
    name: str, sets: Sets, run_folder: RunFolder, recipe: Recipe, *, progress: Progress = silent
) -> tuple[nn.Module, float]:
    """Return the network of a method, trained, and the seconds that took; a finished checkpoint is loaded instead."""
    from synaug.training.classifier import retrain_classifier
    from synaug.training.fit import train_representation
    from synaug.training.models import make_model

    method, device = METHODS[name], recipe.train.device
    if method.starts_from is not None:
        base, seconds = trained_model(method.starts_from, sets, run_folder, recipe, progress=progress)
        options = retrain_options(name, recipe)
        began = time.monotonic()
        model = retrain_classifier(
            base,
            retraining_set(sets, options.data, seed=recipe.seed),
            method=options.method,
            regularization=options.regularization,
            seed=recipe.seed,
            device=device,
        )
        return model, seconds + time.monotonic() - began
    data = sets.evened_out if method.data == "evened_out" else sets.real
    model = make_model(
        recipe.train.network,
        num_classes=data.num_classes,
        in_channels=data.images.shape[1],
        image_size=data.images.shape[-1],
        pretrained=recipe.train.pretrained,
        seed=recipe.seed,
    )
    log = train_representation(
        model,
        data,
        stage_options(name, recipe, sets),
        seed=recipe.seed,
        device=device,
        precision=recipe.train.precision,
        checkpoint=storage.make_folder(run_folder.checkpoint(name, recipe.seed)),
        progress=progress,
        stage=f"training {name}",
    )
    return model, log.seconds


def stage_options(name: str, recipe: Recipe, sets: Sets) -> StageOptions:
    """Return the stage-1 options of a method: the recipe's, the method's own, then the recipe's for it.

    The number of steps follows from the evened-out set, so that every method takes equally many.
    """
    stage = recipe.train.stage1
    steps = stage.steps or math.ceil(stage.epochs * len(sets.evened_out.labels) / stage.batch_size)
    own = recipe.methods[name].stage1 if name in recipe.methods else {}
    return StageOptions.model_validate(stage.model_dump() | {"steps": steps} | dict(METHODS[name].stage1) | own)


def retrain_options(name: str, recipe: Recipe) -> RetrainOptions:
    """Return the stage-2 options of a method: the recipe's, then the recipe's for it."""
    own = recipe.methods[name].retrain if name in recipe.methods else {}
    return RetrainOptions.model_validate(recipe.train.retrain.model_dump() | dict(METHODS[name].retrain) | own)


def retraining_set(sets: Sets, data: str, *, seed: int) -> TrainingSet:
    """Return the images on which the last layer is retrained."""
    if data == "evened_out":
        return sets.evened_out
    if data == "all_real":
        return sets.real
    rng = np.random.default_rng([seed, 2])
    return sets.real.rows(balanced_positions(sets.real.labels.numpy(), sets.real.num_classes, rng))


def write_predictions(path: Path, test: Manifest, predictions: np.ndarray) -> None:
    """Write one row a test image: id, label, prediction and, where known, attribute; names, not numbers."""
    names = np.array(test.class_names, dtype=object)
    columns = {"id": test.frame["id"], "label": names[test.labels], "prediction": names[predictions]}
    if test.attribute_names:
        columns["attribute"] = np.array([*test.attribute_names, ""], dtype=object)[test.attributes]
    storage.write_text(path, pd.DataFrame(columns).to_csv(index=False))
