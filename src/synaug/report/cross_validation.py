"""Describe a cross-validation in sentences and as the rows of a table."""

from __future__ import annotations

import math
from typing import Literal

from synaug.report.results_table import method_title, number_or_nan, percent, spoken
from synaug.report.rows import FoldsRow
from synaug.schemas import CrossValidation, Difference, Report, Score

FEWEST = 10  # images from which a comparison is worth a sentence
Counted = Literal["accuracy", "mean_recall", "worst_group_accuracy"]


def cross_validation_sentence(report: Report) -> str:
    """Compare the classifier of the run with its best rival over all real images; empty without cross-validation."""
    found = report.get("cross_validation") or {}
    methods = found.get("methods") or {}
    if not methods or found["num_images"] < FEWEST:
        return ""
    name, *others = methods
    in_groups = _worst_group_leads(report)
    used = {each["method"]: each["uses_synthetic"] for each in report["results"]}
    rivals = [each for each in others if used.get(each) != used.get(name)]
    column: Counted = "worst_group_accuracy" if in_groups else "accuracy"
    whose = " of its worst group" if in_groups else ""
    text = f"{_how(found)}, {spoken(name)} recognizes {_with_interval(methods[name][column])}{whose}"
    overall = f"Of all images, it recognizes {_with_interval(methods[name]['accuracy'])}"
    if not rivals:
        return f"{text}. {overall}." if in_groups else f"{text}."
    rival = max(rivals, key=lambda each: methods[each][column]["mean"])
    behind, kind = methods[rival]["behind"], "with" if used.get(rival) else "without"
    text += f", {change(behind[column])} {spoken(rival)}, the best method {kind} synthetic images."
    low, high = (number_or_nan(end) for end in behind[column]["interval"])
    if low <= 0 <= high:
        text += " This difference can be chance."
    if in_groups:
        return f"{text} {overall}, {change(behind['accuracy'])} {spoken(rival)}."
    return f"{text} {class_average(behind['mean_recall'])}"


def _worst_group_leads(report: Report) -> bool:
    methods = (report.get("cross_validation") or {}).get("methods") or {}
    return bool(methods) and all("worst_group_accuracy" in each for each in methods.values())


def recall_sentence(report: Report, name: str) -> str:
    """Return the cross-validated recall of a class with the run's final classifier; empty if unknown."""
    methods = (report.get("cross_validation") or {}).get("methods") or {}
    if not methods:
        return ""
    of_class = next(iter(methods.values()))["per_class"].get(name)
    if of_class is None or not of_class["images"]:
        return ""
    low, high = (100 * number_or_nan(end) for end in of_class["interval"])
    return (
        f"In cross-validation, {percent(of_class['recall'])} of all its {of_class['images']:,} real images are "
        f"recognized (95 % interval {low:.0f} to {high:.0f})."
    )


def cross_validation_columns(report: Report) -> dict[Counted, str]:
    """Return the columns of the table of the cross-validation, with their titles."""
    columns: dict[Counted, str] = {"accuracy": "Accuracy", "mean_recall": "Mean recall"}
    return columns | ({"worst_group_accuracy": "Worst group"} if _worst_group_leads(report) else {})


def cross_validation_rows(report: Report) -> list[FoldsRow]:
    """Return one row per method: title, and per column of the table the value with its spread and its interval."""
    methods = (report.get("cross_validation") or {}).get("methods") or {}
    columns = cross_validation_columns(report)
    return [
        {
            "title": method_title(name),
            "uses_synthetic": next((r["uses_synthetic"] for r in report["results"] if r["method"] == name), False),
            "cells": [(_spread(scores[each]), scores[each]["interval"]) for each in columns],
        }
        for name, scores in methods.items()
    ]


def cross_validation_note(report: Report) -> str:
    """Explain the table of the cross-validation in two sentences; empty without one."""
    found = report.get("cross_validation") or {}
    if not found.get("methods"):
        return ""
    times = f", {found['repeats']} times" if found["repeats"] > 1 else ""
    return (
        f"All {found['num_images']:,} real images in {found['folds']} folds{times}: each is predicted by a model that "
        "did not learn from it or its duplicates. In percent: mean ± standard deviation over the folds, and the 95 % "
        "interval."
    )


def change(found: Difference) -> str:
    """Return a difference in points with its interval, in words that a name follows."""
    points = 100 * found["difference"]
    if abs(points) < 0.05:
        return f"as much as ({_interval(found)})"
    return f"{abs(points):.1f} points {'more' if points > 0 else 'less'} ({_interval(found)}) than"


def class_average(found: Difference) -> str:
    """Return the difference of two mean recalls as a sentence."""
    points = f"{100 * found['difference']:+.1f}".replace("-", "\N{MINUS SIGN}")
    return f"Averaged over the classes, the difference is {points} points ({_interval(found)})."


def _interval(found: Difference) -> str:
    low, high = (100 * number_or_nan(end) for end in found["interval"])
    return f"95 % interval {low:+.1f} to {high:+.1f}".replace("-", "\N{MINUS SIGN}")


def _how(found: CrossValidation) -> str:
    times = f", {found['repeats']} times" if found["repeats"] > 1 else ""
    return f"In {found['folds']}-fold cross-validation{times} of {found['num_images']:,} real images"


def _with_interval(score: Score) -> str:
    low, high = (100 * number_or_nan(end) for end in score["interval"])
    return f"{percent(score['mean'], 1)} (95 % interval {low:.1f} to {high:.1f})"


def _spread(score: Score) -> str:
    spread = number_or_nan(score["spread"])
    return f"{100 * score['mean']:.1f}" + ("" if math.isnan(spread) else f" ± {100 * spread:.1f}")
