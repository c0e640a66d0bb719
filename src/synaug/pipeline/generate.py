"""Generate the images that the plan of a run directory lacks, and check each."""

from __future__ import annotations

import functools
import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.config import Recipe
from synaug.errors import EnvironmentFault, IncompleteError, OptionError
from synaug.methods import forget_sets
from synaug.pipeline.measure_gap import unusable
from synaug.pipeline.part_names import IMAGES
from synaug.pipeline.review import check_applied
from synaug.pipeline.scorer import gate_embedder
from synaug.run_directory import Run, RunPaths, locked_model, write_model
from synaug.runtime import Progress, enter, signals, silent, storage
from synaug.runtime.files import directories
from synaug.runtime.security import trusted, trusting
from synaug.schemas import Synthesis
from synaug.schemas.command_output import Check
from synaug.synthesis.execution import is_settled, synthesis_summary, synthesize, synthetic_manifest
from synaug.synthesis.generators.models import is_service, model_facts
from synaug.synthesis.planning import Plan, check_prompt_length, class_captions, starts_from_real

if TYPE_CHECKING:
    from synaug.synthesis.execution import Cluster, PartMaker, SynthesisResult, SynthesisSummary
    from synaug.synthesis.generators import Generator, OwnGenerator
    from synaug.synthesis.generators.services import ServiceGenerator
    from synaug.synthesis.quality import Scorer


def generate(
    run: Run,
    *,
    generator: Generator | None = None,
    shard: tuple[int, int] = (0, 1),
    cluster: Cluster | None = None,
    progress: Progress = silent,
) -> SynthesisResult:
    """Generate the images that the plan of the run directory lacks, and check each.

    Args:
        run: the run whose images are generated.
        generator: replaces the model; see ``synthesis.generators.diffusion``.
        shard: ``(i, n)``: only the i-th of n parts.
        cluster: Ray cluster whose workers generate all parts.
        progress: called with the progress so far.
    """
    enter(progress, IMAGES)
    forget_sets(run)  # images in memory make room for the model
    plan, recipe = run.plan, run.recipe
    check_applied(run)
    if cluster is None:
        return image_maker(run, generator=generator, progress=progress)(shard, progress)
    from synaug.synthesis.execution import synthesize_on_cluster

    begin = functools.partial(worker_image_maker, run.path.resolve(), plan.digest, generator=generator, trust=trusted())
    return synthesize_on_cluster(
        plan, begin, folder=run.path, cluster=cluster, device=recipe.generate.device, quality=recipe.quality,
        progress=progress,
    )  # fmt: skip


def worker_image_maker(
    path: Path,
    plan_digest: str,
    *,
    generator: Generator | None = None,
    trust: Collection[str] = (),
    progress: Progress = silent,
) -> PartMaker:
    """Open the run directory in a worker process, possibly on another machine, and return its ``image_maker``.

    Code of the user's own runs in another process, too, if it is in ``trust``; see ``runtime.trust``.

    Raises:
        EnvironmentFault: this machine does not see the run directory, or sees another one.
    """
    there = RunPaths(directories.own(path)).plan_file.is_file()
    if not there or (run := Run.open(path)).plan.digest != plan_digest:
        raise EnvironmentFault(
            f"The machine {platform.node()} cannot see the run directory {path}, or sees another "
            "plan there. All machines must share its file system, under the same path."
        )
    return image_maker(run, generator=generator, trust=trust, progress=progress)


