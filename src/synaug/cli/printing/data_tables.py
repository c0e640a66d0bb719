"""Print the content of a data set and how it was read: counts, groups, known data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.padding import Padding

from synaug.cli.printing.terminal import Bar, Console, Table, escape
from synaug.data import left_out_sentences, shot_bins
from synaug.runtime import agreeing, counted
from synaug.runtime.security import shell_word
from synaug.schemas import Account, Counts

if TYPE_CHECKING:
    from synaug.data.benchmarks import KnownDataset


_LINES = 12


def show_counts(summary: Counts, account: Account, *, source: Path) -> None:
    """Print the number of images per class with bars, how the data were read, and the next command."""
    console = Console()
    counts = summary["class_counts"]
    table = Table()
    table.add_column("class")
    table.add_column("images", justify="right")
    table.add_column("")
    most, bins = max(counts.values()), shot_bins(np.array(list(counts.values())))
    for (name, number), is_many, is_few in zip(counts.items(), bins.many, bins.few, strict=True):
        style = "green" if is_many else "red" if is_few else "yellow"
        table.add_row(escape(name), f"{number:,}", Bar(number / most, style))
    console.print(table)
    by_attribute = summary.get("group_counts_by_attribute") or {}
    combined = "class x " + (" & ".join(by_attribute) or "attribute")
    for title, groups in {
        **{f"class x {name}": groups for name, groups in by_attribute.items()},
        combined: summary["group_counts"],
    }.items():
        _show_groups(title, groups)
    console.print(
        f"{counted(summary['num_images'], 'image')} in {counted(len(counts), 'class')}"
        f"{_balance(summary['imbalance_factor'])}. "
        f"[green]many[/] (> 100): {summary['many']}, [yellow]medium[/] (20-100): {summary['medium']}, "
        f"[red]few[/] (< 20): {counted(summary['few'], 'class')}."
    )
    if unknown := summary.get("num_without_attribute"):
        console.print(
            f"{counted(unknown, 'image')} {agreeing(unknown, 'has', 'have')} no attribute, "
            f"so {agreeing(unknown, 'it is', 'they are')} in no group."
        )
    show_reading(account)
    console.print(f"Next: [bold]synaug run {escape(shell_word(source))} --dry-run[/]", soft_wrap=True)


def _show_groups(title: str, counts: Mapping[str, int]) -> None:
    if counts:
        table = Table()
        table.add_column(escape(title))
        table.add_column("images", justify="right")
        for name, number in counts.items():
            table.add_row(escape(name), f"{number:,}")
        Console().print(table)


def show_reading(account: Account) -> None:
    """Print how data were read: the layout, skipped files with reasons, and notes."""
    console = Console()
    if account["layout"]:
        splits = ", ".join(f"{name} {number:,}" for name, number in account["splits"].items())
        console.print(escape(f"Read as {account['layout']}: {splits}."), soft_wrap=True)
    if account["synthetic"]:
        console.print(f"{sum(account['synthetic'].values()):,} synthetic images are counted apart.")
    if account["left_out"]:
        console.print("[yellow]Not read:[/]")
        for sentence in left_out_sentences(account["left_out"])[:_LINES]:
            console.print(f"  {escape(sentence)}", soft_wrap=True)
        if len(account["left_out"]) > _LINES:
            console.print(f"  and {len(account['left_out']) - _LINES} more kinds; --json lists all.")
    for note in account["notes"]:
        console.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


def _balance(factor: float | None) -> str:
    """Return how unlike the sizes of the classes are.

    >>> _balance(1.0), _balance(2.5)
    (' of equal size', '; the largest is 2.5 times the smallest')
    """
    return " of equal size" if factor == 1 else f"; the largest is {_factor(factor)} times the smallest"


def _factor(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.3g}"


def show_datasets(rows: Sequence[KnownDataset]) -> None:
    """Print one paragraph per data set."""
    console = Console()
    for row in rows:
        images = ", ".join(f"{number:,} {split}" for split, number in row["images"].items())
        console.print(f"[bold]{escape(row['name'])}[/]  {escape(row['problem'])}; {images}")
        for what in ("source", "license", "data"):
            console.print(Padding(f"{what}: {escape(row[what])}", (0, 0, 0, 4)))
    console.print("Check one with: synaug count DATA --benchmark NAME")
