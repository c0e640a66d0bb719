"""Compute the rows of the HTML report with one class each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from synaug.report import svg
from synaug.report.results_table import recalls
from synaug.report.rows import CountRow, RecallRow
from synaug.report.seeds import by_method, mean_result
from synaug.schemas import Report


def recall_rows(report: Report, before: str | None, after: str | None) -> list[RecallRow]:
    """Return the recall of each class with two methods, most frequent class first."""
    old = recalls(report, before) if before else {}
    new = recalls(report, after) if after else {}
    intervals = _recall_intervals(report, after)
    rows: list[RecallRow] = []
    tested = report["data"].get("test_class_counts") or {}
    for name in classes_by_count(report):
        was, now = old.get(name, math.nan), new.get(name, math.nan)
        interval = intervals.get(name)
        rows.append(
            {
                "name": name,
                "count": report["data"]["class_counts"].get(name),
                "tested": tested.get(name),
                "before": was,
                "after": now,
                "change": _points(now - was),
                "interval": interval,
                "is_loss": now - was <= -0.01,
                "picture": svg.recall_track(was, now, interval=interval),
            }
        )
    return rows


def _points(change: float) -> str:
    """Return a change of recall in whole percentage points, such as +14, −9 or 0."""
    if math.isnan(change):
        return "n/a"
    rounded = round(100 * change)
    return "0" if rounded == 0 else f"{rounded:+d}".replace("-", "−")


def _recall_intervals(report: Report, method: str | None) -> dict[str, Sequence[float | None]]:
    """Return the interval of each class's recall, with ends averaged over the seeds, for the classes that have one."""
    runs = by_method(report["results"]).get(method or "")
    found = (mean_result(runs).get("intervals") or {}).get("per_class") or {} if runs else {}
    return {name: ends for name, ends in found.items() if ends and len(ends) == 2}


def count_rows(report: Report) -> list[CountRow]:
    """Return the number of real and of accepted synthetic images per class, most frequent class first."""
    real = report["data"]["class_counts"]
    synthetic = _accepted_by_class(report)
    largest = max((real.get(name, 0) + synthetic.get(name, 0) for name in real), default=0)
    return [
        {
            "name": name,
            "real": real.get(name, 0),
            "synthetic": synthetic.get(name, 0),
            "picture": svg.count_bar(real.get(name, 0), synthetic.get(name, 0), largest),
        }
        for name in classes_by_count(report)
    ]


def _accepted_by_class(report: Report) -> dict[str, int]:
    """Return the number of accepted synthetic images per class; if that was not recorded, the planned number."""
    accepted = report["synthesis"].get("accepted_by_class")
    cells = accepted if accepted is not None else report["plan"].get("num_to_generate") or {}
    classes = class_of_cells(report)
    return {
        name: sum(n for cell, n in cells.items() if classes.get(cell) == name) for name in report["data"]["class_names"]
    }


def classes_by_count(report: Report) -> list[str]:
    """Return the class names, most frequent first."""
    counts = report["data"]["class_counts"]
    return sorted(report["data"]["class_names"], key=lambda name: -(counts.get(name) or 0))


def class_of_cells(report: Report) -> dict[str, str]:
    """Return the class of each class or group of the plan; older reports name none, and their groups contain a bar."""
    plan = report["plan"]
    cells = {*(plan.get("num_to_generate") or {}), *(plan.get("prompts") or {})}
    is_grouped = plan.get("by") == "group"
    return {cell: cell.split(" | ")[0] if is_grouped else cell for cell in cells} | (plan.get("class_of") or {})
