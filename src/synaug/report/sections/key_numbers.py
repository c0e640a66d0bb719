"""Compute the large numbers at the top of the HTML report."""

from __future__ import annotations

import math
from collections.abc import Iterator

from synaug.report.cross_validation import cross_validation_columns
from synaug.report.results_table import percent, results_table, spoken
from synaug.report.rows import Fact
from synaug.report.summary import MIN_TEST_IMAGES, fewest_in_group, num_tested
from synaug.schemas import Report


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
    for column, label, num_images in _measured(report):
        values = [rows[name].means[column] if name in rows else math.nan for name in (before, after)]
        shown = [value for value in values if not math.isnan(value)]
        if shown and num_images >= MIN_TEST_IMAGES:
            other = f"{percent(shown[0], 1)} with {spoken(before)}" if len(shown) == 2 else ""
            facts.append({"value": percent(shown[-1], 1), "label": label, "was": other})
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


def _measured(report: Report) -> Iterator[tuple[str, str, float]]:
    """Yield the columns that are large numbers, each with its label and the number of test images behind it."""
    for column, label in (("accuracy", "accuracy"), ("few", "recall of few-image classes")):
        num_images = num_tested(report, few_only=column == "few")
        yield column, label + (f", {num_images:,} test images" if math.isfinite(num_images) else ""), num_images
    yield "worst_group_accuracy", "accuracy of the worst group", fewest_in_group(report)


def _cross_validated_facts(report: Report) -> list[Fact]:
    """Return the cross-validated accuracy of the classifier that the run hands over, and that of the next method."""
    found = report.get("cross_validation") or {}
    values = [scores["accuracy"]["mean"] for scores in (found.get("methods") or {}).values()]
    if not values or found["num_images"] < MIN_TEST_IMAGES:
        return []
    facts: list[Fact] = []
    for column, title in cross_validation_columns(report).items():
        if column != "mean_recall":
            values = [scores[column]["mean"] for scores in found["methods"].values()]
            was = f"{percent(values[1], 1)} with the best rival" if len(values) == 2 else ""
            label = f"{'accuracy' if column == 'accuracy' else f'accuracy of the {title.lower()}'}, cross-validated"
            facts.append({"value": percent(values[0], 1), "label": label, "was": was})
    return facts
