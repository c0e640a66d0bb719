"""The whole method, one stage per line.  Start reading here.

``run`` counts, plans, trains the methods that need no synthetic images, generates, trains on the balanced set,
retrains, chooses one classifier, evaluates and reports in one run directory. Each stage is its own function, reads
what the previous stage wrote and skips finished work.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.config import AUTO, STABLE_DIFFUSION, Recipe
from synaug.data import Manifest, class_counts, joined, readers
from synaug.data.images import recorded_bytes
from synaug.errors import EnvironmentFault, OptionError
from synaug.methods import (
    DEFAULT_METHODS,
    check_methods,
    check_networks,
    images_digest,
    is_finished,
    load_sets,
    method_named,
    network_digests,
    read_result,
    train_method,
    uses_autoencoder,
)
from synaug.pipeline import (
    check_complete,
    check_generator,
    check_recipe,
    check_trainable,
    chosen_result,
    drafted_plan,
    finished_results,
    is_measured,
    load_data,
    model_note,
    place,
    resolve_pretraining,
    unusable,
    usual_methods,
    write_gap,
    write_run,
)
from synaug.pipeline.choosing import (
    best_rival,
    cost,
    judged_methods,
    num_folds,
    planned_so_far,
    too_long,
    uses_synthetic,
    with_more_images,
)
from synaug.pipeline.choosing.choose import choose
from synaug.pipeline.choosing.cross_validate import cross_validate
from synaug.pipeline.generate import generate
from synaug.pipeline.preview import CHOICE, IMAGES, REPORT, training_part
from synaug.pipeline.preview.run_parts import run_parts
from synaug.pipeline.report import report
from synaug.pipeline.review import check_applied, check_present
from synaug.recipes import with_overrides
from synaug.report import may_not_need, number_or_nan
from synaug.run_directory import Run, RunPaths, write_networks
from synaug.runtime import (
    FUNCTION,
    MODEL,
    PATH,
    TEXT,
    TEXTS,
    WHOLES,
    Progress,
    Whole,
    check_arguments,
    check_free,
    claim,
    enter,
    instance_of,
    is_out_of_memory,
    needs_libraries,
    of_seed,
    signals,
    silent,
    storage,
)
from synaug.schemas import Choice, Report, Result
from synaug.synthesis.execution import is_settled, num_unsettled, synthesis_summary, synthetic_manifest
from synaug.synthesis.generators import autoencode
from synaug.synthesis.generators.models import CLIP, find_model
from synaug.synthesis.quality import needs_clip

if TYPE_CHECKING:
    from synaug.data.formats.memory import Source
    from synaug.synthesis.execution import Cluster
    from synaug.synthesis.generators import Generator
    from synaug.training import Team

SMALLER = "Use a smaller train.stage1.batch_size or train.image_size in the recipe."


@needs_libraries
def run(
    source: Source,
    out: Path,
    recipe: Recipe,
    *,
    generator: Generator | None = None,
    cluster: Cluster | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    seeds: Sequence[int] | None = None,
    command: str = "",
    source_name: str = "",
    preset: str = "good",
    notify: Callable[[str], None] = lambda _: None,
    progress: Progress = silent,
) -> Report:
    """Run the whole method in the folder ``out`` and return the report.

    Args:
        source: images; see ``data.readers``.
        out: run directory; an unfinished run with the same options is resumed.
        recipe: all options.
        generator: replaces the diffusion model; see ``synthesis.generators.diffusion``.
        cluster: Ray cluster whose workers generate the images.
        methods: names of ``METHODS``.
        seeds: training seeds, including the recipe's own; all use the same images, and the report has the means.
        command: shell command that repeats the run, for the report.
        source_name: name of the data in the report; default: their path.
        preset: ``quick`` trains only last layers if pretrained weights are available. The options that a preset
            changes, ``pipeline.pretraining.PRESETS``, are not set here.
        notify: called before the first image is generated, with each warning that should not wait for the report.
        progress: called with the progress so far.

    Raises:
        OptionError, DataError, EnvironmentFault, Interrupted: see ``errors``; finished work is kept. Nothing is
            written if ``out`` is neither empty nor a run directory.
    """
    check_arguments(
        "run",
        out=(out, PATH),
        recipe=(recipe, instance_of(Recipe, words="a Recipe, such as read_recipe returns")),
        generator=(generator, FUNCTION.or_none),
        methods=(methods, TEXTS),
        seeds=(seeds, WHOLES.or_none),
        command=(command, TEXT),
        source_name=(source_name, TEXT),
        preset=(preset, TEXT),
        notify=(notify, FUNCTION),
        progress=(progress, FUNCTION),
    )
    out = Path(out)
    check_free(out, "run")
    check_recipe(recipe)
    check_methods(methods, recipe)
    manifest = load_data(source, recipe, progress=progress)
    check_methods(methods, recipe, num_attributes=manifest.num_attributes)
    plan = planned_so_far(drafted_plan(manifest, recipe), out)
    recipe, sentence = resolve_pretraining(recipe, plan, out)
    if sentence:
        notify(sentence)
    methods = usual_methods(methods, recipe, preset=preset)
    check_methods(methods, recipe)
    check_networks(methods, recipe, plan)
    if generator is None and not is_settled(plan, folder=out, quality=recipe.quality):
        # Before anything is written, so that a missing model leaves nothing behind.
        check_generator(recipe)
        if needs_clip(recipe.quality):
            find_model(recipe.quality.scorer_model, layout=CLIP)
    if note := model_note(plan):
        notify(note)
    num_to_make = num_unsettled(plan, folder=out, quality=recipe.quality)
    parts = run_parts(methods, seeds or [recipe.seed], recipe, plan, manifest, num_to_make=num_to_make)
    progress = Whole(progress, parts)
    with storage.lock(claim(out, "run")):
        write_run(manifest, plan, out, recipe, source=source_name or place(source))
        opened = Run.open(out)  # kept, so that all stages share this object and no file is parsed twice
        without = [name for name in methods if not uses_synthetic(name, recipe)]
        results = train(out, methods=without, seeds=seeds, progress=progress)  # cheap; may show that none are needed
        if sentence := may_not_need_images(manifest, results):
            notify(sentence)
        enter(progress, IMAGES)
        generate(out, generator=generator, cluster=cluster, progress=progress)
        while larger := with_more_images(opened, methods, progress=progress):  # only with plan.target: auto
            opened = larger
            generate(out, generator=generator, cluster=cluster, progress=progress)
        signals.stop_here()
        train(out, methods=methods, seeds=seeds, progress=progress)
        enter(progress, CHOICE)
        if chosen := choose_classifier(out, methods=methods, progress=progress).get("chosen"):
            train(out, methods=[chosen], seeds=seeds, progress=progress)
        if sentence := cross_validate_results(out, progress=progress):
            notify(sentence)
        enter(progress, REPORT)
        return report(opened.path, command=command)


def choose_classifier(out: Path, *, methods: Sequence[str] = DEFAULT_METHODS, progress: Progress = silent) -> Choice:
    """Choose the classifier of a run that has its synthetic images; see ``pipeline.choose``."""
    run_folder = Run.open(out)
    recipe = run_folder.recipe
    autoencoded = uses_autoencoder(methods, recipe)
    sets = load_sets(out, recipe.train, autoencoded=autoencoded, progress=progress)
    return choose(run_folder, recipe, sets, methods, progress=progress)


def cross_validate_results(out: Path, *, progress: Progress = silent) -> str:
    """Cross-validate the rows of a run as ``cross_validate`` asks; return why not, if that should be known."""
    run_folder = Run.open(out)
    recipe, manifest = run_folder.recipe, run_folder.manifest
    folds = num_folds(manifest, recipe)
    if not folds:
        return ""
    results = finished_results(run_folder, recipe)
    if unusable(run_folder):
        results = [each for each in results if not each["uses_synthetic"]] or results
    chosen = chosen_result(results, run_folder)["method"]
    names = judged_methods(results, chosen, best_rival(results, chosen), recipe)
    seconds = cost(names, results, folds, recipe)
    if recipe.cross_validate.folds == "auto" and seconds > 60 * recipe.cross_validate.minutes:
        return too_long(manifest, folds, seconds)
    if names:
        cross_validate(run_folder, recipe, names, folds=folds, progress=progress)
    return ""


def may_not_need_images(manifest: Manifest, results: Sequence[Result]) -> str:
    """Return a note if training on real images alone already recognizes the rarest class, else an empty string."""
    counts = class_counts(manifest.split("train").labels, manifest.num_classes)
    rarest = manifest.class_names[int(counts.argmin())]
    recalls = {result["method"]: number_or_nan(result["per_class"].get(rarest)) for result in results}
    known = {method: recall for method, recall in recalls.items() if not math.isnan(recall)}
    best = max(known, key=lambda method: known[method], default="")
    num_tested = int((manifest.split("test").labels == counts.argmin()).sum())
    return may_not_need(rarest, best, known.get(best, math.nan), num_tested=num_tested)


@needs_libraries
def balance(
    data: Source,
    *,
    model: str = STABLE_DIFFUSION,
    target: str | float | dict[str, int] = "uniform",
    by: str = "class",
    out: Path | str | None = None,
    generator: Generator | None = None,
    options: Mapping[str, object] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Manifest:
    """Return the training images of ``data`` and the synthetic images that balance them.

    Args:
        data: anything that ``read_data`` accepts: a path, a manifest, a data frame, a torch, torchvision or
            ``datasets`` data set, a pair (images, labels), or a dict of splits.
        model: ``embedded``, a diffusers folder or a Hub id.
        target: ``uniform``, a number of images, a share of the largest class, or numbers by class name.
        by: ``class`` or ``group``.
        out: run directory for the images; without it they stay in memory and no file remains.
        generator: replaces the model; see ``synthesis.generators.diffusion``.
        options: additional dotted options of a recipe, such as ``{"generate.steps": 20}``.
        seed: random seed of all images.
        progress: called with the progress so far.

    Raises:
        OptionError, DataError, EnvironmentFault: see ``errors``.
        IncompleteError: more images are missing than ``quality.max_missing`` allows; all others are in ``out``.
    """
    check_arguments(
        "balance",
        model=(model, MODEL),
        out=(out, PATH.or_none),
        generator=(generator, FUNCTION.or_none),
        progress=(progress, FUNCTION),
    )
    recipe = with_overrides(
        Recipe(),
        {"plan.model": model, "plan.target": target, "plan.by": by, "plan.seed": seed, "seed": seed}
        | dict({} if options is None else _checked(options)),
    )
    if recipe.plan.target == AUTO:
        raise OptionError("target 'auto' trains networks to decide; only synaug.run and 'synaug run' do that.")
    manifest = readers.read_data(data, recipe.data, progress=progress)
    with contextlib.ExitStack() as stack:
        folder = Path(out) if out else stack.enter_context(storage.scratch_folder("balance"))
        stack.enter_context(storage.lock(claim(folder, "run")))
        plan = drafted_plan(manifest, recipe)
        write_run(manifest, plan, folder, recipe, source=place(data))
        generate(folder, generator=generator, progress=progress)
        check_complete(folder)
        synthetic = synthetic_manifest(plan, folder)
        return joined(manifest.split("train"), synthetic if out else in_memory(synthetic))


def _checked(options: object) -> dict[str, object]:
    if not isinstance(options, Mapping):
        raise OptionError(f"options must be a dict such as {{'generate.steps': 20}}, got {type(options).__name__}.")
    return dict(options)


def in_memory(manifest: Manifest) -> Manifest:
    """Return the manifest with each file's bytes in it, so that the files can be deleted."""
    digests = manifest.frame["sha256"]
    contents = [recorded_bytes(manifest.absolute_path(row), str(digests.iat[row])) for row in range(len(manifest))]
    return replace(manifest, frame=manifest.frame.assign(image=contents, path=""), root=None)