def image_maker(
    run: Run, *, generator: Generator | None = None, trust: Collection[str] = (), progress: Progress = silent
) -> PartMaker:
    """Return a function that generates parts of the plan in this process; it loads the model once, when needed."""
    from synaug.synthesis.generators import make_guides
    from synaug.synthesis.quality import make_gates

    plan, recipe, manifest, out = run.plan, run.recipe, run.manifest, run.path
    early, late = (
        recipe.quality.model_copy(update={"gates": tuple(n for n in recipe.quality.gates if (n == "collapse") is last)})
        for last in (False, True)
    )
    scorer = _scorer(run, recipe)
    embed = gate_embedder(recipe)
    gates = make_gates(manifest, early, seed=recipe.seed, scorer=scorer, progress=progress, embed=embed)
    guides, loaded = make_guides(plan, manifest), [generator] if generator else []

    def make(shard: tuple[int, int], progress: Progress) -> SynthesisResult:
        if not loaded and not is_settled(plan, folder=out, quality=recipe.quality, shard=shard):
            if scorer is not None:
                scorer([])  # so that a missing scorer raises before anything is generated
            with trusting(*trust):
                loaded.append(loaded_generator(run, recipe, progress=progress))
        accepted = synthetic_manifest(plan, out) if late.gates else None  # current, since others may have added images
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


def _scorer(run: Run, recipe: Recipe) -> Scorer | None:
    """Return the model that ``off_class`` uses, if any; it is recorded in the lock file once it is loaded."""
    from synaug.synthesis.quality import chosen_scorer

    return chosen_scorer(
        recipe.quality, class_captions(run.plan), device=recipe.generate.device,
        found=functools.partial(write_model, run, role="scorer"),
    )  # fmt: skip


def check_generator(recipe: Recipe) -> None:
    """Check that the model of a recipe can be used, without generating anything.

    Raises:
        OptionError: an option of the service is missing, or it does not support the plan.
        EnvironmentFault: the model is not available, or the key of the service is not set.
    """
    from synaug.synthesis.generators import check_own_generator
    from synaug.synthesis.generators.models import find_model
    from synaug.synthesis.generators.services import load_service

    if recipe.generate.generator is not None:
        check_own_generator(recipe.generate.generator)
        return
    if not is_service(recipe.plan.model):
        find_model(recipe.plan.model)
        return
    _check_text_only(recipe)
    load_service(recipe.plan.model, recipe.api, negative_prompt=recipe.plan.negative_prompt)


def _check_text_only(recipe: Recipe) -> None:
    """Raise an OptionError for a plan with images to start from: services accept none."""
    if recipe.plan.variant != "text":
        raise OptionError(f"{recipe.plan.model} generates from text only; plan.variant is {recipe.plan.variant!r}.")
    if recipe.generate.controlnet is not None:
        raise OptionError(f"{recipe.plan.model} does not support generate.controlnet. Leave it out.")


def loaded_generator(run: Run, recipe: Recipe, *, progress: Progress = silent) -> Generator:
    """Return the diffusion model of the plan, fitted to the real images first if the plan requires it.

    Raises:
        OptionError: a prompt is so long that its class would not reach the model.
    """
    from synaug.synthesis.generators import fit_model, load_generator
    from synaug.synthesis.generators.models import limit_at_hand

    plan = run.plan
    if (replacement := replaced_model(run.path, recipe, plan)) is not None:
        write_model(run, replacement.about)
        return replacement
    model = _source_of(run, recipe.plan.model)
    if limit := limit_at_hand(model):
        check_prompt_length(plan, limit)
    if recipe.plan.variant == "fitted":
        with storage.lock(run.path, name="fitting"):
            fitted = fit_model(
                plan,
                run.manifest,
                folder=run.path,
                options=recipe.fit,
                device=recipe.generate.device,
                progress=progress,
            )
            model = str(fitted)
    progress("loading the generator", 0, 1, model)
    with signals.at_once():
        generator = load_generator(
            model, recipe.generate, variant=recipe.plan.variant, negative_prompt=recipe.plan.negative_prompt
        )
    progress("loading the generator", 1, 1, model)
    check_prompt_length(plan, generator.prompt_limit)
    weights = {"model": recipe.plan.model, "weights": generator.about["weights"]}
    # The weights are those of the fitted model, all other facts those of its base model.
    if recipe.plan.variant == "fitted":
        write_model(run, model_facts(recipe.plan.model) | weights)
    else:
        write_model(run, dict(locked_model(run)) | generator.about | weights)
    return generator


