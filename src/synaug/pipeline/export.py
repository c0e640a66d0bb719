"""Write a run's real and synthetic images as a separate data set, with its card."""

from __future__ import annotations

import datetime
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from synaug.data.export import export_dataset
from synaug.pipeline.review import check_applied, check_present
from synaug.run_directory import Run, RunPaths, locked_model
from synaug.runtime import Progress, silent
from synaug.runtime.security import is_machine_path, portable_name
from synaug.synthesis.execution import manifest_of, synthesis_summary
from synaug.synthesis.execution.provenance import provenance
from synaug.synthesis.planning import prompts_origin

OWN_TEXTS = ("id", "path", "label", "prompt", "modifier", "sha256", "guide")  # columns without paths of this machine


def export(run: Run, target: Path, *, license: str | None = None, progress: Progress = silent) -> None:
    """Write the run's real and synthetic images as a tree that both torchvision and ``datasets`` load.

    Args:
        run: with its synthetic images.
        target: a folder that does not exist or is empty.
        license: of the set, as spelled on the Hub, for the data card; default: unknown.
        progress: called with the progress so far.

    Raises:
        OptionError: ``target`` is not empty.
    """
    plan = run.plan
    check_applied(run)
    history = without_paths(provenance(plan, run.path).assign(variant=plan.options.variant))
    synthetic = manifest_of(history, plan, run.path)
    check_present(synthetic, run)
    export_dataset(
        run.manifest,
        synthetic,
        target,
        provenance=history,
        card={"name": run.name, "license": license} | _card_facts(run) | _origin(run),
        progress=progress,
    )


def without_paths(history: pd.DataFrame) -> pd.DataFrame:
    """Return a ``provenance`` table in which paths of this machine are reduced to names without folders."""

    def portable(value: object) -> object:
        return portable_name(value) if isinstance(value, str) and is_machine_path(value) else value

    texts = [name for name in history.columns if name not in OWN_TEXTS and not is_numeric_dtype(history[name])]
    return history.assign(**{name: history[name].map(portable) for name in texts})


def _origin(run: RunPaths) -> dict[str, str | None]:
    """Return the date and the generator for the data card; local models are named without their path."""
    model = locked_model(run)
    return {
        "created": datetime.date.today().isoformat(),
        "generator": portable_name(str(model.get("model"))),
        "generator revision": model.get("revision"),
        "generator license": model.get("license"),
    }


def _card_facts(run: Run) -> dict[str, object]:
    """Return the facts about the synthetic images for the data card."""
    plan = run.plan
    counts = synthesis_summary(plan, run.path)
    rejected = ", ".join(f"{reason} {number:,}" for reason, number in counts["rejected"].items()) or "none"
    return {
        "synthetic images": f"{counts['accepted']:,} accepted of {counts['requested']:,} planned",
        "rejected attempts": rejected,
        "checks": ", ".join(run.recipe.quality.gates),
        "prompts": prompts_origin(plan),
        "variant": plan.options.variant,
        "seed": plan.options.seed,
    }
