"""The ways from images to a classifier: each method of a table, how it is trained, tested and kept."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synaug import storage
from synaug.config import ImagesOptions, MethodOptions, Recipe, RetrainOptions, StageOptions, TrainOptions
from synaug.data import groups
from synaug.data.manifest import Manifest, joined, read_manifest
from synaug.data.names import plain_cell
from synaug.data.subsets import balanced_positions
from synaug.errors import OptionError, unknown
from synaug.progress import Progress, silent
from synaug.runs import RunFolder, open_run
from synaug.synthesis import plan as planning
from synaug.synthesis.synthesize import synthetic_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from synaug.training.images import TrainingSet
    from synaug.training.models import ImageClassifier

LARGEST_SIDE = 224  # pixels, of what a network without weights of its own is trained on


OWN = "own"  # instead of a method that tells the attribute

Changes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Method:
    """A way from images to a classifier.

    Attributes:
        description: what it does, in one sentence, for the report.
        data: what stage 1 learns from: ``real`` or ``evened_out`` (real and synthetic).
        stage1: options that differ from the recipe's ``train.stage1``.
        schedule: the course of stage 1, a name of ``training.schedules.SCHEDULES``.
        starts_from: the method whose features are kept while the classifier is retrained; None trains stage 1.
        retrain: options that differ from the recipe's ``train.retrain``.
        groups_from: the method whose features tell the attribute of images that have none, or ``OWN``: those of a
            class are a group of their own. It needs groups.
    """

    description: str
    data: str = "real"
    stage1: Changes = ()
    schedule: str = "usual"
    starts_from: str | None = None
    retrain: Changes = ()
    groups_from: str | None = None


def _drawn(name: str, what: str, *, stage1: Changes, **more: Any) -> dict[str, Method]:
    """Return a way to train on the evened-out set whose prior is of the images drawn, not of the real ones."""
    stage1 = (*stage1, ("prior", "drawn"))
    said = f"{what}, on the evened-out set; class counts of what is drawn."
    return {f"synaug_{name}_drawn": Method(said, data="evened_out", stage1=stage1, **more)}


_BOXES: Changes = (("mixup_alpha", 1.0),)  # of the papers that paste boxes


def _on_both(name: str, what: str, *, stage1: Changes = (), **more: Any) -> dict[str, Method]:
    """Return a way to train as two methods: on the real images, unmixed, and on the evened-out set."""
    return {
        name: Method(f"{what}, on the real images alone.", stage1=(("mixing", "none"), *stage1), **more),
        f"synaug_{name}": Method(f"{what}, on the evened-out set.", data="evened_out", stage1=stage1, **more),
    }


def _of_both(name: str, what: str, method: str) -> dict[str, Method]:
    """Return a way to find the last layer as two methods: of the features of either."""
    retrain = (("method", method),)
    return {
        name: Method(f"Features of cross_entropy; {what}.", starts_from="cross_entropy", retrain=retrain),
        f"synaug_{name}": Method(
            f"Features of synaug_stage1; {what}.", data="evened_out", starts_from="synaug_stage1", retrain=retrain
        ),
    }


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
    # ------------------------------------------------------------ on the real images drawn otherwise
    "square_root": Method(
        "Cross-entropy on the real images, a class in proportion to the root of its images (Mahajan et al. 2018).",
        stage1=(("mixing", "none"), ("sampler", "square_root")),
    ),
    "progressively_balanced": Method(
        "Cross-entropy on the real images, from every image to every class as often (Kang et al. 2020).",
        stage1=(("mixing", "none"), ("sampler", "progressively_balanced")),
    ),
    # ------------------------------------------------------------ only where there are synthetic images
    "synaug_no_mixing": Method(
        "Cross-entropy on the evened-out set without Mixup.", data="evened_out", stage1=(("mixing", "none"),)
    ),
    "synaug_domain_mixup": Method(
        "Cross-entropy on the evened-out set, every image mixed with a real one.",
        data="evened_out",
        stage1=(("mixing", "domain_mixup"),),
    ),
    "synaug_domain_mixup_same_class": Method(
        "Cross-entropy on the evened-out set, every image mixed with a real one of its class.",
        data="evened_out",
        stage1=(("mixing", "domain_mixup_same_class"),),
    ),
    "synaug_synthetic_then_real": Method(
        "Half of the steps on the synthetic images, then half on the real ones (Qraitem et al. 2024).",
        data="evened_out",
        schedule="synthetic_then_real",
    ),
    # ------------------------------------------------------------ with and without synthetic images
    **_on_both("cutmix", "CutMix (Yun et al. 2019)", stage1=(("mixing", "cutmix"), *_BOXES)),
    **_on_both("mixup_or_cutmix", "Mixup or CutMix by turns", stage1=(("mixing", "mixup_or_cutmix"), *_BOXES)),
    **_on_both("cmo", "Rare images pasted into any (CMO, Park et al. 2022)", stage1=(("mixing", "cmo"), *_BOXES)),
    **_on_both("label_smoothing", "Label smoothing (Szegedy et al. 2016)", stage1=(("loss", "label_smoothing"),)),
    **_on_both("focal", "Focal loss (Lin et al. 2017)", stage1=(("loss", "focal"),)),
    **_on_both("class_balanced_loss", "Class-balanced loss (Cui et al. 2019)", stage1=(("loss", "class_balanced"),)),
    **_on_both("deferred_reweighting", "Classes reweighted at last (DRW)", stage1=(("loss", "cross_entropy_drw"),)),
    **_on_both("ldam_drw", "LDAM with deferred reweighting (Cao et al. 2019)", stage1=(("loss", "ldam_drw"),)),
    **_on_both("balanced_softmax", "Balanced softmax (Ren et al. 2020)", stage1=(("loss", "balanced_softmax"),)),
    **_on_both("logit_adjustment", "Logit adjustment (Menon et al. 2021)", stage1=(("loss", "logit_adjustment"),)),
    **_drawn("class_balanced_loss", "Class-balanced loss", stage1=(("loss", "class_balanced"),)),
    **_drawn("ldam_drw", "LDAM with deferred reweighting", stage1=(("loss", "ldam_drw"),)),
    **_drawn("balanced_softmax", "Balanced softmax", stage1=(("loss", "balanced_softmax"),)),
    **_on_both(
        "group_dro",
        "Group DRO (Sagawa et al. 2020)",
        stage1=(("loss", "group_dro"),),
        groups_from="cross_entropy",
    ),
    "synaug_group_dro_own": Method(
        "Group DRO on the evened-out set; the synthetic images of a class are a group of their own.",
        data="evened_out",
        stage1=(("loss", "group_dro"),),
        groups_from=OWN,
    ),
    **_on_both(
        "group_balanced",
        "Every group of class and attribute as often",
        stage1=(("sampler", "group_balanced"),),
        groups_from="cross_entropy",
    ),
    **_on_both("glmc", "Agreement of two mixtures (GLMC, Du et al. 2023)", stage1=_BOXES, schedule="glmc"),
    **_drawn("glmc", "Agreement of two mixtures", stage1=_BOXES, schedule="glmc"),
    **_on_both("simclr_start", "Half of the steps SimCLR (Chen et al. 2020), then labels", schedule="simclr_start"),
    **_on_both(
        "balanced_contrastive_start",
        "Half of the steps balanced contrastive (Zhu et al. 2022), then labels",
        schedule="balanced_contrastive_start",
    ),
    **_of_both("crt", "the last layer anew, by class-balanced SGD (cRT, Kang et al. 2020)", "crt"),
    **_of_both("lws", "each class's row of the last layer rescaled (LWS, Kang et al. 2020)", "lws"),
    **_of_both("tau_norm", "each class's row of the last layer divided by its norm (Kang et al. 2020)", "tau_norm"),
    **_of_both("max_norm", "rows of the last layer kept in a ball (Alshammari et al. 2022)", "max_norm"),
    **_of_both("nearest_class_mean", "the class with the nearest mean (Kang et al. 2020)", "nearest_class_mean"),
    **_of_both("dfr", "a sparse last layer on group-balanced images (DFR, Kirichenko et al. 2023)", "dfr"),
}
DEFAULT_METHODS = ("cross_entropy", "cross_entropy_retrained", "oversampling", "synaug_stage1", "synaug")


def method_named(name: str, recipe: Recipe) -> Method:
    """Return the method of that name, or another version of one that the recipe names.

    Raises:
        OptionError: nothing has this name.
    """
    own = recipe.methods.get(name, MethodOptions())
    kind = own.method or name
    if kind not in METHODS:
        raise unknown("method", kind, METHODS)
    method = METHODS[kind]
    if own.starts_from is not None and method.starts_from is None:
        raise OptionError(f"methods.{name}.starts_from: {kind} trains its features itself and starts from none.")
    if own.groups_from is not None and method.groups_from is None:
        raise OptionError(f"methods.{name}.groups_from: {kind} does not need groups; leave it out.")
    return replace(
        method,
        starts_from=own.starts_from or method.starts_from,
        groups_from=own.groups_from or method.groups_from,
    )


def check_methods(methods: Sequence[str], recipe: Recipe, *, num_attributes: int | None = None) -> None:
    """Make sure that each method is known and, if ``num_attributes`` is given, has the groups that it needs.

    Raises:
        OptionError: one is not or has not.
    """
    for name in methods:
        method = method_named(name, recipe)
        if method.starts_from is not None:
            check_methods([method.starts_from], recipe)
        if method.groups_from not in (None, OWN):
            check_methods([str(method.groups_from)], recipe)
        if num_attributes is not None and num_attributes < 2 and method.groups_from is not None:
            raise OptionError(
                f"The method {name} needs groups, but the images have no attribute with two values. "
                "Name its column with --attribute, or leave the method out."
            )


@dataclass(frozen=True)
class Sets:
    """The images in memory: what is learned from and what is measured on; and features that several methods need."""

    real: TrainingSet
    evened_out: TrainingSet
    test: TrainingSet
    class_names: tuple[str, ...] = ()
    features: dict[tuple[str, str, str], Tensor] = field(default_factory=dict)


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
    kept: dict[str, Any] = {"in_memory": options.in_memory, "progress": progress}
    both = load_training_set(
        joined(real, synthetic), image_size=side, channels=channels, normalisation=normalisation, **kept
    )
    test = load_training_set(manifest.split("test"), like=both, **kept)
    return Sets(real=both.rows(~both.is_synthetic), evened_out=both, test=test, class_names=manifest.class_names)


def images_digest(synthetic: Manifest) -> str:
    """Return a digest of which synthetic images there are."""
    return storage.digest("\n".join(sorted(synthetic.frame["sha256"])).encode())


def is_current(run_folder: RunFolder, name: str, recipe: Recipe, synthetic: str) -> bool:
    """Return whether a method has a result, of these options and, where it learns from them, of these images."""
    path = run_folder.result(name, recipe.seed)
    if not path.exists():
        return False
    result = storage.read_json(path)
    same_images = method_named(name, recipe).data == "real" or result.get("synthetic") == synthetic
    return same_images and is_of_options(result, recipe)


def is_of_options(result: dict[str, Any], recipe: Recipe) -> bool:
    """Return whether a result is of these options; one that came into being later counts as its default then."""
    try:
        return _completed(result["options"]) == options_of(result["method"], recipe)
    except (KeyError, TypeError, ValueError):  # an option of then is there no more
        return False


def _completed(options: dict[str, Any]) -> dict[str, Any]:
    method, train = Method(description="", **options["method"]), TrainOptions.model_validate(options["train"])
    start = {"starts_from": _completed(options["starts_from"])} if "starts_from" in options else {}
    return _deciding(method, train) | {"own": options["own"]} | start


def is_finished(run_folder: RunFolder, name: str, recipe: Recipe, synthetic: str) -> bool:
    """Return whether a method has a current result; another is removed together with the network it came from."""
    if is_current(run_folder, name, recipe, synthetic):
        return True
    if run_folder.result(name, recipe.seed).exists():
        storage.remove_tree(run_folder.checkpoint(name, recipe.seed))
    return False


def options_of(name: str, recipe: Recipe) -> dict[str, Any]:
    """Return all that decides the result of a method, apart from images and seed, as JSON keeps it."""
    method, own = method_named(name, recipe), recipe.methods.get(name, MethodOptions())
    start = {"starts_from": options_of(method.starts_from, recipe)} if method.starts_from is not None else {}
    return _deciding(method, recipe.train) | {"own": own.model_dump(mode="json", exclude_defaults=True)} | start


def _deciding(method: Method, train: TrainOptions) -> dict[str, Any]:
    changes = {key: value for key, value in asdict(method).items() if key != "description"}
    return {
        "method": json.loads(json.dumps(changes)),
        "train": train.model_dump(mode="json", exclude={"device", "track", "in_memory"}),
    }


def train_method(
    name: str, sets: Sets, run_folder: RunFolder, recipe: Recipe, *, synthetic: str, progress: Progress = silent
) -> None:
    """Train one method, test it on the real test images, and write network, predictions and result.

    Of several processes that train together, the first alone tests and writes.

    Args:
        name: of ``METHODS``.
        sets: the images.
        run_folder: gets all of it, the result last.
        recipe: the options.
        synthetic: which synthetic images there are; see ``images_digest``.
        progress: called with how far the training has come.
    """
    from synaug.evaluation.scores import scores
    from synaug.training.fit import predict
    from synaug.training.parallel import joined_team
    from synaug.training.saving import write_classifier

    team, device = joined_team(recipe.train.device)
    model, seconds = trained_model(name, sets, run_folder, recipe, progress=progress)
    if not team.is_first:
        return
    logits = predict(model, sets.test, device=device)
    manifest = read_manifest(run_folder.data)
    test = manifest.split("test")
    training = manifest.split("train")
    measured = scores(
        labels=test.labels,
        probabilities=logits.double().softmax(1).numpy(),
        attributes=test.attributes,
        class_names=manifest.class_names,
        attribute_names=manifest.attribute_names,
        class_counts=groups.class_counts(training.labels, manifest.num_classes),
        train_group_counts=train_group_counts(training),
        seed=recipe.seed,
    )
    folder = storage.make_folder(run_folder.checkpoint(name, recipe.seed))
    network = recipe.methods.get(name, MethodOptions()).network or recipe.train.network
    write_classifier(model, folder, data=sets.real, network=network, class_names=manifest.class_names)
    write_predictions(run_folder.method_predictions(name, recipe.seed), test, logits.argmax(1).numpy())
    result = {
        "method": name,
        "seed": recipe.seed,
        **measured,
        "seconds": seconds,
        "synthetic": synthetic,
        "options": options_of(name, recipe),
    }
    storage.write_json(run_folder.result(name, recipe.seed), result)


def train_group_counts(training: Manifest) -> np.ndarray:
    """Return the real training images of each group, shape ``(C, A)``; those without an attribute are left out."""
    known = training.attributes >= 0
    counts = groups.group_counts(
        labels=training.labels[known],
        attributes=training.attributes[known],
        num_classes=training.num_classes,
        num_attributes=training.num_attributes,
    )
    return counts.reshape(training.num_classes, training.num_attributes)


def trained_model(
    name: str, sets: Sets, run_folder: RunFolder, recipe: Recipe, *, progress: Progress = silent
) -> tuple[ImageClassifier, float]:
    """Return the network of a method, trained, and the seconds that took; a finished checkpoint is loaded instead."""
    from synaug.training.losses import COSINE_LOSSES
    from synaug.training.models import make_model
    from synaug.training.schedules import SCHEDULES
    from synaug.training.tracking import tracked

    method, own = method_named(name, recipe), recipe.methods.get(name, MethodOptions())
    sets = selected(sets, own.images)
    if method.starts_from is not None:
        base, seconds = trained_model(method.starts_from, sets, run_folder, recipe, progress=progress)
        began = time.monotonic()
        model = retrained_model(name, method.starts_from, base, sets=sets, recipe=recipe)
        return model, seconds + time.monotonic() - began
    data = sets.evened_out if method.data == "evened_out" else sets.real
    if method.groups_from is not None and bool((data.groups < 0).any()):
        data = with_groups(data, method, sets, run_folder, recipe, progress=progress)
    options = stage_options(name, recipe, sets)
    model = make_model(
        own.network or recipe.train.network,
        num_classes=data.num_classes,
        in_channels=data.images.shape[1],
        image_size=data.images.shape[-1],
        pretrained=recipe.train.pretrained,
        head="cosine" if method.schedule != "glmc" and options.loss in COSINE_LOSSES else "linear",
        seed=recipe.seed,
    )
    with tracked(recipe.train.track, name=f"{name}-{recipe.seed}", folder=run_folder.tracking) as track:
        log = SCHEDULES[method.schedule](
            model,
            data,
            options,
            seed=recipe.seed,
            device=recipe.train.device,
            precision=recipe.train.precision,
            checkpoint=storage.make_folder(run_folder.checkpoint(name, recipe.seed)),
            progress=progress,
            track=track,
            stage=f"training {name}",
        )
    return model, log.seconds


def retrained_model(
    name: str, starts_from: str, base: ImageClassifier, *, sets: Sets, recipe: Recipe
) -> ImageClassifier:
    """Return a copy of the network that a method starts from, its last layer retrained."""
    from synaug.training.classifier import retrain_classifier
    from synaug.training.features import LabelledFeatures

    options = retrain_options(name, recipe)
    data = retraining_set(sets, options.data, seed=recipe.seed)
    features = kept_features(starts_from, base, options.data, data, sets=sets, recipe=recipe)
    return retrain_classifier(
        base,
        LabelledFeatures(features, data.labels, data.groups),
        method=options.method,
        regularization=options.regularization,
        seed=recipe.seed,
    )


def selected(sets: Sets, images: ImagesOptions) -> Sets:
    """Return the sets with the images that a study chooses; the real ones that leave are the same for every study."""
    if images == ImagesOptions():
        return sets
    names, both = sets.class_names, sets.evened_out
    keep = np.ones(len(both), bool)
    labels, is_synthetic = both.labels.cpu().numpy(), both.is_synthetic.cpu().numpy()
    for name in images.replaced_classes:
        if name not in names:
            raise unknown("class in images.replaced_classes", name, names)
    for label, name in enumerate(names):
        real, synthetic = (np.flatnonzero((labels == label) & (is_synthetic == kind)) for kind in (False, True))
        wanted = len(synthetic) if images.synthetic_per_class is None else images.synthetic_per_class
        if images.replaced is not None or images.replaced_classes:
            leaving = len(real) if name in images.replaced_classes else round(len(real) * (images.replaced or 0.0))
            keep[np.random.default_rng([label, 5]).permutation(real)[:leaving]] = False
            wanted = min(wanted, leaving)
        keep[synthetic[wanted:]] = False
    chosen = both.rows(keep)
    return replace(sets, evened_out=chosen, real=chosen.rows(~chosen.is_synthetic), features={})


def stage_options(name: str, recipe: Recipe, sets: Sets) -> StageOptions:
    """Return the stage-1 options of a method: the recipe's, the method's own, then the recipe's for it.

    The number of steps follows from the evened-out set, so that every method takes equally many.
    """
    from synaug.training.optimization import num_steps

    stage = recipe.train.stage1
    steps = num_steps(stage, len(sets.evened_out))
    own = recipe.methods[name].stage1 if name in recipe.methods else {}
    return StageOptions.model_validate(
        stage.model_dump() | {"steps": steps} | dict(method_named(name, recipe).stage1) | own
    )


def retrain_options(name: str, recipe: Recipe) -> RetrainOptions:
    """Return the stage-2 options of a method: the recipe's, the method's own, then the recipe's for it.

    Where the recipe names the evened-out set, a method without synthetic images takes all real ones.
    """
    shared = recipe.train.retrain.model_dump()
    method = method_named(name, recipe)
    if method.data == "real" and shared["data"] == "evened_out":
        shared["data"] = "all_real"
    own = recipe.methods[name].retrain if name in recipe.methods else {}
    return RetrainOptions.model_validate(shared | dict(method.retrain) | own)


def kept_features(
    name: str, model: ImageClassifier, chosen: str, data: TrainingSet, *, sets: Sets, recipe: Recipe
) -> Tensor:
    """Return the features of a set under the network of a method; what was asked for before is not computed again."""
    from synaug.training.fit import extract_features
    from synaug.training.parallel import joined_team

    key = name, chosen, recipe.model_dump_json()
    if key not in sets.features:
        sets.features[key] = extract_features(model, data, device=joined_team(recipe.train.device)[1])
    return sets.features[key]


def with_groups(
    data: TrainingSet, method: Method, sets: Sets, run_folder: RunFolder, recipe: Recipe, *, progress: Progress
) -> TrainingSet:
    """Return the images with a group for those that have no attribute: predicted, or their own."""
    from synaug.training.classifier import own_groups, predicted_groups

    assert method.groups_from is not None
    if method.groups_from == OWN:
        return own_groups(data)
    base, _ = trained_model(method.groups_from, sets, run_folder, recipe, progress=progress)
    features = kept_features(method.groups_from, base, method.data, data, sets=sets, recipe=recipe)
    return replace(data, groups=predicted_groups(data, features))


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
    names = np.array([plain_cell(name) for name in test.class_names], dtype=object)
    columns = {"id": test.frame["id"].map(plain_cell), "label": names[test.labels], "prediction": names[predictions]}
    if test.attribute_names:
        columns["attribute"] = np.array([*map(plain_cell, test.attribute_names), ""], dtype=object)[test.attributes]
    storage.write_text(path, pd.DataFrame(columns).to_csv(index=False))
