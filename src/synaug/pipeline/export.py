"""Write a run's real and synthetic images as a separate data set, with its card."""

from __future__ import annotations

import datetime
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from synaug.config import Recipe
from synaug.data.export import export_dataset
from synaug.pipeline.review import check_applied, check_present
from synaug.run_directory import Run, RunPaths, locked_model
from synaug.runtime import Progress, silent
from synaug.runtime.security import is_machine_path, portable_name
from synaug.synthesis.execution import manifest_of, synthesis_summary
from synaug.synthesis.execution.provenance import provenance
from synaug.synthesis.planning import Plan, prompts_origin

OWN_TEXTS = ("id", "path", "label", "prompt", "modifier", "sha256", "guide")  # columns without paths of this machine


def export(out: Path, target: Path, *, license: str | None = None, progress: Progress = silent) -> None:
    """Write the run's real and synthetic images as a tree that both torchvision and ``datasets`` load.

    Args:
        out: run directory with its synthetic images.
        target: a folder that does not exist or is empty.
        license: of the set, as spelled on the Hub, for the data card; default: unknown.
        progress: called with the progress so far.

    Raises:
        OptionError: ``target`` is not empty.
    """
    run_folder = Run.open(out)
    plan = run_folder.plan
    check_applied(plan, out)
    told = without_paths(provenance(plan, out).assign(variant=plan.options.variant))
    made = manifest_of(told, plan, out)
    check_present(made, out)
    export_dataset(
        run_folder.manifest,
        made,
        target,
        provenance=told,
        card={"name": run_folder.name, "license": license}
        | _card_facts(out, plan, run_folder.recipe)
        | _origin(run_folder),
        progress=progress,
    )


def without_paths(told: pd.DataFrame) -> pd.DataFrame:
    """Return a ``provenance`` table in which paths of this machine are reduced to names without folders."""

    def portable(value: object) -> object:
        return portable_name(value) if isinstance(value, str) and is_machine_path(value) else value

    texts = [name for name in told.columns if name not in OWN_TEXTS and not is_numeric_dtype(told[name])]
    return told.assign(**{name: told[name].map(portable) for name in texts})


def _origin(run_folder: RunPaths) -> dict[str, str | None]:
    """Return the date and the generator for the data card; local models are named without their path."""
    model = locked_model(run_folder)
    return {
        "created": datetime.date.today().isoformat(),
        "generator": portable_name(str(model.get("model"))),
        "generator revision": model.get("revision"),
        "generator license": model.get("license"),
    }


def _card_facts(out: Path, plan: Plan, recipe: Recipe) -> dict[str, object]:
    """Return the facts about the synthetic images for the data card."""
    made = synthesis_summary(plan, out)
    rejected = ", ".join(f"{reason} {number:,}" for reason, number in made["rejected"].items()) or "none"
    return {
        "synthetic images": f"{made['accepted']:,} accepted of {made['requested']:,} planned",
        "rejected attempts": rejected,
        "checks": ", ".join(recipe.quality.gates),
        "prompts": prompts_origin(plan),
        "variant": plan.options.variant,
        "seed": plan.options.seed,
    }
