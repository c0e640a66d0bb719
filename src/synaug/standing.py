"""Say how far a run is, also while it goes on: stage, images, rate, time left, and who holds it.  Reads only."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from synaug import storage
from synaug.methods import DEFAULT_METHODS
from synaug.reporting import finished_results
from synaug.runs import locked_recipe, open_run
from synaug.synthesis import plan as planning
from synaug.synthesis.synthesize import is_settled, synthesis_summary


def status(out: Path) -> dict[str, Any]:
    """Return the stage of a run, its images and results, and the processes at work on it.

    The rate is that of all images so far, times the processes that make some now; the time left is for the images.
    """
    run_folder = open_run(out)
    recipe = locked_recipe(run_folder)
    plan = planning.read_plan(run_folder.plan)
    made = synthesis_summary(plan, out)
    results = {result["method"]: result["accuracy"] for result in finished_results(run_folder, recipe)}
    holders = storage.holders(out)
    is_made = is_settled(plan, folder=out, quality=recipe.quality)
    workers = max(1, sum(name.startswith("worker-") for name in holders))
    rate = workers * made["accepted"] / made["seconds"] if made["seconds"] else math.nan
    left = made["missing"] / rate if rate else math.nan
    if not is_made:
        stage = "generate"
    elif run_folder.page.exists() and not holders:
        stage = "done"
    else:
        stage = "train" if len(results) < len(DEFAULT_METHODS) else "report"
    return {
        "stage": stage,
        "model": recipe.plan.model,
        "images": {
            "planned": made["requested"],
            "accepted": made["accepted"],
            "rejected": sum(made["rejected"].values()),
            "per_second": rate,
            "seconds_left": 0.0 if is_made else left,
        },
        "results": results,
        "report": str(run_folder.page) if run_folder.page.exists() else None,
        "held_by": holders,
    }
