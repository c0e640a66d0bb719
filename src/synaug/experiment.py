"""The whole method, one stage a line.  Start reading here.

``run`` counts, plans, generates, trains, retrains, evaluates and reports in one run folder. Each stage is a
function of its own, reads what the stage before it wrote, and does nothing again that is already there.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import functools
import itertools
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synaug import interruption, storage
from synaug.config import STABLE_DIFFUSION, Recipe, with_overrides
from synaug.data import encoding, groups, readers
from synaug.data.manifest import Manifest, joined, read_manifest, write_manifest
from synaug.data.subsets import with_test_split
from synaug.errors import DataError, EnvironmentFault, IncompleteError, OptionError
from synaug.gaps import GAP_METHOD, write_gap
from synaug.methods import (
    DEFAULT_METHODS,
    check_methods,
    check_networks,
    images_digest,
    is_finished,
    load_sets,
    method_named,
    network_digests,
    train_method,
)
from synaug.progress import Progress, silent
from synaug.reporting import report
from synaug.reviewing import check_applied
from synaug.runs import RunFolder, locked_model, locked_recipe, open_run, write_lock, write_model, write_networks
from synaug.synthesis import plan as planning
from synaug.synthesis.models import find_model, model_facts
from synaug.synthesis.synthesize import is_settled, synthesis_summary, synthesize, synthetic_manifest

if TYPE_CHECKING:
    from synaug.data.memory import Source
    from synaug.synthesis.cluster import Cluster, PartMaker
    from synaug.synthesis.diffusion import Generator
    from synaug.synthesis.synthesize import SynthesisResult
    from synaug.training.parallel import Team

IN_MEMORY = "images in memory"
MEASURED_IMAGES = 64
SMALLER = "Use a smaller train.stage1.batch_size or train.image_size in the recipe."


def run(
    source: Source,
    out: Path,
    recipe: Recipe,
    *,
    generator: Generator | None = None,
    cluster: Cluster | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    command: str = "",
    source_name: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Do the whole method in the folder ``out`` and return the report.

    Args:
        source: images; see ``data.readers``.
        out: run folder; one that holds an unfinished run of the same options is gone on with.
        recipe: all options.
        generator: takes the place of the diffusion model; see ``synthesis.diffusion``.
        cluster: let Ray's workers make the images.
        methods: names of ``METHODS``.
        command: what a person types to repeat it, for the report.
        source_name: what the report calls the data; default: their path.
        progress: called with how far the work has come.

    Raises:
        OptionError, DataError, EnvironmentFault, Interrupted: see ``errors``; what was finished is kept.
    """
    check_recipe(recipe)
    check_methods(methods, recipe)
    manifest = load_data(source, recipe, progress=progress)
    check_methods(methods, recipe, num_attributes=manifest.num_attributes)
    plan = drafted_plan(manifest, recipe)
    check_networks(methods, recipe, plan)
    if generator is None and not is_settled(plan, folder=out, quality=recipe.quality):
        # before anything is written, so that a model that cannot be had leaves nothing behind
        find_model(recipe.plan.model)
    with storage.lock(out):
        write_run(manifest, plan, out, recipe, source=source_name or _place(source))
        generate(out, generator=generator, cluster=cluster, progress=progress)
        interruption.stop_here()
        train(out, methods=methods, progress=progress)
        return report(out, command=command)


def check_recipe(recipe: Recipe) -> None:
    """Raise an OptionError for a name that nothing knows: a method, mixing, loss, sampler, network, gate, device."""
    from synaug.synthesis.diffusion import find_device
    from synaug.synthesis.quality import check_gates
    from synaug.training.batching import check_stage
    from synaug.training.classifier import method_named
    from synaug.training.devices import chosen_device, chosen_precision
    from synaug.training.models import check_network

    check_methods(list(recipe.methods), recipe)
    check_gates(recipe.quality.gates)
    find_device(recipe.generate.device)
    chosen_precision(recipe.train.precision, chosen_device(recipe.train.device))
    for network in {recipe.train.network, *(own.network for own in recipe.methods.values() if own.network)}:
        check_network(network)
    for changes in ({}, *(method.stage1 for method in recipe.methods.values())):
        check_stage(recipe.train.stage1.model_copy(update=changes))
    for changes in ({}, *(method.retrain for method in recipe.methods.values())):
        method_named(recipe.train.retrain.model_copy(update=changes).method)


