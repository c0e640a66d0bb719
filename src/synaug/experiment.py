"""The whole method, one stage a line.  Start reading here.

``run`` counts, plans, generates, trains, retrains, evaluates and reports in one run folder. Each stage is a
function of its own, reads what the stage before it wrote, and does nothing again that is already there.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import itertools
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synaug import storage
from synaug.config import STABLE_DIFFUSION, Recipe, StageOptions, TrainOptions, with_overrides
from synaug.data import encoding, groups, readers
from synaug.data.images import read_file, read_image
from synaug.data.manifest import Manifest, joined, read_manifest, write_manifest
from synaug.data.subsets import balanced_positions, with_test_split
from synaug.errors import DataError, IncompleteError, unknown
from synaug.progress import Progress, silent
from synaug.runs import RunFolder, locked_recipe, machine, open_run, write_lock
from synaug.synthesis import plan as planning
from synaug.synthesis.synthesize import synthetic_manifest

if TYPE_CHECKING:
    from torch import nn

    from synaug.evaluation.sections import ReportImages
    from synaug.synthesis.diffusion import Generator
    from synaug.synthesis.synthesize import SynthesisResult
    from synaug.training.images import TrainingSet


@dataclass(frozen=True)
class Method:
    """A way from images to a classifier.

    Attributes:
        description: what it does, in one sentence, for the report.
        data: what stage 1 learns from: ``real`` or ``evened_out`` (real and synthetic).
        stage1: options that differ from the recipe's ``train.stage1``.
        starts_from: the method whose features are kept while the classifier is retrained; None trains stage 1.
    """

    description: str
    data: str = "real"
    stage1: tuple[tuple[str, Any], ...] = ()
    starts_from: str | None = None


METHODS = {
    "cross_entropy": Method(
        "Cross-entropy on the real images alone.",
        stage1=(("mixing", "none"),),
    ),
    "cross_entropy_mixup": Method("Cross-entropy with Mixup on the real images alone."),
    "cross_entropy_retrained": Method(
        "Features of cross_entropy; its last layer retrained like SYNAuG's.", starts_from="cross_entropy"
    ),
    "oversampling": Method(
        "Cross-entropy on the real images, drawn class-balanced: rare images are seen more often.",
        stage1=(("mixing", "none"), ("sampler", "class_balanced")),
    ),
    "oversampling_mixup": Method(
        "Oversampling with Mixup.",
        stage1=(("sampler", "class_balanced"),),
    ),
    "synaug_stage1": Method(
        "Cross-entropy with Mixup on the evened-out set: real and synthetic images.", data="evened_out"
    ),
    "synaug": Method(
        "Features of synaug_stage1; the last layer retrained on class-balanced real images.",
        data="evened_out",
        starts_from="synaug_stage1",
    ),
}
IN_MEMORY = "images in memory"
MEASURED_IMAGES = 64
LARGEST_SIDE = 224  # pixels, of what a network without weights of its own is trained on
GAP_METHOD = "synaug_stage1"  # on whose features the gap between real and synthetic is measured
GAP_IMAGES = 2000  # of each side at most, spread over the classes
EXAMPLES = 10  # pictures of each kind in the report
DEFAULT_METHODS = ("cross_entropy", "cross_entropy_retrained", "oversampling", "synaug_stage1", "synaug")


def run(
    source: Path | Manifest,
    out: Path,
    recipe: Recipe,
    *,
    generator: Generator | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    command: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Do the whole method in the folder ``out`` and return the report.

    Args:
        source: images; see ``data.readers``.
        out: run folder; one that holds an unfinished run of the same options is gone on with.
        recipe: all options.
        generator: takes the place of the diffusion model; see ``synthesis.diffusion``.
        methods: names of ``METHODS``.
        command: what a person types to repeat it, for the report.
        progress: called with how far the work has come.

    Raises:
        OptionError, DataError, EnvironmentFault, Interrupted: see ``errors``; what was finished is kept.
    """
    check_methods(methods)
    began = time.monotonic()
    manifest = load_data(source, recipe, progress=progress)
    with storage.lock(out):
        make_plan(manifest, out, recipe, source=IN_MEMORY if isinstance(source, Manifest) else str(source))
        generate(out, generator=generator, progress=progress)
        train(out, methods=methods, progress=progress)
        return report(out, command=command, seconds=time.monotonic() - began)


