"""Gather the content of a run directory into ``report.json`` and, from that, ``report.html``."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from synaug.config import EMBEDDED, Recipe
from synaug.data import Manifest, groups, joined, reading_account
from synaug.data.similarity import duplicate_notes
from synaug.errors import DataError
from synaug.methods import METHODS, images_digest, is_current, is_of_options, method_named, read_result, registered
from synaug.pipeline.choosing import compared, read_choice, read_cross_validation
from synaug.pipeline.generate import rejections
from synaug.pipeline.measure_gap import read_gap, shortcuts, unusable
from synaug.pipeline.report_examples import confusions, loss_curves, report_images
from synaug.pipeline.scorer import unknown_to_embedded
from synaug.pipeline.track_report import track_report
from synaug.report import read_report
from synaug.run_directory import Run, RunPaths, read_lock
from synaug.runtime import machine, storage
from synaug.runtime.security import shell_word
from synaug.schemas import CrossValidation, Data, Report, Result, Synthesis, Training
from synaug.schemas import Plan as PlanSection
from synaug.schemas.report import Review
from synaug.synthesis.execution import synthetic_manifest
from synaug.synthesis.planning import Plan, called, sample_slots
from synaug.synthesis.quality import classes_without_judge

IN_DOMAIN = (
    "The embedded generator is in-domain: it was trained on other images of Fashion-MNIST, none of which is in the "
    "demo's training or test set, and plays the part that web-scale pretraining plays for a large model. What a "
    "large model does for your classes has to be measured on them."
)
OUT_OF_DOMAIN = (
    "The embedded generator knows the ten kinds of clothes of Fashion-MNIST and nothing else; some of your classes are "
    "not among them. Results with synthetic images say little here: use a model that knows your classes."
)


def report(out: Path, *, command: str = "") -> Report:
    """Write ``report.html`` and, last of all, ``report.json``; return the latter's content.

    Args:
        out: run directory with results.
        command: shell command of the run; default: that of an earlier report.

    Raises:
        DataError: no method has a result yet.
    """
    from synaug.data.export import SUFFIX_OF
    from synaug.report import make_report, over_seeds, usage_lines

    run_folder = Run.open(out)
    lock = read_lock(run_folder)
    recipe = run_folder.recipe
    own, results = finished_results(run_folder, recipe), results_of_all_seeds(run_folder, recipe)
    if not own:
        raise DataError(f"{out} has no results to report. Train first: synaug train {shell_word(out)}")
    command = command or _earlier_command(run_folder)
    manifest = run_folder.manifest
    plan = run_folder.plan
    data = data_section(manifest, lock["source"])
    made, gap = synthesis_section(plan, out), read_gap(run_folder)
    chosen = chosen_result(own, run_folder)
    final = chosen["method"]
    content: Report = {
        "schema_version": 1,
        "synaug_version": lock["versions"]["synaug"],
        "name": run_folder.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
        "versions": lock["versions"],
        "seconds": (made["seconds"] or 0.0) + training_seconds(results, recipe) + read_choice(out).get("seconds", 0.0),
        "disk": disk_section(run_folder),
        "data": data,
        "plan": plan_section(plan),
        "synthesis": made,
        "training": training_section(recipe, plan, [result["method"] for result in own])
        | {"seconds": training_seconds(results, recipe), "curves": loss_curves(run_folder, own)},
        "results": results,
        "choice": read_choice(out),
        "cross_validation": _cross_validation(run_folder, own),
        "comparison": {} if unusable(run_folder) else compared(run_folder, results, final),
        "seeds": over_seeds(results),
        "confusions": confusions(run_folder, own, manifest.class_names),
        "gap": gap.get("gap", {}),
        "classifier": "" if unusable(run_folder) and chosen["uses_synthetic"] else final,
        "audit": gap.get("audit", {}),
        "cannot_judge": classes_without_judge(recipe.quality, data["class_counts"]),
        "warnings": duplicate_notes(manifest.duplicates)
        + warnings(plan, made)
        + shortcuts(joined(manifest.split("train"), synthetic_manifest(plan, out))),
        "repeat": [command] if command else [],
        "usage": usage_lines(out, suffix=SUFFIX_OF[plan.encoding.format]),
    }
    storage.copy_file(run_folder.method_predictions(final, recipe.seed), run_folder.predictions)
    pictures = report_images(manifest, plan, out)
    storage.write_text(
        run_folder.page, make_report(json.loads(json.dumps(storage.without_nan(content))), images=pictures)
    )
    storage.write_json(run_folder.report, content)
    track_report(run_folder, recipe, content, pictures)
    return content


def _cross_validation(run_folder: RunPaths, results: Sequence[Result]) -> CrossValidation:
    """Return the cross-validation; empty if one of its methods learned from images that are unusable."""
    found = read_cross_validation(run_folder.path)
    judged = {result["method"] for result in results if result["uses_synthetic"]} & set(found.get("methods") or {})
    return {} if judged and unusable(run_folder) else found


def is_reported(run_folder: Run, recipe: Recipe) -> bool:
    """Return whether the report matches the existing results, or there are none."""
    results = results_of_all_seeds(run_folder, recipe)
    earlier = _earlier_report(run_folder)
    return not results or (earlier is not None and earlier["results"] == results)


def _earlier_report(run_folder: RunPaths) -> Report | None:
    """Return the run's existing report; None if there is none or if it is damaged, so that it is rewritten."""
    try:
        return read_report(run_folder.report)
    except DataError:
        return None


