"""Compute the table of an experiment: mean and spread over seeds, and the share of the gap that each row closes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from synaug.bench.experiments import Experiment
from synaug.evaluation.intervals import PairedDifference, paired_difference


def row_name(result: dict[str, Any], main_arm: str) -> str:
    """Return the name of a result's row: the method, with the arm unless it is the first one.

    >>> row_name({"method": "synaug", "arm": "intra"}, "text")
    'synaug (intra)'
    """
    return result["method"] if result["arm"] == main_arm else f"{result['method']} ({result['arm']})"


def table(results: Sequence[dict[str, Any]], experiment: Experiment) -> list[dict[str, Any]]:
    """Return one row per arm and method; see ``tabulate``. ``is_filled``: also trained on other real images."""
    bench = experiment.bench
    named = [result | {"row": row_name(result, experiment.main_arm)} for result in results]
    rows = tabulate(
        named,
        columns=bench.columns,
        baseline=bench.baseline,
        bounds=bench.bounds,
        tuned=bench.tuned,
        tuned_by=bench.tuned_by,
    )
    return [row | {"is_filled": experiment.arms[row["arm"]].filled} for row in rows]


def tabulate(
    results: Sequence[dict[str, Any]],
    *,
    columns: Sequence[str],
    baseline: str,
    bounds: Sequence[str],
    tuned: Mapping[str, Sequence[str]] | None = None,
    tuned_by: str = "mean_recall",
) -> list[dict[str, Any]]:
    """Return one dict per row: mean and standard deviation over seeds, the gap it closes, and the paired difference.

    The gap is measured in the first column, the main one: (row - baseline) / (best bound - baseline),
    from the means, with ``gap_low`` and ``gap_high`` from the interval of the paired difference to the baseline;
    NaN without a bound. ``difference``, ``difference_low`` and ``difference_high`` are the paired difference to
    ``rival``: the row without synthetic images that is best on validation images, or on the test images if nothing was
    validated (which favors it).

    Args:
        results: with ``row``, ``arm``, ``method``, ``seed``, ``uses_synthetic``, ``accuracy``, ``seconds``, the columns
            and, if there are validation images, ``validation`` with their scores.
        columns: scores to average, in addition to ``seconds``.
        baseline: the row where the gap starts.
        bounds: methods whose best row ends the gap.
        tuned: name -> rows; the one with the best ``tuned_by`` on validation images also appears under that name.
        tuned_by: a validation score.
    """
    if not results:
        return []
    counted = columns[0] if columns else "accuracy"
    averaged = list(dict.fromkeys([*columns, "accuracy", "seconds"]))
    frame = pd.DataFrame(results)
    frame[averaged] = frame.reindex(columns=averaged).astype(float)
    frame["validated"] = [_validated(result, tuned_by) for result in results]
    rows = [_row(name, frame[frame["row"] == name], averaged, bounds) for name in frame["row"].unique().tolist()]
    rows += _tuned_rows({row["row"]: row for row in rows}, tuned or {}, tuned_by)
    values = {row["row"]: _by_seed(frame, row, counted) for row in rows}
    sign = -1.0 if is_lower_better(counted) else 1.0
    low = next((row[counted] for row in rows if row["row"] == baseline), math.nan)
    high = sign * max((sign * row[counted] for row in rows if row["method"] in bounds), default=math.nan)
    rival = _rival(rows, counted, tuned_by)
    return [
        row
        | _gap(row[counted], low, high, paired(values.get(baseline, {}), values[row["row"]]))
        | {"rival": rival}
        | _named("difference", paired(values.get(rival, {}), values[row["row"]]))
        for row in rows
    ]


def is_lower_better(column: str) -> bool:
    """Return whether small values of a column are better, as for gaps and errors.

    >>> is_lower_better("equalized_odds_difference"), is_lower_better("worst_group_accuracy")
    (True, False)
    """
    return "difference" in column or "error" in column


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> PairedDifference:
    """Return the difference of two rows over the seeds that both have."""
    seeds = sorted(first.keys() & second.keys())
    return paired_difference([first[seed] for seed in seeds], [second[seed] for seed in seeds])


def _validated(result: Mapping[str, Any], score: str) -> float:
    value = (result.get("validation") or {}).get(score)
    return math.nan if value is None else float(value)


def _tuned_rows(
    rows: Mapping[str, dict[str, Any]], tuned: Mapping[str, Sequence[str]], tuned_by: str
) -> list[dict[str, Any]]:
    """Return the best candidate for each name, once all of them are validated."""
    sign = -1.0 if is_lower_better(tuned_by) else 1.0
    found = []
    for name, candidates in tuned.items():
        known = [rows[each] for each in candidates if each in rows and not math.isnan(rows[each]["validated"])]
        if len(known) == len(candidates):
            best = max(known, key=lambda row: sign * row["validated"])
            found.append(best | {"row": name, "chosen": best["row"]})
    return found


def _by_seed(frame: pd.DataFrame, row: Mapping[str, Any], column: str) -> dict[int, float]:
    mine = frame[frame["row"] == row.get("chosen", row["row"])]
    seeds = mine["seed"] if "seed" in mine else range(len(mine))
    return {int(seed): value for seed, value in zip(seeds, mine[column], strict=True)}


def _rival(rows: Sequence[Mapping[str, Any]], counted: str, tuned_by: str) -> str:
    """Return the best row without synthetic images among those with the most seeds, not counting bounds; or ''."""
    rivals = [row for row in rows if not row["uses_synthetic"] and not row["is_bound"] and "chosen" not in row]
    rivals = [row for row in rivals if row["seeds"] == max(other["seeds"] for other in rivals)]
    validated = [row for row in rivals if not math.isnan(row["validated"])]
    score, known = ("validated", validated) if validated else (counted, rivals)
    sign = -1.0 if is_lower_better(tuned_by if validated else counted) else 1.0
    return str(max(known, key=lambda row: sign * row[score])["row"]) if known else ""


def _gap(value: float, low: float, high: float, difference: PairedDifference) -> dict[str, float]:
    distance = high - low if high != low else math.nan
    ends = sorted((difference.low / distance, difference.high / distance))
    return {"gap_closed": (value - low) / distance, "gap_low": ends[0], "gap_high": ends[1]}


def _named(name: str, difference: PairedDifference) -> dict[str, float]:
    return {name: difference.mean, f"{name}_low": difference.low, f"{name}_high": difference.high}


def _row(name: str, frame: pd.DataFrame, averaged: Sequence[str], bounds: Sequence[str]) -> dict[str, Any]:
    first = frame.iloc[0]
    is_bound = first["method"] in bounds or first.get("is_bound") is True or first.get("is_bound") == 1
    row = {"row": name, "arm": first["arm"], "method": first["method"], "uses_synthetic": bool(first["uses_synthetic"]),
           "is_bound": bool(is_bound), "seeds": len(frame), "validated": float(frame["validated"].mean())}  # fmt: skip
    for column in averaged:
        values = frame[column].to_numpy(float)
        row[column] = float(values.mean())
        row[f"{column}_std"] = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return row


@dataclass(frozen=True)
class Cells:
    """A table as text: percent, mean ± standard deviation over seeds; a row that lacks some seeds says so.

    ``best`` holds (row, column) of the best mean of each measured column among the rows that are no bounds.
    """

    head: list[str]
    rows: list[list[str]]
    best: set[tuple[int, int]]
    note: str


def table_cells(content: Mapping[str, Any]) -> Cells:
    """Return the table of an experiment as text; ``content`` is that of ``collect``."""
    columns = list(content["columns"])
    rows = content["table"]
    rival = next((row["rival"] for row in rows if row.get("rival")), "")
    against = [f"against {rival}"] if rival and any(not math.isnan(row["difference_low"]) for row in rows) else []
    head = ["method", *(name.replace("_", " ") for name in columns), "gap closed", *against, "seconds"]
    lines = []
    for row in rows:
        cells = [mean_and_spread(row[name], row[f"{name}_std"]) for name in columns]
        cells.append(with_ends(row["gap_closed"], row.get("gap_low"), row.get("gap_high"), "{:.0%}"))
        if against:
            mean, low, high = (100 * row[key] for key in ("difference", "difference_low", "difference_high"))
            cells.append(with_ends(mean, low, high, "{:+.1f}"))
        name = row["row"] if row["seeds"] == len(content["seeds"]) else f"{row['row']}, {row['seeds']} of the seeds"
        name += f" (chosen: {row['chosen']})" if "chosen" in row else ""
        lines.append([name, *cells, f"{row['seconds']:.0f}"])
    best = {(number, place) for place, column in enumerate(columns, 1) for number in _best_rows(rows, column)}
    brackets = " In brackets 95 % intervals of paired differences over the seeds." if against else ""
    note = (
        f"Percent, of the real test images; mean ± standard deviation over seeds {content['seeds']}; "
        f"{content['machine']}.{brackets}"
    )
    return Cells(head, lines, best, note)


def _best_rows(rows: Sequence[Mapping[str, Any]], column: str) -> list[int]:
    """Return the rows with the best mean, as it is printed, of those that are no bounds; none if all are equal."""
    sign = -1 if is_lower_better(column) else 1
    values = {
        number: sign * round(1000 * row[column])
        for number, row in enumerate(rows)
        if not row["is_bound"] and not math.isnan(row[column])
    }
    best = [number for number, value in values.items() if value == max(values.values())]
    return best if len(best) < len(values) else []


def markdown(content: Mapping[str, Any]) -> str:
    """Return the table as Markdown; see ``Cells``."""
    cells = table_cells(content)
    lines = ["| " + " | ".join(cells.head) + " |", "|---" * len(cells.head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in cells.rows]
    return "\n".join([*lines, "", cells.note]) + "\n"


def with_ends(value: float, low: float | None, high: float | None, shown: str) -> str:
    """Return a share with the ends of its interval, if they are known.

    >>> with_ends(0.84, 0.71, 0.97, "{:.0%}"), with_ends(0.84, None, None, "{:.0%}"), with_ends(math.nan, 0, 0, "{}")
    ('84% [71%, 97%]', '84%', 'n/a')
    """
    if math.isnan(value):
        return "n/a"
    if low is None or high is None or math.isnan(low):
        return shown.format(value)
    return f"{shown.format(value)} [{shown.format(low)}, {shown.format(high)}]"


def mean_and_spread(mean: float, spread: float) -> str:
    """Return fractions as percent; n/a if undefined.

    >>> mean_and_spread(0.835, 0.007), mean_and_spread(0.5, float("nan")), mean_and_spread(float("nan"), 0.1)
    ('83.5 ± 0.7', '50.0', 'n/a')
    """
    if math.isnan(mean):
        return "n/a"
    return f"{100 * mean:.1f}" + ("" if math.isnan(spread) else f" ± {100 * spread:.1f}")