def balance(
    data: Source,
    *,
    model: str = STABLE_DIFFUSION,
    target: str | float | dict[str, int] = "uniform",
    by: str = "class",
    out: Path | str | None = None,
    generator: Generator | None = None,
    options: dict[str, Any] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Manifest:
    """Return the training images of ``data`` together with the synthetic ones that even them out.

    Args:
        data: whatever ``read_data`` takes: a path, a manifest, a data frame, a torch, torchvision or ``datasets``
            data set, a pair (images, labels), or a dict of splits.
        model: ``embedded``, a diffusers folder or a Hub id.
        target: ``uniform``, a number of images, a share of the largest class, or numbers by class name.
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
        folder = Path(out) if out else stack.enter_context(storage.scratch_folder("balance"))
        stack.enter_context(storage.lock(folder))
        plan = drafted_plan(manifest, recipe)
        write_run(manifest, plan, folder, recipe, source=_place(data))
        generate(folder, generator=generator, progress=progress)
        check_complete(folder)
        synthetic = synthetic_manifest(plan, folder)
        return joined(manifest.split("train"), synthetic if out else in_memory(synthetic))


# ---------------------------------------------------------------- data and plan


def load_data(source: Source, recipe: Recipe, *, progress: Progress = silent) -> Manifest:
    """Return the images with a test split: the data's own, or a share of each class held out.

    Raises:
        DataError: the data cannot be used, or a class has no image to test on.
    """
    manifest = readers.read_data(source, recipe.data, progress=progress)
    manifest = with_test_split(manifest, recipe.data.test_fraction, recipe.seed)
    check_counts(manifest, "test")
    return manifest


def drafted_plan(manifest: Manifest, recipe: Recipe) -> planning.Plan:
    """Return the plan for the training images; nothing is written."""
    training = manifest.split("train")
    check_counts(manifest, "train")
    look = encoding.detect_encoding(training)
    return planning.make_plan(
        training,
        options=recipe.plan,
        generate=recipe.generate,
        encoding=look,
        image_size=look.size or encoding.median_size(training),
    )


def write_run(manifest: Manifest, plan: planning.Plan, out: Path, recipe: Recipe, *, source: str) -> None:
    """Write the plan, the manifest and the lock file; where those of this run are there, leave them.

    Raises:
        OptionError: the folder holds another run.
    """
    run_folder = RunFolder(out)
    storage.remove_temporary(storage.make_folder(out))
    recipe = recipe.model_copy(update={"bench": None})
    write_lock(run_folder, source=manifest.origin or source, recipe=recipe, data_digest=data_digest(manifest))
    if not run_folder.plan.exists():
        write_manifest(manifest, run_folder.data)
        planning.write_plan(plan, run_folder.plan)


def _place(source: Source) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else IN_MEMORY


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
    cluster: Cluster | None = None,
    progress: Progress = silent,
) -> SynthesisResult:
    """Make the images that the plan of the run folder lacks, and check each.

    Args:
        out: run folder.
        generator: takes the place of the model; see ``synthesis.diffusion``.
        shard: ``(i, n)``: the i-th of n parts only.
        cluster: let Ray's workers make them, all parts.
        progress: called with how far the work has come.
    """
    recipe = locked_recipe(open_run(out))
    plan = planning.read_plan(open_run(out).plan)
    check_applied(plan, out)
    if cluster is None:
        return image_maker(out, plan.digest, generator=generator, progress=progress)(shard, progress)
    from synaug.synthesis.cluster import synthesize_on_cluster

    begin = functools.partial(image_maker, out.resolve(), plan.digest, generator=generator)
    return synthesize_on_cluster(
        plan, begin, folder=out, cluster=cluster, device=recipe.generate.device, quality=recipe.quality,
        progress=progress,
    )  # fmt: skip


def image_maker(
    out: Path, plan_digest: str, *, generator: Generator | None = None, progress: Progress = silent
) -> PartMaker:
    """Return what makes one part of the plan after another in this process; the model is loaded once, when needed.

    Raises:
        EnvironmentFault: this machine does not see the run folder, or sees another one.
    """
    from synaug.synthesis.guides import make_guides
    from synaug.synthesis.quality import make_gates

    run_folder = RunFolder(out)
    if not run_folder.plan.is_file() or planning.read_plan(run_folder.plan).digest != plan_digest:
        raise EnvironmentFault(
            f"The machine {platform.node()} does not see the run folder {out}, or sees another plan there. "
            "All machines have to share its file system, under the same path."
        )
    plan, recipe, manifest = (
        planning.read_plan(run_folder.plan),
        locked_recipe(run_folder),
        read_manifest(run_folder.data),
    )
    early, late = (
        recipe.quality.model_copy(update={"gates": tuple(n for n in recipe.quality.gates if (n == "collapse") is last)})
        for last in (False, True)
    )
    gates = make_gates(manifest, early, seed=recipe.seed, progress=progress)
    guides, loaded = make_guides(plan, manifest), [generator] if generator else []

    def make(shard: tuple[int, int], progress: Progress) -> SynthesisResult:
        if not loaded and not is_settled(plan, folder=out, quality=recipe.quality, shard=shard):
            loaded.append(loaded_generator(out, recipe, plan, progress=progress))
        accepted = synthetic_manifest(plan, out) if late.gates else None  # as of now: others may have worked on it
        return synthesize(
            plan,
            loaded[0] if loaded else None,
            folder=out,
            gates=[*gates, *make_gates(manifest, late, accepted=accepted, progress=progress)],
            quality=recipe.quality,
            shard=shard,
            guides=guides,
            progress=progress,
        )

    return make


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
    """Return how long one planned image takes here: a batch is made and thrown away, a second one is timed.

    Raises:
        OptionError: the variant is ``fitted``, whose model is not there before it is trained.
    """
    from synaug.synthesis.guides import make_guides

    run_folder, recipe = open_run(out), locked_recipe(open_run(out))
    if recipe.plan.variant == "fitted":
        raise OptionError(
            "A fitted model cannot be timed before it is fitted. Measure variant 'text' instead: as fast."
        )
    plan = planning.read_plan(run_folder.plan)
    first = list(itertools.islice(planning.slots(plan), MEASURED_IMAGES))
    if not first:
        return 0.0
    generator = loaded_generator(out, recipe, plan, progress=progress)
    batch = first[: getattr(generator, "batch_size", MEASURED_IMAGES)]
    guides = make_guides(plan, read_manifest(run_folder.data))
    starts: dict[str, Any] = {"images": [guides(slot)[1] for slot in batch]} if guides else {}
    prompts, seeds = [slot.prompt for slot in batch], [planning.image_seed(slot.id, 0) for slot in batch]
    seconds = 0.0
    for turn in range(2):
        progress("timing a batch", turn, 2, "")
        began = time.perf_counter()
        collections.deque(generator(prompts, seeds=seeds, **starts), maxlen=0)
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
        with storage.lock(out, name="fitting"):
            model = str(fit_model(plan, manifest, folder=out, device=recipe.generate.device, progress=progress))
    progress("loading the generator", 0, 1, model)
    with interruption.at_once():
        generator = load_generator(
            model, recipe.generate, variant=recipe.plan.variant, negative_prompt=recipe.plan.negative_prompt
        )
    progress("loading the generator", 1, 1, model)
    write_model(RunFolder(out), model_facts(recipe.plan.model) if recipe.plan.variant == "fitted" else generator.about)
    return generator


def check_complete(out: Path, result: SynthesisResult | None = None) -> None:
    """Raise an IncompleteError where more slots stayed empty than ``quality.max_missing`` allows.

    Args:
        out: run folder.
        result: of one shard; default: of all of them.
    """
    made = asdict(result) if result else synthesis_summary(planning.read_plan(open_run(out).plan), out)
    allowed = locked_recipe(open_run(out)).quality.max_missing
    if made["missing"] > allowed * made["requested"]:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in made["rejected"].items())
        raise IncompleteError(
            f"{made['missing']:,} of {made['requested']:,} images are missing because every attempt was rejected "
            f"({reasons}); allowed are {allowed:.0%}. Look at {out / 'rejected'}, then change the prompts or the "
            "model, or allow more with quality.max_attempts or quality.max_missing in the recipe."
        )


# ---------------------------------------------------------------- train


def train(
    out: Path,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    retrain: bool = True,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Train, retrain and test each method and seed that has no result yet; return the results, seed by seed.

    The images are read once for all of them. Several processes of one launcher train together; the first alone tests
    and writes.

    Args:
        out: run folder with its synthetic images.
        methods: names of ``METHODS``.
        retrain: False leaves out the methods that only retrain the classifier of another.
        seed: of the training, the images staying as they are; default: the run's.
        seeds: several of them, in the place of ``seed``.
        progress: called with how far the work has come.
    """
    from synaug.training.parallel import joined_team

    run_folder, locked = open_run(out), locked_recipe(open_run(out))
    recipes = [with_overrides(locked, {"seed": each}) for each in ([seed] if seeds is None else seeds)]
    check_methods(methods, locked)
    wanted = [name for name in methods if retrain or method_named(name, locked).starts_from is None]
    plan = planning.read_plan(run_folder.plan)
    check_applied(plan, out)
    if not is_settled(plan, folder=out, quality=locked.quality) and any(
        method_named(n, locked).data == "evened_out" for n in wanted
    ):
        raise DataError(f"Some images of {out} are not generated yet. Go on with: synaug generate {out}")
    check_networks(wanted, locked, plan)
    learned_from = images_digest(synthetic_manifest(plan, out))
    team, _ = joined_team(locked.train.device)
    shown = progress if team.is_first else silent
    missing = _without_result(itertools.product(recipes, wanted), run_folder, learned_from, team)
    sets = functools.cache(lambda: load_sets(out, locked.train, progress=shown))
    if missing:
        check_methods(wanted, locked, num_attributes=read_manifest(run_folder.data).num_attributes)
        if team.is_first:
            write_networks(run_folder, network_digests(wanted, locked))
    for recipe, name in missing:
        try:
            train_method(name, sets(), run_folder, recipe, synthetic=learned_from, progress=shown)
        except MemoryError as error:
            raise EnvironmentFault(f"Out of memory while training {name}. {SMALLER}") from error
        interruption.stop_here()
    for recipe in recipes:
        if GAP_METHOD in wanted and not run_folder.gap(recipe.seed).exists():
            write_gap(sets(), run_folder, recipe, progress=shown)
    team.wait()
    return [storage.read_json(run_folder.result(name, recipe.seed)) for recipe in recipes for name in wanted]


def _without_result(
    wanted: Iterable[tuple[Recipe, str]], run_folder: RunFolder, learned_from: str, team: Team
) -> list[tuple[Recipe, str]]:
    """Return what has no current result; the first process removes what is out of date, the others wait for it."""
    if team.is_first:
        storage.remove_temporary(run_folder.path)
    else:
        team.wait()
    missing = [(recipe, name) for recipe, name in wanted if not is_finished(run_folder, name, recipe, learned_from)]
    if team.is_first:
        team.wait()
    team.wait()  # before anything is written, so that all miss the same
    return missing


def in_memory(manifest: Manifest) -> Manifest:
    """Return the manifest with each file's bytes in it, so that the files may go."""
    contents = [manifest.absolute_path(row).read_bytes() for row in range(len(manifest))]
    return replace(manifest, frame=manifest.frame.assign(image=contents, path=""), root=None)


# ---------------------------------------------------------------- export


def export(out: Path, target: Path, *, licence: str | None = None, progress: Progress = silent) -> None:
    """Write the run's real and synthetic images as a tree that torchvision and ``datasets`` load alike.

    Args:
        out: run folder with its synthetic images.
        target: a folder that does not exist or is empty.
        licence: of the set, as the Hub spells it, for the data card; default: unknown.
        progress: called with how far the work has come.

    Raises:
        OptionError: ``target`` is not empty.
    """
    from synaug.data.export import export_dataset
    from synaug.synthesis.synthesize import provenance

    run_folder = open_run(out)
    plan = planning.read_plan(run_folder.plan)
    check_applied(plan, out)
    export_dataset(
        read_manifest(run_folder.data),
        synthetic_manifest(plan, out),
        target,
        provenance=provenance(plan, out).assign(variant=plan.options.variant),
        card={"name": locked_recipe(run_folder).name, "license": licence}
        | _card_facts(out, plan)
        | _origin(run_folder),
        progress=progress,
    )


def _origin(run_folder: RunFolder) -> dict[str, str | None]:
    """Return the day and the generator for the data card; a model of this machine is named without its path."""
    model = locked_model(run_folder)
    return {
        "created": datetime.date.today().isoformat(),
        "generator": Path(name).name if Path(name := str(model.get("model"))).is_absolute() else name,
        "generator revision": model.get("revision"),
        "generator licence": model.get("licence"),
    }


def _card_facts(out: Path, plan: planning.Plan) -> dict[str, Any]:
    """Return what the data card tells of the synthetic images."""
    made = synthesis_summary(plan, out)
    rejected = ", ".join(f"{reason} {number:,}" for reason, number in made["rejected"].items()) or "none"
    return {
        "synthetic images": f"{made['accepted']:,} accepted of {made['requested']:,} planned",
        "rejected attempts": rejected,
        "checks": ", ".join(locked_recipe(open_run(out)).quality.gates),
        "prompt": plan.options.template,
        "variant": plan.options.variant,
        "seed": plan.options.seed,
    }