def _earlier_command(run_folder: RunPaths) -> str:
    earlier = _earlier_report(run_folder)
    return earlier["command"] if earlier and isinstance(earlier.get("command"), str) else ""


def disk_section(run_folder: RunPaths) -> dict[str, int]:
    """Return the bytes used by the images, the trained networks and all files of the run."""
    folders = {"synthetic": run_folder.path / "synthetic", "checkpoints": run_folder.checkpoints}
    return {name: storage.size(folder) for name, folder in (folders | {"all": run_folder.path}).items()}


def training_seconds(results: Sequence[Result], recipe: Recipe) -> float:
    """Return the total seconds of all methods; features shared by two methods count once."""
    seconds = {(result["method"], result["seed"]): result["seconds"] for result in results}
    shared = ((method_named(name, recipe).starts_from or "", seed) for name, seed in seconds)
    return sum(seconds.values()) - sum(seconds.get(start, 0.0) for start in shared)


def model_note(plan: Plan) -> str:
    """Return a warning, before generation, that the model does not know the classes; empty if it may."""
    return OUT_OF_DOMAIN if plan.model == EMBEDDED and unknown_to_embedded(plan) else ""


def warnings(plan: Plan, made: Synthesis) -> list[str]:
    """Return warnings for readers of the results."""
    notes = []
    if plan.model == EMBEDDED:
        notes.append(model_note(plan) or IN_DOMAIN)
    if made["missing"]:
        notes.append(
            f"{made['missing']:,} of {made['requested']:,} planned images are missing: every attempt was rejected. "
            "The set is less balanced than planned."
        )
    overruled = made.get("review", {}).get("overruled", {})
    for reason in sorted(overruled.keys() & {"copy", "leak"}):
        what = "the training" if reason == "copy" else "the test"
        notes.append(
            f"A person accepted {overruled[reason]:,} images that look like copies of {what} images. "
            + ("Results on the test images may be too good." if reason == "leak" else "They add little that is new.")
        )
    return notes


def finished_results(run_folder: RunPaths, recipe: Recipe) -> list[Result]:
    """Return the results with these options, in the order of ``METHODS``, then those of the recipe's own variants.

    Results with other options, which ``train --set`` changes, are left out until they are trained again.
    """
    names = dict.fromkeys([*METHODS, *recipe.methods])
    finished = [name for name in names if run_folder.result(name, recipe.seed).exists()]
    found = [read_result(run_folder, name, recipe.seed) for name in finished]
    current = [result for result in found if is_of_options(result, recipe)]
    # results of older versions lack what is registered
    return [{**registered(result["method"], recipe), **result} for result in current]


