"""Arrange the scores of predictions into panels of rows with intervals, which a figure and a page show alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from synaug.runtime import measure_in_words

OVERALL = ("accuracy", "mean_recall", "worst_class")
AVERAGES = ("worst_group_accuracy", "mean_group_accuracy")
MOST_ROWS = 60  # of one panel


@dataclass(frozen=True)
class Row:
    """A number with its 95 % interval, fractions from 0 to 1; NaN if undefined."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """Rows that share a scale; ``num_hidden`` rows were left out."""

    title: str
    rows: tuple[Row, ...]
    num_hidden: int = 0


def score_panels(scores: Mapping[str, Any]) -> list[Panel]:
    """Return the panels for the scores of ``evaluate_predictions``: overall, classes, then three per attribute.

    If there are more than ``MOST_ROWS`` classes or groups, those with the lowest values are kept.
    """
    ends = scores["intervals"]
    panels = [
        Panel("All images", _in_words(_rows({name: scores[name] for name in OVERALL}, ends))),
        _longest("Recall of each class", _rows(scores["per_class"], ends["per_class"])),
    ]
    for attribute, found in (scores.get("fairness") or {}).items():
        ends = found["intervals"]
        averages = {name: found[name] for name in AVERAGES if name in found}
        gaps = {name: value for name, value in found.items() if name.endswith(("_difference", "_difference_worst"))}
        panels += [
            _longest(f"Accuracy by {attribute}", _rows(found["accuracy"], ends["accuracy"])),
            _longest(
                f"Accuracy by class x {attribute}",
                _in_words(_rows(averages, ends)) + _rows(found["accuracy_by_group"], ends["accuracy_by_group"]),
            ),
            Panel(f"Differences between values of {attribute} (0: no difference)", _of_gaps(_rows(gaps, ends))),
        ]
    return [panel for panel in panels if panel.rows]


def _rows(values: Mapping[str, float], ends: Mapping[str, Sequence[float] | None]) -> tuple[Row, ...]:
    rows = []
    for name, value in values.items():
        low, high = ends.get(name) or (math.nan, math.nan)
        rows.append(Row(name, _number(value), _number(low), _number(high)))
    return tuple(rows)


def _of_gaps(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows named as in the tables; the title says that they are differences."""
    return tuple(replace(row, name=row.name.replace(" difference", "")) for row in _in_words(rows))


def _in_words(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(replace(row, name=measure_in_words(row.name)) for row in rows)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _longest(title: str, rows: tuple[Row, ...]) -> Panel:
    if len(rows) <= MOST_ROWS:
        return Panel(title, rows)
    measured = sorted((row for row in rows if not math.isnan(row.value)), key=lambda row: row.value)
    return Panel(f"{title}, the {MOST_ROWS} lowest", tuple(measured[:MOST_ROWS]), len(rows) - MOST_ROWS)
