"""Print the scores of anybody's predictions: classes by their recall, and fairness as tables to read."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synaug.console import percent, show_facts
from synaug.evaluation.scores import DISPARITIES

_OVERALL = ("accuracy", "mean_recall", "worst_class")


def show_scores(scores: dict[str, Any]) -> None:
    """Print the scores of ``evaluate_predictions``, in percent."""
    show_facts({"images": scores["num_images"]} | {name: percent(scores[name]) for name in _OVERALL})
    _table("class", ["recall"], [(name, [value]) for name, value in scores["per_class"].items()])
    for attribute, found in (scores.get("fairness") or {}).items():
        _show_fairness(attribute, found)
    if not scores.get("fairness"):
        print("\nFairness between the values of a column: add --attribute COLUMN.")


def _show_fairness(attribute: str, found: dict[str, Any]) -> None:
    print(f"\nBetween the values of {attribute} ({found['num_images']:,} images)")
    values = list(found["accuracy"])
    classes: dict[str, list[float]] = {}
    for cell, rate in found["accuracy_by_group"].items():
        classes.setdefault(cell.rsplit(" x ", 1)[0], []).append(rate)
    rows = [("all", list(found["accuracy"].values())), *classes.items()]
    _table("accuracy on", values, rows)
    _table("", ["worst group", "mean of groups"], [("", [found["worst_group_accuracy"], found["mean_group_accuracy"]])])
    kinds = [kind for kind in ("", "_worst", "_mean") if f"{DISPARITIES[0]}{kind}" in found]
    names = [name.removesuffix("_difference") for name in DISPARITIES if name.endswith("_difference")]
    heads = [f"{what}{kind.replace('_', ' ')}" for kind in kinds for what in ("difference", "ratio")]
    measured = [
        (
            name.replace("_", " "),
            [found.get(f"{name}_{what}{kind}") for kind in kinds for what in ("difference", "ratio")],
        )
        for name in names
    ]
    _table("measure", heads, measured)
    note = "A difference of 0 and a ratio of 100 mean no difference. n/a: nothing to measure it on."
    more = (
        " Each class in turn counts as positive: the worst class, and the mean."
        if "_worst" in kinds
        else f" Positive is class {escape(list(classes)[-1])}."
    )
    Console(highlight=False).print(f"[dim]{note}{more}[/]")


def _table(head: str, columns: list[str], rows: list[tuple[str, list[float | None]]]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(head)
    for name in columns:
        table.add_column(escape(name), justify="right")
    for name, values in rows:
        table.add_row(escape(name), *map(percent, values))
    Console(highlight=False).print()
    Console(highlight=False).print(table)
