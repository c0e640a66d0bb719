"""Gather the content of a run directory into ``report.json`` and, from that, ``report.html``."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Sequence
from typing import cast

from synaug.config import Recipe
from synaug.data import Manifest, groups, joined, reading_account
from synaug.data.similarity import duplicate_notes
from synaug.errors import DataError
from synaug.methods import method_named
from synaug.pipeline.choosing import compared, leading_column, metric_of, read_amount
from synaug.pipeline.generate import rejections
from synaug.pipeline.measure_gap import read_gap, shortcuts, unusable
from synaug.pipeline.part_names import REPORT
from synaug.pipeline.reporting.notes import warnings
from synaug.pipeline.reporting.report_examples import confusions, loss_curves, report_images
from synaug.pipeline.reporting.track_report import track_report
from synaug.pipeline.run_results import (
    check_none_removed,
    chosen_result,
    finished_results,
    read_choice,
    read_cross_validation,
    results_of_all_seeds,
)
from synaug.report import read_report
from synaug.run_directory import Run, RunPaths, read_lock
from synaug.runtime import Progress, enter, machine, silent, storage
from synaug.runtime.security import shell_word
from synaug.schemas import Amount, CrossValidation, Data, Report, Result, Synthesis, Training
from synaug.schemas import Plan as PlanSection
from synaug.schemas.report_file import Review
from synaug.synthesis.execution import synthetic_manifest
from synaug.synthesis.planning import Plan, called, sample_slots
from synaug.synthesis.quality import classes_without_judge


def report(run: Run, *, command: str = "", progress: Progress = silent) -> Report:
    """Write ``report.html`` and, last of all, ``report.json``; return the latter's content.

    Args:
        run: a run with results.
        command: shell command of the run; default: that of an earlier report.
        progress: notified that this part of the run begins.

    Raises:
        DataError: no method has a result yet, or that of a classifier was removed.
    """
    from synaug.data.export import SUFFIX_OF
    from synaug.report import make_report, over_seeds, usage_lines

    enter(progress, REPORT)
    lock = read_lock(run)
    recipe = run.recipe
    check_none_removed(run)
    own, results = finished_results(run, recipe), results_of_all_seeds(run, recipe)
    if not own:
        raise DataError(f"{run.path} has no results to report. Train first: synaug train {shell_word(run.path)}")
    command = command or _earlier_command(run)
    manifest = run.manifest
    plan = run.plan
    data = data_section(manifest, lock["source"])
    synthesis, gap = synthesis_section(run), read_gap(run)
    chosen, choice = chosen_result(own, run), read_choice(run)
    learned_from_unusable = bool(unusable(run)) and chosen["uses_synthetic"]
    final = chosen["method"]
    leading = leading_column(metric_of(recipe, manifest), manifest.split("test"))
    content: Report = {
        "schema_version": 1,
        "synaug_version": lock["versions"]["synaug"],
        "name": run.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
        "versions": lock["versions"],
        "seconds": (synthesis["seconds"] or 0.0) + training_seconds(results, recipe) + choice.get("seconds", 0.0),
        "disk": disk_section(run),
        "data": data,
        "plan": plan_section(plan),
        "synthesis": synthesis,
        "training": training_section(recipe, plan, [result["method"] for result in own])
        | {"seconds": training_seconds(results, recipe), "curves": loss_curves(run, own)},
        "results": results,
        "amount": cast(Amount, {key: value for key, value in read_amount(run.path).items() if key != "right"}),
        "choice": choice,
        "cross_validation": _cross_validation(run, own),
        "comparison": {} if unusable(run) else compared(run, results, final, leading),
        "seeds": over_seeds(results),
        "confusions": confusions(run, own, manifest.class_names),
        "gap": gap.get("gap", {}),
        "classifier": "" if learned_from_unusable else final,
        "audit": gap.get("audit", {}),
        "cannot_judge": classes_without_judge(recipe.quality, data["class_counts"]),
        "warnings": duplicate_notes(manifest.duplicates)
        + warnings(plan, synthesis)
        + shortcuts(joined(manifest.split("train"), synthetic_manifest(plan, run.path))),
        "repeat": [command] if command else [],
        "usage": usage_lines(run.path, suffix=SUFFIX_OF[plan.encoding.format]),
    }
    storage.copy_file(run.method_predictions(final, recipe.seed), run.predictions)
    pictures = report_images(run)
    storage.write_text(run.page, make_report(json.loads(json.dumps(storage.without_nan(content))), images=pictures))
    storage.write_json(run.report, content)
    track_report(run, recipe, content, pictures)
    return content


def _cross_validation(run: Run, results: Sequence[Result]) -> CrossValidation:
    """Return the cross-validation; empty if one of its methods learned from images that are unusable."""
    found = read_cross_validation(run)
    judged = {result["method"] for result in results if result["uses_synthetic"]} & set(found.get("methods") or {})
    return {} if judged and unusable(run) else found


def is_reported(run: Run, recipe: Recipe) -> bool:
    """Return whether the report matches the existing results, or there are none."""
    results = results_of_all_seeds(run, recipe)
    earlier = _earlier_report(run)
    return not results or (earlier is not None and earlier["results"] == results)


def _earlier_report(run: RunPaths) -> Report | None:
    """Return the run's existing report; None if there is none or if it is damaged, so that it is rewritten."""
    try:
        return read_report(run.report)
    except DataError:
        return None


def _earlier_command(run: RunPaths) -> str:
    earlier = _earlier_report(run)
    return earlier["command"] if earlier and isinstance(earlier.get("command"), str) else ""


def disk_section(run: RunPaths) -> dict[str, int]:
    """Return the bytes used by the images, the trained networks and all files of the run."""
    folders = {"synthetic": run.path / "synthetic", "checkpoints": run.checkpoints}
    return {name: storage.size(folder) for name, folder in (folders | {"all": run.path}).items()}


def training_seconds(results: Sequence[Result], recipe: Recipe) -> float:
    """Return the total seconds of all methods; features shared by two methods count once."""
    seconds = {(result["method"], result["seed"]): result["seconds"] for result in results}
    shared = ((method_named(name, recipe).starts_from or "", seed) for name, seed in seconds)
    return sum(seconds.values()) - sum(seconds.get(start, 0.0) for start in shared)


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


def synthesis_section(run: Run) -> Synthesis:
    """Return the report's ``synthesis``: the generated images, and the rejected ones with reasons."""
    from synaug.synthesis.execution import read_tally, synthesis_summary

    tally, counts = read_tally(run.plan, run.path), synthesis_summary(run.plan, run.path)
    return {
        "requested": counts["requested"],
        "accepted": counts["accepted"],
        "rejected": rejections(run, counts["rejected"]),
        "missing": counts["missing"],
        "seconds": counts["seconds"],
        "images_per_second": counts["accepted"] / counts["seconds"] if counts["seconds"] else math.nan,
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