def balance(
    data: Path | str | Manifest,
    *,
    model: str = STABLE_DIFFUSION,
    target: str | float = "uniform",
    by: str = "class",
    out: Path | str | None = None,
    generator: Generator | None = None,
    options: dict[str, Any] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Manifest:
    """Return the training images of ``data`` together with the synthetic ones that even them out.

    Args:
        data: a path (see ``data.readers``) or a manifest, such as ``from_arrays`` makes.
        model: ``embedded``, a diffusers folder or a Hub id.
        target: ``uniform``, a number of images, or a share of the largest class.
        by: ``class`` or ``group``.
        out: run folder for the images; without it they are kept in memory and no file stays.
        generator: takes the place of the model; see ``synthesis.diffusion``.
        options: further dotted options of a recipe, such as ``{"generate.steps": 20}``.
        seed: decides every image.
        progress: called with how far the work has come.

    Raises:
        OptionError, DataError, EnvironmentFault: see ``errors``.
        IncompleteError: more images are missing than ``quality.max_missing`` allows; all others are in ``out``.
    """
    recipe = with_overrides(
        Recipe(),
        {"plan.model": model, "plan.target": target, "plan.by": by, "plan.seed": seed, "seed": seed} | (options or {}),
    )
    manifest = readers.read_data(data, recipe.data, progress=progress)
    with contextlib.ExitStack() as stack:
        folder = Path(out) if out else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synaug-")))
        stack.enter_context(storage.lock(folder))
        plan = make_plan(manifest, folder, recipe, source=str(data) if not isinstance(data, Manifest) else IN_MEMORY)
        check_complete(folder, generate(folder, generator=generator, progress=progress))
        synthetic = synthetic_manifest(plan, folder)
        return joined(manifest.split("train"), synthetic if out else in_memory(synthetic))


def check_methods(methods: Sequence[str]) -> None:
    """Raise an OptionError for a name that is not in ``METHODS``."""
    for name in methods:
        if name not in METHODS:
            raise unknown("method", name, METHODS)


# ---------------------------------------------------------------- data and plan


def load_data(source: Path | str | Manifest, recipe: Recipe, *, progress: Progress = silent) -> Manifest:
    """Return the images with a test split: the data's own, or a share of each class held out.

    Raises:
        DataError: the data cannot be used, or a class has no image to test on.
    """
    manifest = readers.read_data(source, recipe.data, progress=progress)
    manifest = with_test_split(manifest, recipe.data.test_fraction, recipe.seed)
    check_counts(manifest, "test")
    return manifest


def make_plan(manifest: Manifest, out: Path, recipe: Recipe, *, source: str) -> planning.Plan:
    """Write the plan, the manifest and the lock file; where the same ones are there, leave them."""
    training = manifest.split("train")
    check_counts(manifest, "train")
    look = encoding.detect_encoding(training)
    plan = planning.make_plan(
        training,
        options=recipe.plan,
        generate=recipe.generate,
        encoding=look,
        image_size=look.size or encoding.median_size(training),
    )
    run_folder = RunFolder(out)
    storage.make_folder(out)
    write_lock(run_folder, source=source, recipe=recipe, data_digest=data_digest(manifest))
    if not run_folder.plan.exists():
        write_manifest(manifest, run_folder.data)
        planning.write_plan(plan, run_folder.plan)
    return plan


def check_counts(manifest: Manifest, split: str) -> None:
    """Raise a DataError where a class has no image in the split."""
    counts = groups.class_counts(manifest.split(split).labels, manifest.num_classes)
    empty = [manifest.class_names[label] for label in np.flatnonzero(counts == 0)]
    if empty:
        raise DataError(
            f"No {split} image in {len(empty)} of {manifest.num_classes} classes: {', '.join(empty[:5])}. "
            "Each class needs at least one real image to train on and one to test on."
        )


def data_digest(manifest: Manifest) -> str:
    """Return a digest of every row: which image, label, attribute and split."""
    columns = manifest.frame[["id", "label", "attribute", "split", "sha256"]]
    rows = pd.util.hash_pandas_object(columns, index=False).to_numpy()
    return storage.digest(rows.tobytes() + "\0".join(manifest.class_names).encode())


# ---------------------------------------------------------------- generate


def generate(
    out: Path,
    *,
    generator: Generator | None = None,
    shard: tuple[int, int] = (0, 1),
    progress: Progress = silent,
) -> SynthesisResult:
    """Make the images that the plan of the run folder lacks, and check each."""
    from synaug.synthesis.guides import make_guides
    from synaug.synthesis.quality import make_gates
    from synaug.synthesis.synthesize import is_settled, synthesize

    run_folder, recipe = open_run(out), locked_recipe(open_run(out))
    plan = planning.read_plan(run_folder.plan)
    manifest = read_manifest(run_folder.data)
    if generator is None and not is_settled(plan, folder=out, quality=recipe.quality, shard=shard):
        generator = loaded_generator(out, recipe, plan, progress=progress)
    accepted = synthetic_manifest(plan, out) if "collapse" in recipe.quality.gates else None
    return synthesize(
        plan,
        generator,
        folder=out,
        gates=make_gates(manifest, recipe.quality, seed=recipe.seed, accepted=accepted, progress=progress),
        quality=recipe.quality,
        shard=shard,
        guides=make_guides(plan, manifest),
        progress=progress,
    )


def check(
    out: Path, *, gates: Sequence[str] | None = None, reject: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Ask the gates again about the accepted images; return how many there are and how many fail, by reason.

    Args:
        out: run folder with synthetic images.
        gates: names of ``quality.GATES``; default: those of the recipe.
        reject: withdraw what fails, so that ``generate`` makes it again; otherwise nothing is changed.
        progress: called with how far the work has come.
    """
    from synaug.synthesis.quality import make_gates
    from synaug.synthesis.recheck import count_failed, recheck, withdraw

    run_folder, recipe = open_run(out), locked_recipe(open_run(out))
    plan, quality = planning.read_plan(run_folder.plan), recipe.quality
    if gates is not None:
        quality = quality.model_copy(update={"gates": tuple(gates)})
    with storage.lock(out, name="worker-0-of-1"):
        asked = make_gates(read_manifest(run_folder.data), quality, seed=recipe.seed, progress=progress)
        num_checked = len(synthetic_manifest(plan, out))
        failed = list(recheck(plan, out, asked, progress=progress))
        if reject:
            withdraw(out, failed)
    rejected, by_class = count_failed(failed)
    return {"checked": num_checked, "rejected": rejected, "rejected_by_class": by_class}


def seconds_per_image(out: Path, *, progress: Progress = silent) -> float:
    """Return how long one planned image takes here: a batch is made and thrown away, a second one is timed."""
    plan = planning.read_plan(open_run(out).plan)
    first = list(itertools.islice(planning.slots(plan), MEASURED_IMAGES))
    if not first:
        return 0.0
    generator = loaded_generator(out, locked_recipe(open_run(out)), plan, progress=progress)
    batch = first[: getattr(generator, "batch_size", MEASURED_IMAGES)]
    seconds = 0.0
    for turn in range(2):
        progress("timing a batch", turn, 2, "")
        began = time.perf_counter()
        for _ in generator([slot.prompt for slot in batch], seeds=[planning.image_seed(slot.id, 0) for slot in batch]):
            pass
        seconds = time.perf_counter() - began
    progress("timing a batch", 2, 2, "")
    return seconds / len(batch)


def loaded_generator(out: Path, recipe: Recipe, plan: planning.Plan, *, progress: Progress = silent) -> Generator:
    """Return the diffusion model that the plan names, fitted to the real images first where the plan says so."""
    from synaug.synthesis.adapt import fit_model
    from synaug.synthesis.diffusion import load_generator

    model = recipe.plan.model
    if recipe.plan.variant == "fitted":
        manifest = read_manifest(RunFolder(out).data)
        model = str(fit_model(plan, manifest, folder=out, device=recipe.generate.device, progress=progress))
    progress("loading the generator", 0, 1, model)
    generator = load_generator(
        model, recipe.generate, variant=recipe.plan.variant, negative_prompt=recipe.plan.negative_prompt
    )
    progress("loading the generator", 1, 1, model)
    return generator


def check_complete(out: Path, result: SynthesisResult) -> None:
    """Raise an IncompleteError where more slots stayed empty than ``quality.max_missing`` allows."""
    allowed = locked_recipe(open_run(out)).quality.max_missing
    if result.missing > allowed * result.requested:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in result.rejected.items())
        raise IncompleteError(
            f"{result.missing:,} of {result.requested:,} images are missing because every attempt was rejected "
            f"({reasons}); allowed are {allowed:.0%}. Look at {out / 'rejected'}, then change the prompts or the "
            "model, or allow more with quality.max_attempts or quality.max_missing in the recipe."
        )


# ---------------------------------------------------------------- train


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


def train(
    out: Path,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    retrain: bool = True,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Train, retrain and test each method that has no result yet; return the results.

    Args:
        out: run folder with its synthetic images.
        methods: names of ``METHODS``.
        retrain: False leaves out the methods that only retrain the classifier of another.
        progress: called with how far the work has come.
    """
    check_methods(methods)
    run_folder, recipe = open_run(out), locked_recipe(open_run(out))
    wanted = [name for name in methods if retrain or METHODS[name].starts_from is None]
    missing = [name for name in wanted if not run_folder.result(name, recipe.seed).exists()]
    lacks_gap = GAP_METHOD in wanted and not run_folder.gap.exists()
    if missing or lacks_gap:
        sets = load_sets(out, recipe.train, progress=progress)
        for name in missing:
            train_method(name, sets, run_folder, recipe, progress=progress)
        if lacks_gap:
            write_gap(sets, run_folder, recipe, progress=progress)
    return [storage.read_json(run_folder.result(name, recipe.seed)) for name in wanted]


def train_method(name: str, sets: Sets, run_folder: RunFolder, recipe: Recipe, *, progress: Progress = silent) -> None:
    """Train one method, test it on the real test images, and write its result and predictions."""
    from synaug.evaluation.intervals import recall_intervals
    from synaug.evaluation.longtail import longtail_report
    from synaug.training.fit import predict

    began = time.monotonic()
    model = trained_model(name, sets, run_folder, recipe, progress=progress)
    seconds = time.monotonic() - began
    logits = predict(model, sets.test)
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
    storage.make_folder(run_folder.checkpoint(name, recipe.seed))
    write_predictions(run_folder.method_predictions(name, recipe.seed), test, predictions)
    result = {
        "method": name,
        "seed": recipe.seed,
        "accuracy": scores.accuracy,
        "many": scores.many,
        "medium": scores.medium,
        "few": scores.few,
        "worst_class": scores.worst_class,
        "per_class": dict(zip(manifest.class_names, scores.per_class, strict=True)),
        "intervals": {"per_class": dict(zip(manifest.class_names, map(astuple, intervals), strict=True))},
        "seconds": seconds,
    }
    storage.write_json(run_folder.result(name, recipe.seed), result)


def trained_model(
    name: str, sets: Sets, run_folder: RunFolder, recipe: Recipe, *, progress: Progress = silent
) -> nn.Module:
    """Return the network of a method, trained; a finished checkpoint is loaded instead."""
    from synaug.training.classifier import retrain_classifier
    from synaug.training.fit import train_representation
    from synaug.training.models import make_model

    method = METHODS[name]
    if method.starts_from is not None:
        base = trained_model(method.starts_from, sets, run_folder, recipe, progress=progress)
        options = recipe.train.retrain
        chosen = "all_real" if (method.data, options.data) == ("real", "evened_out") else options.data
        return retrain_classifier(
            base,
            retraining_set(sets, chosen, seed=recipe.seed),
            method=options.method,
            regularization=options.regularization,
            seed=recipe.seed,
        )
    data = sets.evened_out if method.data == "evened_out" else sets.real
    model = make_model(
        recipe.train.network,
        num_classes=data.num_classes,
        in_channels=data.images.shape[1],
        image_size=data.images.shape[-1],
        pretrained=recipe.train.pretrained,
        seed=recipe.seed,
    )
    train_representation(
        model,
        data,
        stage_options(name, recipe, sets),
        seed=recipe.seed,
        device=recipe.train.device,
        precision=recipe.train.precision,
        checkpoint=run_folder.checkpoint(name, recipe.seed),
        progress=progress,
        stage=f"training {name}",
    )
    return model


def stage_options(name: str, recipe: Recipe, sets: Sets) -> StageOptions:
    """Return the stage-1 options of a method: the recipe's, the method's own, then the recipe's for it.

    The number of steps follows from the evened-out set, so that every method takes equally many.
    """
    stage = recipe.train.stage1
    steps = stage.steps or math.ceil(stage.epochs * len(sets.evened_out.labels) / stage.batch_size)
    changes = dict(METHODS[name].stage1) | recipe.methods.get(name, {})
    return StageOptions.model_validate(stage.model_dump() | {"steps": steps} | changes)


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


def write_gap(sets: Sets, run_folder: RunFolder, recipe: Recipe, *, progress: Progress = silent) -> None:
    """Measure how far synthetic training images are from real ones, and keep it for the report.

    The features are those of ``GAP_METHOD``'s network; with no synthetic images nothing is measured.
    """
    from synaug.evaluation.gap import gap_report, gap_section
    from synaug.training.fit import extract_features
    from synaug.training.models import as_image_classifier

    images, class_names = sets.evened_out, planning.read_plan(run_folder.plan).class_names
    labels, is_synthetic = images.labels.numpy(), images.is_synthetic.numpy()
    if not is_synthetic.any():
        storage.write_json(run_folder.gap, {})
        return
    progress("measuring the gap", 0, 1, "")
    model = as_image_classifier(trained_model(GAP_METHOD, sets, run_folder, recipe))
    rng = np.random.default_rng([recipe.seed, 3])
    cells = labels + len(class_names) * is_synthetic
    rows = at_most_of_each(cells, max(1, GAP_IMAGES // len(class_names)), rng)
    features = extract_features(model, images.rows(rows), device=recipe.train.device).numpy()
    made = is_synthetic[rows]
    found = gap_report(
        real=features[~made],
        synthetic=features[made],
        real_labels=labels[rows][~made],
        synthetic_labels=labels[rows][made],
        class_names=class_names,
        seed=recipe.seed,
    )
    storage.write_json(run_folder.gap, gap_section(found, class_names))
    progress("measuring the gap", 1, 1, "")


def at_most_of_each(cells: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of up to ``number`` entries of each value, drawn at random, in ascending order."""
    chosen = [rng.permutation(np.flatnonzero(cells == cell))[:number] for cell in np.unique(cells)]
    return np.sort(np.concatenate(chosen))


# ---------------------------------------------------------------- report


def report(out: Path, *, command: str = "", seconds: float = math.nan) -> dict[str, Any]:
    """Write ``report.json`` and, made from it, ``report.html``; return the former's content.

    Args:
        out: run folder with results.
        command: what made the run; without it, what an earlier report of the run says.
        seconds: how long it took; likewise.

    Raises:
        DataError: no method has a result yet.
    """
    from synaug.evaluation.report import make_report

    run_folder = open_run(out)
    lock = storage.read_json(run_folder.lock_file)
    recipe = locked_recipe(run_folder)
    results = finished_results(run_folder, recipe.seed)
    if not results:
        raise DataError(f"{out} has no results to report. Train first: synaug train {out}")
    if not command and run_folder.report.exists():
        earlier = storage.read_json(run_folder.report)
        command, seconds = earlier["command"], earlier["seconds"]
    manifest = read_manifest(run_folder.data)
    plan = planning.read_plan(run_folder.plan)
    content = {
        "schema_version": 1,
        "synaug_version": lock["versions"]["synaug"],
        "name": recipe.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
        "seconds": seconds,
        "data": data_section(manifest, lock["source"]),
        "plan": plan_section(plan),
        "synthesis": synthesis_section(plan, out),
        "training": training_section(recipe, [result["method"] for result in results]),
        "results": results,
        "gap": storage.read_json(run_folder.gap) if run_folder.gap.exists() else {},
        "warnings": shortcuts(joined(manifest.split("train"), synthetic_manifest(plan, out))),
        "repeat": [command] if command else [],
    }
    storage.write_json(run_folder.report, content)
    final = next((r["method"] for r in results if r["method"] == "synaug"), results[-1]["method"])
    storage.copy_file(run_folder.method_predictions(final, recipe.seed), run_folder.predictions)
    pictures = report_images(manifest, plan, run_folder, results)
    storage.write_text(run_folder.page, make_report(storage.read_json(run_folder.report), images=pictures))
    return content


def finished_results(run_folder: RunFolder, seed: int) -> list[dict[str, Any]]:
    """Return the results that are there, in the order of ``METHODS``."""
    paths = [run_folder.result(name, seed) for name in METHODS]
    return [storage.read_json(path) for path in paths if path.exists()]


def data_section(manifest: Manifest, source: str) -> dict[str, Any]:
    """Return the report's ``data``: what there was before."""
    summary = groups.summary(manifest.split("train"))
    return {
        "source": source,
        "num_test_images": len(manifest.split("test")),
        "class_names": list(manifest.class_names),
        "quarantined": [[item.path, item.reason] for item in manifest.quarantined],
    } | summary


def plan_section(plan: planning.Plan) -> dict[str, Any]:
    """Return the report's ``plan``: what was lacking."""
    prompts: dict[str, list[str]] = {}
    for slot in planning.sample_slots(plan, per_cell=3):
        prompts.setdefault(slot.cell.name, []).append(slot.prompt)
    return {
        "by": plan.options.by,
        "target": plan.options.target,
        "variant": plan.options.variant,
        "model": plan.options.model,
        "template": plan.options.template,
        "num_to_generate": {cell.name: cell.num_to_generate for cell in plan.cells},
        "digest": plan.digest,
        "prompts": prompts,
    }


def synthesis_section(plan: planning.Plan, out: Path) -> dict[str, Any]:
    """Return the report's ``synthesis``: what was made, and what was rejected and why."""
    from synaug.synthesis.journal import read_journals
    from synaug.synthesis.synthesize import synthesis_summary

    model: dict[str, Any] = {}
    accepted = collections.Counter({cell.name: 0 for cell in plan.cells})
    rejected: dict[str, collections.Counter[str]] = {}
    for record in read_journals(plan, out):
        if record["kind"] == "run":
            model = record["about"]
        elif record["verdict"] == "accepted":
            accepted[record["cell"]] += 1
        else:
            rejected.setdefault(record["cell"], collections.Counter())[record["reason"]] += 1
    made = synthesis_summary(plan, out)
    return made | {
        "images_per_second": made["accepted"] / made["seconds"] if made["seconds"] else math.nan,
        "model": model,
        "accepted_by_class": dict(accepted),
        "rejected_by_class": {name: dict(reasons) for name, reasons in rejected.items()},
    }


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


def training_section(recipe: Recipe, methods: Sequence[str]) -> dict[str, Any]:
    """Return the report's ``training``: how the classifiers were made."""
    stage = recipe.train.stage1
    return {
        "network": recipe.train.network,
        "steps": stage.steps,
        "epochs": None if stage.steps else stage.epochs,
        "batch_size": stage.batch_size,
        "options": recipe.train.model_dump(mode="json"),
        "overrides": {name: recipe.methods[name] for name in methods if name in recipe.methods},
        "methods": {name: METHODS[name].description for name in methods},
    }


def report_images(
    manifest: Manifest, plan: planning.Plan, run_folder: RunFolder, results: Sequence[dict[str, Any]]
) -> ReportImages:
    """Pick the pictures of the report: real, synthetic and rejected ones, and confusions."""
    from synaug.evaluation.sections import ReportImages
    from synaug.synthesis.synthesize import provenance, rejected_files

    confusions = {}
    for result in results:
        table = pd.read_csv(
            run_folder.method_predictions(result["method"], result["seed"]), dtype=str, keep_default_na=False
        )
        confusions[result["method"]] = (
            pd.crosstab(table["label"], table["prediction"])
            .reindex(index=manifest.class_names, columns=manifest.class_names, fill_value=0)
            .to_numpy()
        )
    real, synthetic = manifest.split("train"), synthetic_manifest(plan, run_folder.path)
    wanted = provenance(plan, run_folder.path)
    prompts = dict(zip(wanted["id"], wanted["prompt"], strict=True))
    shown = {name: example_rows(synthetic, label) for label, name in enumerate(synthetic.class_names)}
    return ReportImages(
        real={
            name: [read_image(real, row) for row in example_rows(real, label)]
            for label, name in enumerate(real.class_names)
        },
        synthetic={name: [read_image(synthetic, row) for row in rows] for name, rows in shown.items()},
        prompts={name: [prompts[synthetic.frame["id"].iat[row]] for row in rows] for name, rows in shown.items()},
        rejected={
            reason: [read_file(path) for path in paths[:EXAMPLES]]
            for reason, paths in rejected_files(run_folder.path).items()
        },
        confusions=confusions,
    )


def example_rows(manifest: Manifest, label: int) -> list[int]:
    """Return up to ``EXAMPLES`` rows of a class, spread evenly over them."""
    rows = np.flatnonzero(manifest.labels == label)
    spread = np.unique(np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(int))
    return [int(row) for row in rows[spread]]


def in_memory(manifest: Manifest) -> Manifest:
    """Return the manifest with each file's bytes in it, so that the files may go."""
    contents = [manifest.absolute_path(row).read_bytes() for row in range(len(manifest))]
    return replace(manifest, frame=manifest.frame.assign(image=contents, path=""), root=None)


# ---------------------------------------------------------------- export


def export(out: Path, target: Path, *, progress: Progress = silent) -> None:
    """Write the run's real and synthetic images as a tree that torchvision and ``datasets`` load alike.

    Raises:
        OptionError: ``target`` is not empty.
    """
    from synaug.data.export import export_dataset
    from synaug.synthesis.synthesize import provenance

    run_folder = open_run(out)
    plan = planning.read_plan(run_folder.plan)
    export_dataset(
        read_manifest(run_folder.data),
        synthetic_manifest(plan, out),
        target,
        provenance=provenance(plan, out).assign(variant=plan.options.variant),
        card={"name": locked_recipe(run_folder).name},
        progress=progress,
    )


# ---------------------------------------------------------------- status


def status(out: Path) -> dict[str, Any]:
    """Return how far each stage of a run is; reads only, so it may be asked while the run goes on."""
    from synaug.synthesis.synthesize import synthesis_summary

    run_folder = open_run(out)
    recipe = locked_recipe(run_folder)
    made = synthesis_summary(planning.read_plan(run_folder.plan), out)
    results = {result["method"]: result["accuracy"] for result in finished_results(run_folder, recipe.seed)}
    return {
        "plan": f"{made['requested']:,} images by {recipe.plan.model}",
        "generate": f"{made['accepted']:,} accepted, {sum(made['rejected'].values()):,} rejected",
        "train": ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in results.items()) or "nothing yet",
        "report": str(run_folder.page) if run_folder.page.exists() else "not yet",
    }
