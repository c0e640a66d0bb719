"""Print the prompts of a plan: how many each class has, their problems, and how phrases are spread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synaug.cli.printing.terminal import Console, Table, escape
from synaug.runtime.security import shell_word
from synaug.schemas.command_output import PromptCounts


def show_prompt_counts(counts: Mapping[str, PromptCounts]) -> None:
    """Print one row per class or group, then the prompts that are too long or repeated."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("class or group")
    for name in ("prompts", "too long", "repeated"):
        table.add_column(name, justify="right")
    for name, each in counts.items():
        too_long = "n/a" if each["num_too_long"] is None else f"{each['num_too_long']:,}"
        table.add_row(escape(name), f"{each['prompts']:,}", too_long, f"{each['num_equal']:,}")
    console.print(table)
    for name, each in counts.items():
        for what, texts in (("too long", each["too_long"] or ()), ("repeated", each["equal"])):
            if texts:
                console.print(f"[yellow]Note:[/] {escape(name)}: {what}: {escape('; '.join(map(repr, texts[:3])))}")
    show_spread({name: each["spread"] for name, each in counts.items() if "spread" in each})


def show_spread(spread: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
    """Print one row per class or group, and in it how many images get each phrase.

    Args:
        spread: class or group -> name such as background -> phrase -> number of images.
    """
    for name in dict.fromkeys(each for phrases in spread.values() for each in phrases):
        found = dict.fromkeys(phrase for phrases in spread.values() for phrase in phrases.get(name, ()))
        table = Table(box=None, pad_edge=False)
        table.add_column(f"images by {escape(name)}")
        for phrase in found:
            table.add_column(escape(phrase), justify="right")
        for cell, phrases in spread.items():
            table.add_row(escape(cell), *(f"{phrases.get(name, {}).get(phrase, 0):,}" for phrase in found))
        Console().print(table)


def show_prompt_file(number: int, path: Path) -> None:
    """Print the number of written prompts and the command that uses them."""
    prompts = "prompt" if number == 1 else "prompts"
    Console().print(
        f"{number:,} {prompts} written to {escape(str(path))}. Edit it, then: "
        f"[bold]synaug plan DATA --prompts {escape(shell_word(path))}[/]",
        soft_wrap=True,
    )


def show_writing(content: Mapping[str, Any], path: Path) -> None:
    """Print how many prompts a language model wrote per class, how many lines were rejected, and the next command."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("class or group")
    table.add_column("prompts", justify="right")
    table.add_column("rejected lines")
    for name, number in content["prompts"].items():
        rejected = content["rejected"].get(name, {})
        reasons = ", ".join(f"{reason.replace('_', ' ')} {times:,}" for reason, times in sorted(rejected.items()))
        table.add_row(escape(name), f"{number:,}", reasons)
    console.print(table)
    show_spread(content["spread"])
    show_prompt_file(sum(content["prompts"].values()), path)
