"""Make the table of an experiment: mean and spread over seeds, and how much of the gap each row closes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from synaug.bench.experiments import Experiment


def row_name(result: dict[str, Any], main_arm: str) -> str:
    """Return what a result's row is called: the method, with the arm where it is not the first one.

    >>> row_name({"method": "synaug", "arm": "intra"}, "text")
    'synaug (intra)'
    """
    return result["method"] if result["arm"] == main_arm else f"{result['method']} ({result['arm']})"


def table(results: Sequence[dict[str, Any]], experiment: Experiment) -> list[dict[str, Any]]:
    """Return one row an arm and method; see ``tabulate``. ``is_filled``: trained on other real images, too."""
    bench = experiment.bench
    named = [result | {"row": row_name(result, experiment.main_arm)} for result in results]
    rows = tabulate(named, columns=bench.columns, baseline=bench.baseline, bounds=bench.bounds)
    return [row | {"is_filled": experiment.arms[row["arm"]].filled} for row in rows]


def tabulate(
    results: Sequence[dict[str, Any]], *, columns: Sequence[str], baseline: str, bounds: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one dict a row: mean and standard deviation over seeds, and the share of the gap that it closes.

    ``gap_closed`` is (accuracy - baseline) / (best bound - baseline), from the means; NaN without a bound.

    Args:
        results: with ``row``, ``arm``, ``method``, ``uses_synthetic``, ``accuracy``, ``seconds`` and the columns.
        columns: what is averaged, beside ``seconds``.
        baseline: the row from which the gap is counted.
        bounds: methods whose best row ends it.
    """
    if not results:
        return []
    averaged = list(dict.fromkeys([*columns, "accuracy", "seconds"]))
    frame = pd.DataFrame(results)
    frame[averaged] = frame.reindex(columns=averaged).astype(float)
    rows = [_row(name, frame[frame["row"] == name], averaged, bounds) for name in frame["row"].unique().tolist()]
    low = next((row["accuracy"] for row in rows if row["row"] == baseline), math.nan)
    high = max((row["accuracy"] for row in rows if row["is_bound"]), default=math.nan)
    return [row | {"gap_closed": (row["accuracy"] - low) / (high - low) if high != low else math.nan} for row in rows]


def _row(name: str, frame: pd.DataFrame, averaged: Sequence[str], bounds: Sequence[str]) -> dict[str, Any]:
    first = frame.iloc[0]
    row = {"row": name, "arm": first["arm"], "method": first["method"], "uses_synthetic": bool(first["uses_synthetic"]),
           "is_bound": first["method"] in bounds, "seeds": len(frame)}  # fmt: skip
    for column in averaged:
        values = frame[column].to_numpy(float)
        row[column] = float(values.mean())
        row[f"{column}_std"] = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return row


def markdown(content: dict[str, Any]) -> str:
    """Return the table as Markdown: percent, mean ± standard deviation over seeds; a row that lacks some says so."""
    columns = list(content["columns"])
    head = ["method", *(name.replace("_", " ") for name in columns), "gap closed", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in content["table"]:
        cells = [mean_and_spread(row[name], row[f"{name}_std"]) for name in columns]
        closed = "n/a" if math.isnan(row["gap_closed"]) else f"{row['gap_closed']:.0%}"
        name = row["row"] if row["seeds"] == len(content["seeds"]) else f"{row['row']}, {row['seeds']} of the seeds"
        lines.append("| " + " | ".join([name, *cells, closed, f"{row['seconds']:.0f}"]) + " |")
    lines += [
        "",
        f"Percent, of the real test images; mean ± standard deviation over seeds {content['seeds']}; "
        f"{content['machine']}.",
    ]
    return "\n".join(lines) + "\n"


def mean_and_spread(mean: float, spread: float) -> str:
    """Return fractions as percent; n/a where undefined.

    >>> mean_and_spread(0.835, 0.007), mean_and_spread(0.5, float("nan")), mean_and_spread(float("nan"), 0.1)
    ('83.5 ± 0.7', '50.0', 'n/a')
    """
    if math.isnan(mean):
        return "n/a"
    return f"{100 * mean:.1f}" + ("" if math.isnan(spread) else f" ± {100 * spread:.1f}")
