"""The prompts of a run: counted, and written as a file that a person can edit."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from synaug.errors import OptionError
from synaug.run_directory import Run
from synaug.runtime import storage
from synaug.schemas.command_output import PromptCounts
from synaug.synthesis.generators.models import limit_at_hand
from synaug.synthesis.planning import as_written, spread_counts
from synaug.synthesis.planning.prompt_account import prompt_account
from synaug.synthesis.planning.prompting import check_suffix, prompts_text


def count_prompts(run: Run) -> dict[str, PromptCounts]:
    """Return, per class or group that needs images, its prompts and how many images each phrase gets."""
    plan = run.plan
    counts = spread_counts(plan)
    account = prompt_account(plan, limit_at_hand(plan.model))
    return {name: cast("PromptCounts", {**each, **counts.get(name, {})}) for name, each in account.items()}


def export_prompts(run: Run, out: Path) -> int:
    """Write the prompts of a run as a prompts file, and return how many there are.

    Raises:
        OptionError: the file exists, or its suffix is unknown.
    """
    check_new(out)
    rows = as_written(run.plan)
    storage.write_text(out, prompts_text(rows, out.suffix))
    return len(rows)


def check_new(out: Path) -> None:
    """Check that a prompts file can be written without losing the work of a person.

    Raises:
        OptionError: the file exists, or its suffix is unknown.
    """
    check_suffix(out)
    if out.exists():
        raise OptionError(f"{out} exists, and somebody may have edited it. Choose another name with --out.")
