"""Report the progress of a run, even while it is running: stage, images, rate, time left, processes. Read-only."""

from __future__ import annotations

import math
import time

from synaug.methods import DEFAULT_METHODS
from synaug.pipeline.pretraining import usual_methods
from synaug.pipeline.run_results import finished_results
from synaug.run_directory import Run, RunPaths, method_and_seed
from synaug.runtime import storage
from synaug.schemas.command_output import Status, TrainingStatus
from synaug.synthesis.execution import is_settled, synthesis_summary


def status(run: Run) -> Status:
    """Return the stage of a run, its images and results, and the processes working on it.

    The rate is that of all images so far, times the number of processes that generate now; the time left is for the
    images. ``training`` is the training in progress, as of its last checkpoint, or None: with its own rate and time
    left. ``seeds`` has the run's own first, then the others with a finished result or a training in progress;
    ``results`` are those of the run's own seed.
    """
    recipe = run.recipe
    plan = run.plan
    counts = synthesis_summary(plan, run.path)
    results = {result["method"]: result["accuracy"] for result in finished_results(run, recipe)}
    holders = storage.holders(run.path)
    is_made = is_settled(plan, folder=run.path, quality=recipe.quality)
    workers = max(1, sum(name.startswith("worker-") for name in holders))
    rate = workers * counts["accepted"] / counts["seconds"] if counts["seconds"] else math.nan
    left = counts["missing"] / rate if rate else math.nan
    training = _training(run)
    if not is_made:
        generates = any(name.startswith(("worker-", "fitting")) for name in holders)
        # ``run`` trains on the real images before it generates any
        stage = "train" if training and holders and not generates else "generate"
    elif run.page.exists() and not holders:
        stage = "done"
    else:
        stage = "train" if len(results) < len(usual_methods(DEFAULT_METHODS, recipe, run.manifest)) else "report"
    if stage in ("generate", "done"):
        training = None
    return {
        "stage": "train" if training else stage,
        "model": recipe.plan.model,
        "images": {
            "planned": counts["requested"],
            "accepted": counts["accepted"],
            "rejected": sum(counts["rejected"].values()),
            "per_second": rate,
            "seconds_left": 0.0 if is_made else left,
        },
        "seeds": _seeds(run, recipe.seed, training),
        "training": training,
        "results": results,
        "report": str(run.page) if run.page.exists() else None,
        "held_by": holders,
    }


def _seeds(run: RunPaths, own: int, training: TrainingStatus | None) -> list[int]:
    others = {*run.seeds(), *([training["seed"]] if training else [])}
    return [own, *sorted(others - {own})]


def _training(run: RunPaths) -> TrainingStatus | None:
    """Return the progress of the last saved training; None if it is finished, or there is none."""
    from synaug.training import FILE, read_about

    saved = {
        path: path.lstat().st_mtime
        for folder in run.checkpoints.glob("*-*")
        if method_and_seed(folder.name) is not None
        for path in (folder / FILE, folder / "start" / FILE)
        if path.is_file()
    }
    if not saved:
        return None
    path = max(saved, key=lambda place: saved[place])
    about = read_about(path)
    done, steps = len(about["losses"]), about["steps"]
    if done >= steps:
        return None
    rate = done / about["seconds"] if about["seconds"] else math.nan
    name, seed = method_and_seed(path.relative_to(run.checkpoints).parts[0]) or ("", 0)
    since = time.time() - saved[path] if storage.holders(run.path) else 0.0  # training went on after it
    return {
        "method": name,
        "seed": seed,
        "steps": steps,
        "done": done,
        "per_second": rate,
        "seconds_left": max(0.0, (steps - done) / rate - since) if rate else math.nan,
    }