def train(
    out: Path,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    retrain: bool = True,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress = silent,
) -> list[Result]:
    """Train, retrain and test each method and seed without a current result; return all results, ordered by seed.

    The images are read once for all of them. Processes started by one launcher train together; only the first tests and
    writes.

    Args:
        out: run directory with its synthetic images.
        methods: names of ``METHODS``.
        retrain: False skips the methods that only retrain another method's classifier.
        seed: training seed, which does not affect the images; default: the run's.
        seeds: several seeds, instead of ``seed``.
        progress: called with the progress so far.
    """
    from synaug.training import joined_team

    run_folder = Run.open(out)
    locked = run_folder.recipe
    recipes = [with_overrides(locked, {"seed": each}) for each in ([seed] if seeds is None else seeds)]
    check_methods(methods, locked)
    wanted = [name for name in methods if retrain or method_named(name, locked).starts_from is None]
    plan = run_folder.plan
    check_applied(plan, out)
    check_trainable(run_folder, locked, wanted)
    check_networks(wanted, locked, plan)
    made = synthetic_manifest(plan, out)
    check_present(made, out)
    learned_from = images_digest(made)
    team, _ = joined_team(locked.train.device)
    shown = progress if team.is_first else silent
    missing = _without_result(itertools.product(recipes, wanted), run_folder, learned_from, team)
    autoencoded = uses_autoencoder([name for _, name in missing], locked)
    sets = functools.cache(lambda: load_sets(out, locked.train, autoencoded=autoencoded, progress=shown))
    if autoencoded:
        if team.is_first:
            real = run_folder.manifest.split("train")
            autoencode(plan, real, out, device=locked.generate.device, progress=shown)
        # Only the first process writes the autoencoded images; the others must not load them before they are complete.
        team.wait()
    if missing:
        check_methods(wanted, locked, num_attributes=run_folder.manifest.num_attributes)
        if team.is_first:
            write_networks(run_folder, network_digests(wanted, locked))
    for recipe, name in missing:
        enter(shown, training_part(name, recipe.seed))
        told = of_seed(shown, recipe.seed) if len(recipes) > 1 else shown
        try:
            train_method(name, sets(), run_folder, recipe, synthetic=learned_from, progress=told)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise EnvironmentFault(f"Out of memory while training {name}. {SMALLER}") from error
        signals.stop_here()
    # Only the first process writes results. The others wait here, or they would read missing results below.
    team.wait()
    # Only the first process writes the gap. The others wait for it, so that none returns (and exits) in the meantime.
    rejected = synthesis_summary(plan, out)["rejected"]
    if team.is_first and not is_measured(run_folder, learned_from, rejected):
        real, synthetic = run_folder.manifest.split("train"), synthetic_manifest(plan, out)
        write_gap(
            run_folder, locked, real=real, synthetic=synthetic, digest=learned_from, rejected=rejected, progress=shown
        )
    team.wait()
    return [read_result(run_folder, name, recipe.seed) for recipe in recipes for name in wanted]


def _without_result(
    wanted: Iterable[tuple[Recipe, str]], run_folder: RunPaths, learned_from: str, team: Team
) -> list[tuple[Recipe, str]]:
    """Return the recipes and methods without a current result, the same in all processes.

    ``is_finished`` removes outdated results, so the first process calls it before the others do.
    """
    if team.is_first:
        # Deleting is the first process's job; the others wait until it has also checked all results.
        storage.remove_temporary(run_folder.path)
    else:
        team.wait()
    missing = [(recipe, name) for recipe, name in wanted if not is_finished(run_folder, name, recipe, learned_from)]
    if team.is_first:
        team.wait()
    # No process may start training, which writes results, before all have their list. With different lists, one process
    # would wait forever in a training that the others skip.
    team.wait()
    return missing