def chosen_result(results: Sequence[Result], run_folder: RunPaths) -> Result:
    """Return the result of the run's final classifier, which ``predictions.csv`` and ``synaug predict`` use.

    It is the chosen one; without a choice, that of ``synaug``, or the last. If the synthetic images are unusable, it is
    one trained on real images alone.
    """
    by_method = {result["method"]: result for result in results}
    made = by_method.get(read_choice(run_folder.path).get("chosen", ""))
    if made is not None and not (made["uses_synthetic"] and unusable(run_folder)):
        return made
    if unusable(run_folder):
        alone = [each for each in results if not each["uses_synthetic"] and not each["is_bound"]]
        if alone:
            return max(alone, key=lambda each: each["accuracy"] or 0.0)
    return by_method.get("synaug", results[-1])


def results_of_all_seeds(run_folder: Run, recipe: Recipe) -> list[Result]:
    """Return the results of the run's own seed, then those of the same methods with each other seed.

    For other seeds, results with other options or images are left out.
    """
    own = finished_results(run_folder, recipe)
    others = [recipe.model_copy(update={"seed": seed}) for seed in run_folder.seeds() if seed != recipe.seed]
    if not own or not others:
        return own
    synthetic = images_digest(synthetic_manifest(run_folder.plan, run_folder.path))
    names = [result["method"] for result in own]
    return own + [
        result
        for other in others
        for result in finished_results(run_folder, other)
        if result["method"] in names and is_current(run_folder, result["method"], other, synthetic)
    ]


def data_section(manifest: Manifest, source: str) -> Data:
    """Return the report's ``data``: the real images."""
    summary = groups.summary(manifest.split("train"))
    test = manifest.split("test")
    tested = groups.class_counts(test.labels, manifest.num_classes)
    return {
        "source": source,
        "num_test_images": len(test),
        "num_validation_images": len(manifest.split("validation")),
        "test_class_counts": dict(zip(manifest.class_names, tested.tolist(), strict=True)),
        "test_group_counts": groups.summary(test)["group_counts"] if len(test) else {},
        "class_names": list(manifest.class_names),
        "quarantined": [(item.path, item.reason) for item in manifest.quarantined],
        **summary,
        **reading_account(manifest),
    }


def plan_section(plan: Plan) -> PlanSection:
    """Return the report's ``plan``: the missing images."""
    prompts: dict[str, list[str]] = {}
    for slot in sample_slots(plan, per_cell=3):
        prompts.setdefault(slot.cell.name, []).append(slot.prompt)
    return {
        "by": plan.options.by,
        "target": plan.options.target,
        "variant": plan.options.variant,
        "model": plan.model,
        "template": plan.options.template,
        "class_of": {cell.name: plan.class_names[cell.label] for cell in plan.cells},
        "num_to_generate": {cell.name: cell.num_to_generate for cell in plan.cells},
        "digest": plan.digest,
        "called": called(plan),
        "prompts": prompts,
    }


def synthesis_section(plan: Plan, out: Path) -> Synthesis:
    """Return the report's ``synthesis``: the generated images, and the rejected ones with reasons."""
    from synaug.synthesis.execution import read_tally, synthesis_summary

    tally, made = read_tally(plan, out), synthesis_summary(plan, out)
    return {
        "requested": made["requested"],
        "accepted": made["accepted"],
        "rejected": rejections(out, made["rejected"]),
        "missing": made["missing"],
        "seconds": made["seconds"],
        "images_per_second": made["accepted"] / made["seconds"] if made["seconds"] else math.nan,
        "model": tally.model,
        "review": cast("Review", tally.review),
        "accepted_by_class": dict(tally.accepted),
        "rejected_by_class": {name: dict(reasons) for name, reasons in tally.rejected.items()},
    }


def training_section(recipe: Recipe, plan: Plan, methods: Sequence[str]) -> Training:
    """Return the report's ``training``: how the classifiers were trained."""
    from synaug.methods.datasets import input_of
    from synaug.training.networks import network_named

    stage = recipe.train.stage1
    return {
        "network": network_named(recipe.train.network, input_of(recipe.train.network, recipe.train, plan)[1]),
        "steps": stage.steps,
        "epochs": None if stage.steps else stage.epochs,
        "batch_size": stage.batch_size,
        "options": recipe.train.model_dump(mode="json"),
        "overrides": {
            name: recipe.methods[name].model_dump(exclude_defaults=True) for name in methods if name in recipe.methods
        },
        "methods": {name: method_named(name, recipe).description for name in methods},
    }
