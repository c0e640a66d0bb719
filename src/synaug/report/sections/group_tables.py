"""Compute the tables of the HTML report with one group, or one measure between groups, per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

from synaug.report.results_table import COLUMNS, method_title
from synaug.report.rows import AllGroupTables, Cell, GroupTables
from synaug.report.seeds import by_method, deviations, mean_result
from synaug.schemas import GroupScores, Report, Scores


def groups(report: Report) -> AllGroupTables:
    """Return accuracy by group and the measures between groups as tables with one column per method.

    A cell is the mean over the seeds, their standard deviation and the ends of the interval. Of several attributes,
    ``single`` has the tables of each alone.
    """
    seeds = {name: runs for name, runs in by_method(report["results"]).items() if runs[0].get("per_group")}
    runs = {name: mean_result(each) for name, each in seeds.items()}
    spreads = {name: deviations(each) for name, each in seeds.items()}
    attributes = dict.fromkeys(name for run in runs.values() for name in run.get("by_attribute") or ())
    single = [
        (name, _group_tables(_of_attribute(runs, name), _of_attribute(spreads, name)))
        for name in attributes
        if all(name in (run.get("by_attribute") or ()) for run in runs.values())
    ]
    return {"titles": [method_title(name) for name in runs], "single": single, **_group_tables(runs, spreads)}


def _of_attribute(runs: Mapping[str, Scores], attribute: str) -> dict[str, GroupScores]:
    return {name: run["by_attribute"][attribute] for name, run in runs.items()}


def _group_tables(runs: Mapping[str, GroupScores], spreads: Mapping[str, GroupScores]) -> GroupTables:
    per_group = dict.fromkeys(row for run in runs.values() for row in run.get("per_group") or ())
    fairness = dict.fromkeys(row for run in runs.values() for row in _measured_between_groups(run))
    return {
        "note": next((_measured_groups_note(run) for run in runs.values()), ""),
        "per_group": [(row, [_in_group(runs[name], spreads[name], row) for name in runs]) for row in per_group],
        "fairness": [(row, [_between_groups(runs[name], spreads[name], row) for name in runs]) for row in fairness],
    }


def _measured_groups_note(run: GroupScores) -> str:
    """Return which groups of the test images do not count, and in what; nothing if all do."""
    least, total = run.get("min_cell") or 0, len(run.get("per_group") or ())
    missing, small = (int(run.get("num_unmeasured_groups") or 0), int(run.get("num_small_groups") or 0))
    texts = []
    if missing:
        texts.append(f"{missing:,} of {total:,} groups have no test images; worst and mean are of the others.")
    if small:
        texts.append(
            f"{small:,} of {total:,} groups have fewer than {least:.0f} test images: they are shown, but do not count "
            "in differences."
        )
    if least == 1:
        texts.append("No group has enough test images for a reliable comparison, so differences can be chance.")
    return " ".join(texts)


def _measured_between_groups(run: GroupScores) -> list[str]:
    own = {"mean_recall", *COLUMNS} - {"worst_group_accuracy"}  # in the table of results, which has no intervals
    return [
        row
        for row in run.get("intervals") or {}
        if row in run and row not in own and not isinstance(run.get(row), dict)
    ]


def _in_group(run: GroupScores, spread: GroupScores, row: str) -> Cell:
    ends = ((run.get("intervals") or {}).get("per_group") or {}).get(row)
    return (run.get("per_group") or {}).get(row), (spread.get("per_group") or {}).get(row), ends or ()


def _between_groups(run: GroupScores, spread: GroupScores, row: str) -> Cell:
    ends = (run.get("intervals") or {}).get(row)
    return _number(run.get(row)), _number(spread.get(row)), ends if isinstance(ends, Sequence) else ()


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, Real) else None
