"""Print the output of commands: JSON, or the report's table and summary."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synaug.schemas import Report
    from synaug.schemas.command_output import PlanSummary


def print_json(content: object) -> None:
    """Print JSON on stdout; NaN becomes null, and characters that the encoding of stdout lacks are escaped."""
    from synaug.cli.streams import printable
    from synaug.runtime import without_nan
    from synaug.runtime.security import json_text

    content = without_nan(content)
    text = json_text(content)
    print(text if printable(text) == text else json_text(content, ascii_only=True))


def print_text(text: str) -> None:
    """Print lines on stdout; control characters from names and files are shown as escapes."""
    from synaug.runtime.security import visible

    print(visible(text, keep="\n"))


def wipe_terminal() -> None:
    """Clear the terminal and start at its top left corner."""
    print("\x1b[H\x1b[2J", end="")


def print_note(text: str) -> None:
    """Print lines on stderr, separate from results; control characters are shown as escapes."""
    from synaug.runtime.security import visible

    print(visible(text, keep="\n"), file=sys.stderr)


def show_plan(content: PlanSummary, out: Path | None, *, as_json: bool) -> None:
    """Print the images to generate and, if the plan is in a folder, the next command."""
    from synaug.cli.printing import console

    if as_json:
        print_json(content)
        return
    from synaug.cli.printing import prompt_tables

    if content.get("prompts_file"):
        prompt_tables.show_prompt_counts(content["prompt_counts"])
    prompt_tables.show_spread(content.get("spread", {}))
    console.show_plan(content, out)


def print_facts(content: Mapping[str, object], *, as_json: bool) -> None:
    """Print planned or completed actions: one line per fact, or JSON."""
    from synaug.cli.printing import console

    if as_json:
        print_json(content)
    else:
        console.show_facts(content)


def show_report(content: Report, out: Path, *, as_json: bool) -> None:
    """Print the report's table, its summary and the location of the page."""
    if as_json:
        print_json(content)
        return
    from synaug.cli.printing import result_lines

    result_lines.show_alarms(content)
    result_lines.show_results(content["results"])
    result_lines.show_summary(content, out / "report.html")