def replaced_model(
    out: Path | None, recipe: Recipe, plan: Plan, *, keep: bool = False
) -> OwnGenerator | ServiceGenerator | None:
    """Return the generator that replaces a diffusion model: the code or the service that the recipe names.

    Args:
        out: folder that keeps the paid images of a service; None: memory.
        recipe: the options.
        plan: the images to generate.
        keep: see ``load_service``.
    """
    from synaug.synthesis.generators import load_own_generator
    from synaug.synthesis.generators.services import load_service

    if recipe.generate.generator is not None:
        return load_own_generator(
            recipe.generate.generator, class_names=plan.class_names, image_size=plan.image_size,
            device=recipe.generate.device,
        )  # fmt: skip
    if not is_service(recipe.plan.model):
        return None
    _check_text_only(recipe)
    negative = recipe.plan.negative_prompt
    service = load_service(recipe.plan.model, recipe.api, run=out, negative_prompt=negative, keep=keep)
    service.check_negative(*(each.negative_prompt for each in plan.written))
    return service


def _source_of(run: RunPaths, model: str) -> str:
    """Return the source to load the model from: its folder when the run was planned, if that still exists.

    A relative path refers to the directory in which the run was planned, not to the current one.
    """
    planned = locked_model(run).get("path")
    return planned if planned is not None and Path(planned).is_dir() else model


def rejections(run: Run, rejected: Mapping[str, int]) -> dict[str, int]:
    """Return the rejected images by reason, with zeros of ``copy`` and ``leak`` if images start from real ones."""
    plan, gates = run.plan, run.recipe.quality.gates
    shown = [gate for gate in ("copy", "leak") if gate in gates] if starts_from_real(plan) else []
    return dict.fromkeys(shown, 0) | dict(rejected)


def check_complete(run: Run, counts: SynthesisSummary | Synthesis | None = None) -> None:
    """Raise an IncompleteError if the images are unusable, or more are missing than ``quality.max_missing`` allows.

    Args:
        run: the run whose images are counted.
        counts: the images of one shard, or those of the report; default: those of all shards, read from the run.
    """
    counts = counts or synthesis_summary(run.plan, run.path)
    allowed = run.recipe.quality.max_missing
    if counts["missing"] > allowed * counts["requested"]:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts["rejected"].items())
        raise IncompleteError(
            f"{counts['missing']:,} of {counts['requested']:,} images are missing because every attempt was rejected "
            f"({reasons}); at most {100 * allowed:g} % may be missing. Look at {run.path / 'rejected'}, then change "
            "the prompts or the model, or allow more with quality.max_attempts or quality.max_missing in the recipe."
        )
    if reason := unusable(run):
        raise IncompleteError(
            f"{reason} Do not use a classifier that learned from them. Look at {run.path / 'synthetic'}, then choose a "
            "model that knows your classes with --model, or rename them in prompts with --aliases."
        )


def check(run: Run, *, gates: Sequence[str] | None = None, reject: bool = False, progress: Progress = silent) -> Check:
    """Re-run the gates on the accepted images; return the number checked and the failures by reason.

    Args:
        run: a run with synthetic images.
        gates: names of ``quality.GATES``; default: those of the recipe.
        reject: withdraw failing images, so that ``generate`` replaces them; otherwise nothing changes.
        progress: called with the progress so far.
    """
    from synaug.synthesis.execution import count_failed, withdraw
    from synaug.synthesis.execution.recheck import recheck
    from synaug.synthesis.quality import make_gates

    plan, recipe, out = run.plan, run.recipe, run.path
    quality = recipe.quality
    if gates is not None:
        quality = quality.model_copy(update={"gates": tuple(gates)})
    with storage.lock(out, name="worker-0-of-1"):
        changed = recipe.model_copy(update={"quality": quality})
        asked = make_gates(
            run.manifest, quality, seed=recipe.seed, scorer=_scorer(run, changed),
            progress=progress, embed=gate_embedder(changed),
        )  # fmt: skip
        num_checked = len(synthetic_manifest(plan, out))
        failed = list(recheck(plan, out, asked, progress=progress))
        if reject:
            withdraw(out, failed)
    rejected, by_class = count_failed(failed)
    return {"checked": num_checked, "rejected": rejected, "rejected_by_class": by_class}
