"""The whole method, one stage per line.  Start reading here.

``run`` counts, plans, trains the methods that need no synthetic images, generates, trains on the balanced set,
retrains, chooses one classifier, evaluates and reports in one run directory. Each stage is its own function, reads
what the previous stage wrote and skips finished work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.config import AUTO, STABLE_DIFFUSION, Recipe
from synaug.data import Manifest, joined, readers
from synaug.data.images import recorded_bytes
from synaug.errors import OptionError
from synaug.methods import DEFAULT_METHODS, check_methods, check_networks
from synaug.pipeline import (
    check_complete,
    check_generator,
    check_recipe,
    drafted_plan,
    load_data,
    place,
    resolve_pretraining,
    usual_methods,
    write_run,
)
from synaug.pipeline.choosing import (
    choose_classifier,
    cross_validate_results,
    finalists,
    planned_so_far,
    uses_synthetic,
    with_more_images,
)
from synaug.pipeline.generate import generate
from synaug.pipeline.preview.run_parts import run_parts
from synaug.pipeline.reporting import amount_note, may_not_need_images, model_note
from synaug.pipeline.reporting.report import report
from synaug.pipeline.train import train
from synaug.recipes import with_overrides
from synaug.runtime import (
    FUNCTION,
    MODEL,
    PATH,
    TEXT,
    TEXTS,
    WHOLES,
    Part,
    Progress,
    Whole,
    check_arguments,
    check_free,
    claim,
    instance_of,
    needs_libraries,
    signals,
    silent,
    storage,
)
from synaug.schemas import Report
from synaug.synthesis.execution import is_settled, num_unsettled, synthetic_manifest
from synaug.synthesis.generators.models import CLIP, find_model
from synaug.synthesis.quality import needs_clip

if TYPE_CHECKING:
    from synaug.data.formats.memory import Source
    from synaug.synthesis.execution import Cluster
    from synaug.synthesis.generators import Generator
    from synaug.synthesis.planning import Plan


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
        seeds: training seeds, including the recipe's own; all use the same images, and the report shows the means.
        command: shell command that repeats the run, for the report.
        source_name: name of the data in the report; default: their path.
        preset: ``quick`` trains only last layers if pretrained weights are available. The options of the preset in
            ``pipeline.pretraining.PRESETS`` are set by the caller.
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
    work = prepared(
        source, out, recipe, methods, preset=preset, is_own=generator is not None, notify=notify, progress=progress
    )
    progress = Whole(progress, work.parts(out, seeds or [recipe.seed]))
    with storage.lock(claim(out, "run")):
        opened = write_run(work.manifest, work.plan, out, work.recipe, source=source_name or place(source))
        results = train(opened, methods=work.real_only, seeds=seeds, progress=progress)
        if work.plan.num_to_generate:
            notify_if(notify, may_not_need_images(work.manifest, results))
        generate(opened, generator=generator, cluster=cluster, progress=progress)
        while larger := with_more_images(opened, work.methods, progress=progress):  # only with plan.target: auto
            opened = larger
            generate(opened, generator=generator, cluster=cluster, progress=progress)
        signals.stop_here()
        train(opened, methods=work.methods, seeds=seeds, progress=progress)
        if choice := choose_classifier(opened, methods=work.methods, progress=progress):
            train(opened, methods=finalists(choice), seeds=seeds, progress=progress)
        notify_if(notify, cross_validate_results(opened, progress=progress))
        return report(opened, command=command, progress=progress)


@dataclass(frozen=True)
class Prepared:
    """A run before anything is written: its images, plan, resolved options and methods."""

    manifest: Manifest
    plan: Plan
    recipe: Recipe
    methods: Sequence[str]

    @property
    def real_only(self) -> list[str]:
        """The methods that learn from real images alone: cheap, and they may show that no others are needed."""
        return [name for name in self.methods if not uses_synthetic(name, self.recipe)]

    def parts(self, out: Path, seeds: Sequence[int]) -> list[Part]:
        """Return the parts of the run and their work, without the images that ``out`` has already."""
        num_to_make = num_unsettled(self.plan, folder=out, quality=self.recipe.quality)
        return run_parts(self.methods, seeds, self.recipe, self.plan, self.manifest, num_to_make=num_to_make)


def prepared(
    source: Source,
    out: Path,
    recipe: Recipe,
    methods: Sequence[str],
    *,
    preset: str,
    is_own: bool,
    notify: Callable[[str], None],
    progress: Progress,
) -> Prepared:
    """Read the images, plan, and check all that can be checked, so that a mistake leaves nothing behind.

    Args:
        source: images; see ``data.readers``.
        out: run directory, which may hold an unfinished run.
        recipe: all options.
        methods: names of ``METHODS``.
        preset: as for ``run``.
        is_own: whether the caller passes a generator, so that the recipe's model is not needed.
        notify: called with each warning.
        progress: called with the progress so far.
    """
    check_recipe(recipe)
    check_methods(methods, recipe)
    manifest = load_data(source, recipe, progress=progress)
    check_methods(methods, recipe, data=manifest)
    plan = planned_so_far(drafted_plan(manifest, recipe), out)
    recipe, sentence = resolve_pretraining(recipe, plan, out)
    notify_if(notify, sentence)
    methods = usual_methods(methods, recipe, manifest, preset=preset)
    check_methods(methods, recipe)
    check_networks(methods, recipe, plan)
    if not is_own and not is_settled(plan, folder=out, quality=recipe.quality):
        check_generator(recipe)
        if needs_clip(recipe.quality):
            find_model(recipe.quality.scorer_model, layout=CLIP)
    notify_if(notify, model_note(plan))
    notify_if(notify, amount_note(plan))
    return Prepared(manifest, plan, recipe, methods)


def notify_if(notify: Callable[[str], None], sentence: str) -> None:
    """Pass a sentence on unless it is empty."""
    if sentence:
        notify(sentence)


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
        target: ``uniform``, ``none``, a number of images, a share of the largest class, or numbers by class name.
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
        opened = write_run(manifest, plan, folder, recipe, source=place(data))
        generate(opened, generator=generator, progress=progress)
        check_complete(opened)
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
