"""Compute the content of each part of the HTML report: plain rows, pictures and sentences, no HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np
from PIL import Image

from synaug.errors import DataError
from synaug.report import svg
from synaug.report.duplicate_pairs import Pairs
from synaug.report.results_table import COLUMNS, TITLES, percent, recalls, results_table, spoken
from synaug.report.rows import (
    AllGroupTables,
    Cell,
    ConfusionTable,
    CountRow,
    Fact,
    GalleryRow,
    GroupTables,
    LightRow,
    RecallRow,
    RejectionRow,
)
from synaug.report.seeds import by_method, deviations, mean_result
from synaug.report.summary import MIN_TEST_IMAGES, num_tested, reason_text
from synaug.schemas import GroupScores, Report, Scores

MAX_CLASSES_WITH_IMAGES = 60
MAX_CLASSES_IN_MATRIX = 12


@dataclass(frozen=True, eq=False)
class ReportImages:
    """Images to show beside the numbers; every part may be empty.

    ``real`` and ``synthetic`` map class names to example images, ``prompts`` a class to the prompts of its
    synthetic examples in the same order, ``rejected`` a class to examples with the reason of each, and ``duplicates``
    the ids of two images to the two.
    """

    real: Mapping[str, Sequence[Image.Image]] = field(default_factory=dict)
    synthetic: Mapping[str, Sequence[Image.Image]] = field(default_factory=dict)
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rejected: Mapping[str, Sequence[tuple[Image.Image, str]]] = field(default_factory=dict)
    duplicates: Pairs = field(default_factory=dict)


def title(method: str | None) -> str:
    """Return the title of a method in the report."""
    return "" if method is None else TITLES.get(method, method)


def facts(report: Report, before: str | None, after: str | None) -> list[Fact]:
    """Return the large numbers at the top: value, label and a remark.

    They are of the classifier that the run hands over, beside its best rival of the other kind; of ``after``, beside
    ``before``, if the report does not name those.
    """
    rows = {row.method: row for row in results_table(report["results"])}
    compared = report.get("comparison") or {}
    if compared.get("other"):
        before, after = compared["other"], compared["method"]
    facts = _cross_validated_facts(report)
    for column, label in (("accuracy", "accuracy"), ("few", "recall of few-image classes")):
        num_images = num_tested(report, few_only=column == "few")
        if num_images < MIN_TEST_IMAGES:
            continue
        values = [rows[name].means[column] if name in rows else math.nan for name in (before, after)]
        shown = [value for value in values if not math.isnan(value)]
        if shown:
            other = f"{percent(shown[0], 1)} with {spoken(before)}" if len(shown) == 2 else ""
            on = f", {num_images:,} test images" if math.isfinite(num_images) else ""
            facts.append({"value": percent(shown[-1], 1), "label": f"{label}{on}", "was": other})
    num_real = sum(report["data"]["class_counts"].values())
    accepted = report["synthesis"].get("accepted") or 0
    final = [run for run in report["results"] if run["method"] == report.get("classifier")]
    used = 0 if final and not final[0].get("uses_synthetic") else accepted
    origin = f"{num_real:,} real, {used:,} synthetic" if used else "all real"
    facts.append({"value": f"{num_real + used:,}", "label": "training images", "was": origin})
    num_rejected = sum((report["synthesis"].get("rejected") or {}).values())
    if num_rejected:
        share = percent(num_rejected / (num_rejected + accepted), 1)
        facts.append({"value": f"{num_rejected:,}", "label": "images rejected", "was": f"{share} of those generated"})
    return facts


def _cross_validated_facts(report: Report) -> list[Fact]:
    """Return the cross-validated accuracy of the classifier that the run hands over, and that of the next method."""
    found = report.get("cross_validation") or {}
    values = [scores["accuracy"]["mean"] for scores in (found.get("methods") or {}).values()]
    if not values or found["num_images"] < MIN_TEST_IMAGES:
        return []
    was = f"{percent(values[1], 1)} with the best rival" if len(values) == 2 else ""
    return [{"value": percent(values[0], 1), "label": "accuracy, cross-validated", "was": was}]


def _by_count(report: Report) -> list[str]:
    """Return the class names, most frequent first."""
    counts = report["data"]["class_counts"]
    return sorted(report["data"]["class_names"], key=lambda name: -(counts.get(name) or 0))


def recall_rows(report: Report, before: str | None, after: str | None) -> list[RecallRow]:
    old = recalls(report, before) if before else {}
    new = recalls(report, after) if after else {}
    intervals = _recall_intervals(report, after)
    rows: list[RecallRow] = []
    tested = report["data"].get("test_class_counts") or {}
    for name in _by_count(report):
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
        for name in _by_count(report)
    ]


def _accepted_by_class(report: Report) -> dict[str, int]:
    """Return the number of accepted synthetic images per class; if that was not recorded, the planned number."""
    accepted = report["synthesis"].get("accepted_by_class")
    cells = accepted if accepted is not None else report["plan"].get("num_to_generate") or {}
    classes = _class_of_cells(report)
    return {
        name: sum(n for cell, n in cells.items() if classes.get(cell) == name) for name in report["data"]["class_names"]
    }


def _class_of_cells(report: Report) -> dict[str, str]:
    """Return the class of each class or group of the plan; older reports name none, and their groups contain a bar."""
    plan = report["plan"]
    cells = {*(plan.get("num_to_generate") or {}), *(plan.get("prompts") or {})}
    is_grouped = plan.get("by") == "group"
    return {cell: cell.split(" | ")[0] if is_grouped else cell for cell in cells} | (plan.get("class_of") or {})


def gallery(report: Report, images: ReportImages) -> list[GalleryRow]:
    """Return the classes with their example images, rarest first."""
    shown = [name for name in reversed(_by_count(report)) if images.real.get(name) or images.synthetic.get(name)]
    samples: dict[str, list[str]] = {}
    classes = _class_of_cells(report)
    for cell, prompts in (report["plan"].get("prompts") or {}).items():
        samples.setdefault(classes[cell], []).extend(prompts)
    wanted: dict[str, int] = {}
    for cell, number in (report["plan"].get("num_to_generate") or {}).items():
        wanted[classes[cell]] = wanted.get(classes[cell], 0) + number
    return [
        {
            "name": name,
            "count": report["data"]["class_counts"].get(name),
            "num_wanted": wanted.get(name, 0),
            "real": list(images.real.get(name, ())),
            "synthetic": _with_prompts(images.synthetic.get(name, ()), images.prompts.get(name, ())),
            "prompts": list(images.prompts.get(name) or samples.get(name) or ())[:3],
            "rejected": [(image, reason_text(reason)) for image, reason in images.rejected.get(name, ())],
        }
        for name in shown[:MAX_CLASSES_WITH_IMAGES]
    ]


def _with_prompts(images: Sequence[Image.Image], prompts: Sequence[str]) -> list[tuple[Image.Image, str]]:
    padded = [*prompts, *[""] * len(images)]
    return list(zip(images, padded, strict=False))


def rejections(report: Report) -> list[RejectionRow]:
    counts = {reason: count for reason, count in (report["synthesis"].get("rejected") or {}).items() if count}
    by_class = report["synthesis"].get("rejected_by_class") or {}
    num_images = sum(counts.values()) + (report["synthesis"].get("accepted") or 0)
    rows: list[RejectionRow] = []
    for reason in sorted(counts, key=lambda name: -counts[name]):
        hit = {name: reasons.get(reason, 0) for name, reasons in by_class.items() if reasons.get(reason)}
        rows.append(
            {
                "reason": reason_text(reason),
                "count": counts[reason],
                "share": counts[reason] / num_images,
                "classes": sorted(hit.items(), key=lambda item: -item[1])[:3],
            }
        )
    return rows


def confusions(report: Report, methods: Sequence[str | None]) -> list[ConfusionTable]:
    names = report["data"]["class_names"]
    shown: list[ConfusionTable] = []
    for method in dict.fromkeys(methods):
        found = (report.get("confusions") or {}).get(method) if method else None
        if found is None:
            continue
        matrix = np.asarray(found["matrix"] or np.zeros((len(names), len(names)), int))
        if matrix.shape != (len(names), len(names)):
            raise DataError(
                f"The confusion matrix of {method} has shape {matrix.shape}; expected {(len(names), len(names))}."
            )
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        rows = list(zip(names, shares.tolist(), strict=True)) if found["matrix"] else []
        shown.append({"title": title(method), "names": names, "rows": rows, "pairs": found["pairs"]})
    return shown


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
    return {"titles": [title(name) for name in runs], "single": single, **_group_tables(runs, spreads)}


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
    own = {"mean_recall", *COLUMNS}  # in the table of results
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


def gap_rows(report: Report) -> list[dict[str, object]]:
    """Return the gap between real and synthetic images: overall, then for each class with synthetic images."""
    found = report.get("gap") or {}
    by_class = [(name, gap) for name, gap in (found.get("per_class") or {}).items() if gap.get("num_synthetic")]
    overall = [("All", found["overall"])] if found.get("overall") else []
    audit = report.get("audit") or {}
    lights = (audit.get("per_class") or {}) | {"All": audit.get("overall") or {}}
    return [{"name": name, "light": (lights.get(name) or {}).get("color")} | gap for name, gap in overall + by_class]


def light(report: Report) -> LightRow:
    """Return the traffic light over all synthetic images: its color, one sentence, and the features used; or nothing.

    ``cannot_judge`` lists the classes of which the gate ``off_class`` could not judge images.
    """
    audit = report.get("audit") or {}
    lacking = ", ".join(f"{name} ({number:,})" for name, number in (report.get("cannot_judge") or {}).items())
    return {
        "color": (audit.get("overall") or {}).get("color"),
        "sentence": audit.get("sentence"),
        "usable": audit.get("usable", True),
        "features": (report.get("gap") or {}).get("features"),
        "cannot_judge": lacking,
    }


def settings(content: Mapping[str, object], *, prefix: str = "") -> list[tuple[str, object]]:
    """Return nested options as one flat list of dotted names and values."""
    flat: list[tuple[str, object]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            flat += settings(value, prefix=f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else value))
    return flat


def costs(report: Report) -> list[tuple[str, str, float]]:
    """Return the costs of the run, as label, kind of number and number."""
    synthesis, disk = report["synthesis"], report.get("disk") or {}
    rows = [
        ("Making images", "duration", synthesis.get("seconds")),
        ("Images per second", "number", synthesis.get("images_per_second")),
        ("Training", "duration", report["training"].get("seconds")),
        ("Disk, synthetic images", "size", disk.get("synthetic")),
        ("Disk, trained networks", "size", disk.get("checkpoints")),
        ("Disk, all of the run", "size", disk.get("all")),
    ]
    return [(label, kind, number) for label, kind, number in rows if number is not None]
