"""Preview a command and its cost without generating or writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synaug.config import Recipe
from synaug.data import Manifest, class_counts, groups, joined, reading_account
from synaug.methods import check_methods, method_named, stage_options
from synaug.methods.training_time import trained_from
from synaug.pipeline import prepare as plan_stage
from synaug.pipeline.choosing import FROZEN, choosing_candidates, has_validation, num_folds
from synaug.pipeline.pretraining import resolve_pretraining, usual_methods
from synaug.pipeline.reporting import amount_note, model_note, plan_section
from synaug.pipeline.run_results import finished_results
from synaug.pipeline.scorer import with_scorer
from synaug.run_directory import Run
from synaug.runtime import Progress, can_train, silent, storage
from synaug.schemas.command_output import ChoosingPreview, FoldsPreview, PlanSummary, RunPreview
from synaug.synthesis.execution import num_unsettled, synthesis_summary, synthetic_manifest
from synaug.synthesis.generators.models import is_service, limit_at_hand, model_facts
from synaug.synthesis.planning import Pace, Plan, doubtful_names, estimate, prompt_notes, spread_counts
from synaug.synthesis.planning.prompt_account import prompt_account
from synaug.synthesis.quality import classes_without_judge

LAST_LAYERS = "last layers only"  # the length of a training without steps


def preview_plan(source: Path, recipe: Recipe, *, progress: Progress = silent) -> PlanSummary:
    """Return the content that ``plan`` would write: the numbers to generate, prompts, and disk space."""
    return plan_summary(*_planned(source, recipe, progress), recipe)


def _planned(source: Path, recipe: Recipe, progress: Progress) -> tuple[Plan, Manifest]:
    plan_stage.check_recipe(recipe, training=can_train())
    manifest = plan_stage.load_data(source, recipe, progress=progress)
    return plan_stage.drafted_plan(manifest, recipe), manifest


def plan_summary(plan: Plan, manifest: Manifest, recipe: Recipe, *, pace: Pace | None = None) -> PlanSummary:
    """Return the facts about a plan that users should see before paying for it; ``pace`` is the measured one."""
    quality = with_scorer(recipe, plan).quality
    counts = groups.summary(manifest.split("train"))["class_counts"]
    return {
        **plan_section(plan),
        "scorer": quality.scorer,
        "cannot_judge": classes_without_judge(quality, counts),
        "have": {cell.name: cell.have for cell in plan.cells},
        "test_images": len(manifest.split("test")),
        "validation_images": len(manifest.split("validation")),
        "data": reading_account(manifest),
        "estimate": estimate(plan, pace),
        "license": None if plan.generate.generator else model_facts(plan.options.model)["license"],
        "cost": float(recipe.api.price * plan.num_to_generate) if is_service(plan.model) else None,
        "price": float(recipe.api.price),
        "max_cost": None if recipe.api.max_cost is None else float(recipe.api.max_cost),
        "doubtful_names": doubtful_names(plan, recipe.plan.aliases),
        "model_note": model_note(plan),
        "amount_note": amount_note(plan),
        "long_prompts": _prompt_notes(plan),
        "prompts_file": plan.options.prompts,
        "prompt_counts": prompt_account(plan, limit_at_hand(plan.model)),
        "spread": {name: each["spread"] for name, each in spread_counts(plan).items()},
    }


def _prompt_notes(plan: Plan) -> list[str]:
    limit = limit_at_hand(plan.model)
    return [] if limit is None else prompt_notes(plan, limit)


def preview_run(
    source: Path,
    recipe: Recipe,
    methods: Sequence[str],
    *,
    num_seeds: int = 1,
    preset: str = "good",
    progress: Progress = silent,
) -> RunPreview:
    """Return the images that ``run`` would generate, and its trainings."""
    from synaug.methods.datasets import input_of
    from synaug.methods.training_time import seconds_of_features
    from synaug.runtime import chosen_device
    from synaug.training.networks import network_named

    check_methods(methods, recipe)
    plan, manifest = _planned(source, recipe, progress)
    check_methods(methods, recipe, data=manifest)
    recipe, start = resolve_pretraining(recipe, plan)
    methods = usual_methods(methods, recipe, manifest, preset=preset)
    _, side, _ = input_of(recipe.train.network, recipe.train, plan)
    progress("timing the training", 0, 1, "")
    rivals = choosing_candidates(methods, manifest, recipe, with_synthetic=plan.num_to_generate > 0)
    seconds = seconds_of_features([*methods, *rivals], recipe, plan)
    progress("timing the training", 1, 1, "")
    return {
        **plan_summary(plan, manifest, recipe),
        "methods": list(methods),
        "num_seeds": num_seeds,
        "network": network_named(recipe.train.network, side),
        "image_size": side,
        "length": _length(recipe, methods),
        "start": start,
        "pretrained": recipe.train.pretrained is True,
        "device": chosen_device(recipe.train.device).type,
        "training_seconds": None if seconds is None else num_seeds * _sum(seconds, methods, recipe),
        "finalist_seconds": None if seconds is None else num_seeds * _of_finalists(seconds, methods, rivals, recipe),
        "choosing": _choosing(rivals, manifest, recipe, seconds),
        "cross_validation": _cross_validation(methods, manifest, recipe, seconds),
    }


def _sum(seconds: dict[str, float], methods: Sequence[str], recipe: Recipe) -> float:
    return sum(seconds[name] for name in dict.fromkeys(trained_from(each, recipe) for each in methods))


def _of_finalists(seconds: dict[str, float], methods: Sequence[str], rivals: Sequence[str], recipe: Recipe) -> float:
    """Return the most seconds that the chosen classifier and its rival take if the methods do not include them."""
    known = {trained_from(each, recipe) for each in methods}
    more = {trained_from(each, recipe) for each in rivals} - known
    return sum(sorted((seconds[name] for name in more), reverse=True)[:2])


def _of_folds(seconds: dict[str, float], methods: Sequence[str], recipe: Recipe, share: float) -> list[float]:
    """Return the seconds of each training for all folds; ``share``: of its steps. Frozen features are computed once."""
    starts = dict.fromkeys(trained_from(each, recipe) for each in methods)
    frozen = {name for name in starts if method_named(name, recipe).schedule == FROZEN}
    return [seconds[name] * (1.0 if name in frozen else share) for name in starts]


def _choosing(
    names: Sequence[str], manifest: Manifest, recipe: Recipe, seconds: dict[str, float] | None
) -> ChoosingPreview:
    """Return how the classifier will be chosen: the number of candidates, folds (None: validation images), seconds."""
    options = recipe.choose
    folds = None if has_validation(manifest) else options.folds
    share = 1.0 if folds is None else folds * options.effort
    cost = None if seconds is None else sum(_of_folds(seconds, names, recipe, share))
    if cost is not None and folds is not None and options.budget is not None:
        cost = min(cost, 60 * options.budget)
    return {"candidates": len(names), "folds": folds, "seconds": cost}


def _cross_validation(
    methods: Sequence[str], manifest: Manifest, recipe: Recipe, seconds: dict[str, float] | None
) -> FoldsPreview:
    """Return the folds of the cross-validation, 0: none, and about how many seconds it takes, None if unknown.

    Which two methods ``auto`` trains again is known after the choice, so the two that take longest are counted.
    """
    folds = num_folds(manifest, recipe)
    if not folds or seconds is None:
        return {"folds": folds, "seconds": None if folds else 0.0}
    times = sorted(_of_folds(seconds, methods, recipe, folds * recipe.cross_validate.repeats), reverse=True)
    is_auto = recipe.cross_validate.folds == "auto"
    cost = sum(times[:2] if is_auto else times)
    too_long = is_auto and cost > 60 * recipe.cross_validate.minutes
    return {"folds": 0 if too_long else folds, "seconds": 0.0 if too_long else cost}


def _length(recipe: Recipe, methods: Sequence[str]) -> str:
    """Return how long the methods train their features: steps, epochs, or that they train last layers only."""
    starts = dict.fromkeys(trained_from(name, recipe) for name in methods)
    trained = [name for name in starts if method_named(name, recipe).schedule != FROZEN]
    if not trained:
        return LAST_LAYERS
    if recipe.train.stage1.steps:
        return f"{recipe.train.stage1.steps:,} steps"
    epochs = sorted({stage_options(name, recipe, 1).epochs for name in trained})
    return f"{' or '.join(f'{number:,}' for number in epochs)} epochs"


def preview_generation(run: Run) -> dict[str, object]:
    """Return the number of images that ``generate`` would still make, and of those without attempts left."""
    recipe, plan, out = run.recipe, run.plan, run.path
    counts, to_make = synthesis_summary(plan, out), num_unsettled(plan, folder=out, quality=recipe.quality)
    return {"model": plan.model, "planned": counts["requested"], "there": counts["accepted"],
            "to_make": to_make, "given_up": counts["missing"] - to_make}  # fmt: skip


def preview_training(
    run: Run, methods: Sequence[str], *, retrain: bool, seeds: Sequence[int] = (), recipe: Recipe | None = None
) -> dict[str, object]:
    """Return the methods that ``train`` or ``retrain`` would train, and the number of images.

    The seed and options are the run's own by default; ``recipe`` replaces the options.
    """
    from synaug.methods.datasets import input_of
    from synaug.training.networks import network_named

    recipe = recipe or run.recipe
    plan = run.plan
    check_methods(methods, recipe, data=run.manifest)
    wanted = [name for name in methods if retrain or method_named(name, recipe).starts_from is None]
    seeds = seeds or [recipe.seed]
    called = {(seed, name): f"{name} (seed {seed})" if len(seeds) > 1 else name for seed in seeds for name in wanted}
    there = {
        (seed, result["method"])
        for seed in seeds
        for result in finished_results(run, recipe.model_copy(update={"seed": seed}))
    }
    return {
        "real_images": len(run.manifest.split("train")),
        "synthetic_images": len(synthetic_manifest(plan, run.path)),
        "network": network_named(recipe.train.network, input_of(recipe.train.network, recipe.train, plan)[1]),
        "length": _length(recipe, wanted),
        "to_train": [text for key, text in called.items() if key not in there],
        "there": [text for key, text in called.items() if key in there],
    }


def preview_export(run: Run) -> dict[str, object]:
    """Return how many images ``export`` would write, per class, real and synthetic."""
    synthetic = synthetic_manifest(run.plan, run.path)
    real = run.manifest
    counts = class_counts(joined(real.split("train"), synthetic).labels, real.num_classes)
    return {
        "training_images": dict(zip(real.class_names, counts.tolist(), strict=True)),
        "test_images": len(real.split("test")),
        "synthetic_images": len(synthetic),
        "synthetic_bytes": storage.size(run.path / "synthetic"),
    }
