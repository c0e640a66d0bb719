"""Print the scores of anyone's predictions: classes by their recall, and fairness as readable tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from synaug.cli.printing.console import show_facts
from synaug.cli.printing.output import print_text
from synaug.cli.printing.result_lines import percent
from synaug.cli.printing.terminal import Console, Table, escape
from synaug.evaluation import DISPARITIES
from synaug.runtime import measure_in_words

_OVERALL = ("accuracy", "mean_recall", "worst_class")
_AVERAGES = ("worst_group_accuracy", "mean_group_accuracy")
_GAPS = ("difference", "ratio")
_KINDS = ("", "_worst", "_mean")
_NOTE = (
    "In brackets: 95 % intervals (Wilson; bootstrap for gaps between groups). The worst of several measured "
    "shares is biased downwards and a gap upwards, so their intervals are not centered on them. A table that is "
    "too wide "
    "shows no intervals: see --json."
)


def show_scores(scores: dict[str, Any]) -> None:
    """Print the scores of ``evaluate_predictions``, in percent, each with its interval."""
    _show_notes(scores["notes"])
    show_facts({"images": scores["num_images"]} | {name: _measured(scores, name) for name in _OVERALL})
    ends = scores["intervals"]["per_class"]
    _table("class", ["recall"], {name: [_cell(value, ends[name])] for name, value in scores["per_class"].items()})
    for attribute, found in (scores.get("fairness") or {}).items():
        _show_fairness(attribute, found)
    Console().print(f"\n[dim]{escape(_NOTE)}[/]")
    if not scores.get("fairness"):
        print_text("Fairness between the values of a column: add --attribute COLUMN.")


def _show_notes(notes: Sequence[str]) -> None:
    for note in notes:
        Console().print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


def _show_fairness(attribute: str, found: dict[str, Any]) -> None:
    Console().print(f"\nBetween the values of {escape(attribute)} ({found['num_images']:,} images)")
    _show_notes(found["notes"])
    classes = list(dict.fromkeys(cell.rsplit(" x ", 1)[0] for cell in found["accuracy_by_group"]))
    _show_accuracies(classes, found)
    _table("", [], {measure_in_words(name): [_measured(found, name)] for name in _AVERAGES})
    measures = [name.removesuffix("_difference") for name in DISPARITIES]
    rows = {
        measure_in_words(name + kind): [_measured(found, f"{name}_{what}{kind}") for what in _GAPS]
        for name in measures
        for kind in _KINDS
        if f"{name}_difference{kind}" in found
    }
    _table("measure", _GAPS, rows)
    note = "A difference of 0 and a ratio of 100 mean no difference. n/a: no images to measure it on."
    more = (
        f" Positive is class {escape(classes[-1])}."
        if len(classes) == 2
        else " Each class in turn counts as positive: the worst class, and the mean."
    )
    Console().print(f"[dim]{note}{more}[/]")


def _show_accuracies(classes: Sequence[str], found: Mapping[str, Any]) -> None:
    """Print one row per attribute value or per class, whichever has more."""
    values, ends = found["num_images_by_value"], found["intervals"]
    by_value = {
        value: [
            f"{number:,}",
            _cell(found["accuracy"][value], ends["accuracy"][value]),
            *(
                _cell(found["accuracy_by_group"][cell], ends["accuracy_by_group"][cell])
                for cell in (f"{name} x {value}" for name in classes)
            ),
        ]
        for value, number in values.items()
    }
    heads = ["images", "all", *classes]
    if len(values) >= len(classes):
        _table("accuracy on", heads, by_value)
    else:
        rows = zip(heads, zip(*by_value.values(), strict=True), strict=True)
        _table("accuracy on", list(values), {head: list(cells) for head, cells in rows})


def _measured(found: Mapping[str, Any], name: str) -> str:
    return _cell(found.get(name), found["intervals"].get(name))


def _cell(value: float | None, ends: Sequence[float] | None) -> str:
    if value is None or ends is None or any(map(math.isnan, ends)):
        return percent(value)
    low, high = (f"{100 * end:.0f}" for end in ends)
    return f"{percent(value)} [{low}, {high}]"


def _table(head: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    console = Console()
    table = _made(head, columns, rows)
    if console.measure(table, options=console.options.update(max_width=10_000)).maximum > console.width:
        table = _made(head, columns, {name: [cell.split(" [")[0] for cell in cells] for name, cells in rows.items()})
    console.print()
    console.print(table)


def _made(head: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> Table:
    table = Table(show_header=bool(columns))
    table.add_column(head)
    for name in columns or [""]:
        table.add_column(escape(name), justify="right")
    for name, cells in rows.items():
        table.add_row(escape(name), *map(escape, cells))
    return table
