"""Print the output of commands: JSON, or the report's table and summary."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any


def print_json(content: Any) -> None:
    """Print JSON on stdout; NaN becomes null, and characters that the encoding of stdout lacks are escaped."""
    from synaug.cli.streams import printable
    from synaug.runtime import json_text, without_nan

    content = without_nan(content)
    text = json_text(content)
    print(text if printable(text) == text else json_text(content, ascii_only=True))


def print_text(text: str) -> None:
    """Print lines on stdout; control characters from names and files are shown as escapes."""
    from synaug.runtime import visible

    print(visible(text, keep="\n"))


def wipe_terminal() -> None:
    """Erase what a terminal shows and start at its top left corner."""
    print("\x1b[H\x1b[2J", end="")


def print_note(text: str) -> None:
    """Print lines on stderr, where they stand apart from results; control characters are shown as escapes."""
    from synaug.runtime import visible

    print(visible(text, keep="\n"), file=sys.stderr)


def show_plan(content: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Print the images to generate and, if the plan is in a folder, the next command."""
    from synaug.cli import console

    if as_json:
        print_json(content)
        return
    from synaug.cli import prompt_tables

    if content.get("prompts_file"):
        prompt_tables.show_prompt_counts(content["prompt_counts"])
    prompt_tables.show_spread(content.get("spread", {}))
    console.show_plan(content, out)


def print_facts(content: dict[str, Any], *, as_json: bool) -> None:
    """Print planned or completed actions: one line per fact, or JSON."""
    from synaug.cli import console

    if as_json:
        print_json(content)
    else:
        console.show_facts(content)


def service_cost(cost: dict[str, Any], images: int) -> str:
    """Return a sentence about what a service will cost: ``price`` per image, of the ``images``, and the ``budget``.

    >>> service_cost({"price": 0.011, "images": 0.22, "budget": 5.0}, 20)
    'Cost of the service: 0.22 (20 images at 0.011); the budget is 5.00.'
    """
    if not cost["price"]:
        return "Cost of the service: unknown, since the price per image is not set (api.price)."
    budget = "no budget is set (api.max_cost)" if cost["budget"] is None else f"the budget is {money(cost['budget'])}"
    number = "1 image" if images == 1 else f"{images:,} images"
    return f"Cost of the service: {money(cost['images'])} ({number} at {money(cost['price'])}); {budget}."


def money(amount: float) -> str:
    """Return an amount with two digits after the point, or more if they are not zero.

    >>> money(1234.5), money(0.0025)
    ('1,234.50', '0.0025')
    """
    return re.sub(r"(\.\d\d\d*?)0+$", r"\1", f"{amount:,.6f}")


def show_report(content: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print the report's table, its summary and the location of the page."""
    if as_json:
        print_json(content)
        return
    from synaug.cli import console

    console.show_results(content)
    console.show_summary(content, out / "report.html")
