"""Print the results of a run: accuracies, sentences of the report, predictions, the next commands."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from synaug.cli.printing.terminal import Console, Table, escape
from synaug.runtime import counted
from synaug.runtime.security import shell_word
from synaug.schemas import Report, Result

if TYPE_CHECKING:
    pass


_SIZES = {"many": "more than 100", "medium": "20 to 100", "few": "fewer than 20"}  # training images of a class


def percent(value: float | None) -> str:
    """Return a fraction as a percentage, ``n/a`` if undefined.

    >>> percent(0.8125), percent(float("nan")), percent(None)
    ('81.2', 'n/a', 'n/a')
    """
    return "n/a" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def show_results(results: Sequence[Result]) -> None:
    """Print one row per method: mean and, over several seeds, standard deviation."""
    from synaug.report import shown_columns
    from synaug.report.results_table import results_table

    rows = results_table(results)
    columns = shown_columns(rows)
    table = Table()
    table.add_column("method")
    for name in columns:
        table.add_column(name.removesuffix("_accuracy").replace("_", " "), justify="right")  # as in "worst group"
    for row in rows:
        cells = [f"[bold]{row.text(name)}[/]" if name in row.best else row.text(name) for name in columns]
        table.add_row(escape(row.method), *cells)
    Console().print(table)
    sizes = [name for name in columns if name in _SIZES]
    meaning = " / ".join(_SIZES[name] for name in sizes)
    by_size = f"; {' / '.join(sizes)}: classes with {meaning} training images" if sizes else ""
    Console().print(f"[dim]Percent of the real test images recognized{by_size}.[/]")


def wrapped(text: str, width: int) -> str:
    """Return the text wrapped to ``width`` characters, keeping percent signs with their numbers.

    >>> print(wrapped("accuracy fell from 97.0 % to 75.8 %", 23))
    accuracy fell from
    97.0 % to 75.8 %
    """
    joined = textwrap.fill(text.replace(" %", "\0%"), width, break_long_words=False, break_on_hyphens=False)
    return joined.replace("\0", " ")


def show_alarms(report: Report) -> None:
    """Print the sentences that must be read before anything else."""
    alarms = _sentences(report, are_alarms=True)
    _print_sentences(alarms, style="bold red")
    if alarms:
        Console().print()


def show_summary(report: Report, page: Path) -> None:
    """Print the report's summary, except its alarms, and the location of the page."""
    console = Console()
    console.print()
    _print_sentences(_sentences(report, are_alarms=False))
    for warning in report["warnings"]:
        console.print(f"[yellow]Note:[/] {escape(warning)}")
    console.print(f"\nReport: [bold]{escape(str(page))}[/]")
    show_usage(report.get("usage") or [])


def _sentences(report: Report, *, are_alarms: bool) -> list[str]:
    from synaug.report import ALARM
    from synaug.report.summary import summary

    return [sentence for sentence in summary(report) if sentence.startswith(ALARM) == are_alarms]


def _print_sentences(sentences: Sequence[str], *, style: str = "") -> None:
    console = Console()
    for sentence in sentences:
        for line in wrapped(sentence, console.width).split("\n"):  # ``escape`` would show the line breaks
            console.print(f"[{style}]{escape(line)}[/]" if style else escape(line))


def show_predictions(table: pd.DataFrame, *, out: Path | None, classifier: str) -> None:
    """Print one row per image with its classes, or the number per class if the rows are in the file ``out``."""
    console = Console()
    if out is None:
        shown = Table(show_header=False)
        shown.add_column()
        endings = [name.removeprefix("prediction") for name in table.columns if name.startswith("prediction")]
        for _ in endings:
            shown.add_column()
            shown.add_column(justify="right")
        for row in table.to_dict("records"):
            cells = [(row[f"prediction{ending}"], f"{percent(row[f'probability{ending}'])} %") for ending in endings]
            shown.add_row(escape(row["image"]), *(escape(cell) for pair in cells for cell in pair))
        console.print(shown)
    else:
        counts = ", ".join(
            f"{escape(str(name))} {number:,}" for name, number in table["prediction"].value_counts().items()
        )
        console.print(f"{counted(len(table), 'image')}: {counts}.")
        console.print(f"Predictions: [bold]{escape(str(out))}[/]", soft_wrap=True)
        if "label" in table:
            console.print(f"Score them: [bold]synaug evaluate {escape(shell_word(out))}[/]", soft_wrap=True)
    if classifier:
        console.print(f"[dim]Classifier: {escape(classifier)}[/]")


def show_usage(lines: Sequence[str]) -> None:
    """Print how to use a classifier; see ``usage_lines``."""
    console = Console()
    console.print("\nUse it:")
    for line in lines:
        console.print(f"  [bold]{escape(line)}[/]", soft_wrap=True)
