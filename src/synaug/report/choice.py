"""Explain in plain words what a run chose: its classifier and its number of images, why, and how certainly."""

from __future__ import annotations

import math

from synaug.report.results_table import is_unusable, method_title, number_or_nan, percent, spoken
from synaug.schemas import Choice, Gain, Report

METRICS = {
    "mean_recall": "mean recall",
    "mean_group_accuracy": "mean accuracy over the groups",
    "worst_group_accuracy": "accuracy of the worst group",
}
CERTAIN = 0.95  # minimum certainty of a lead that counts as certain
ENOUGH = 0.95  # recall of the rarest class above which it needs no help
FEWEST_TESTED = 10
_LEAST_SHOWN = 0.0005  # a smaller difference is 0.0 points


def choice_sentences(report: Report) -> list[str]:
    """Return sentences on the choice, on the benefit of synthetic images and on the test; empty without a choice."""
    choice = report.get("choice") or {}
    if not choice or (is_unusable(report) and _uses_synthetic(choice)):  # of an audit before the present one
        return []
    return [sentence for sentence in (_chosen(choice), _synthetic(report, choice), _tested(report, choice)) if sentence]


def need_sentence(report: Report) -> str:
    """Return a note if a method without synthetic images already recognizes the rarest class, else an empty string."""
    counts = report["data"]["class_counts"]
    real = {row["method"] for row in (report.get("choice") or {}).get("candidates", []) if not row["uses_synthetic"]}
    results = [result for result in report["results"] if result["method"] in real]
    if not counts or not results or not report["synthesis"].get("requested"):
        return ""
    rarest = min(counts, key=lambda name: counts[name])
    best = max(results, key=lambda result: number_or_nan(result["per_class"].get(rarest)))
    tested = (report["data"].get("test_class_counts") or {}).get(rarest) or 0
    return may_not_need(rarest, best["method"], number_or_nan(best["per_class"].get(rarest)), num_tested=tested)


def may_not_need(rarest: str, method: str, recall: float, *, num_tested: int) -> str:
    """Return a note on the recall of the rarest class with a method of real images alone, or an empty string.

    Fewer than ``FEWEST_TESTED`` test images of the class are too little evidence to advise against synthetic images.
    """
    if math.isnan(recall) or recall < ENOUGH or num_tested < FEWEST_TESTED:
        return ""
    share = f"{percent(recall)} of the rarest class, {rarest}"
    return f"You may not need synthetic images: {spoken(method)} recognizes {share}."


def _chosen(choice: Choice) -> str:
    candidates = choice["candidates"]
    if not candidates:
        return f"Chosen: {spoken(choice['chosen'])}, the simplest method. No real image could be held out to compare."
    own = next(row for row in candidates if row["method"] == choice["chosen"])
    where = (
        f"{choice['num_images']:,} validation images"
        if choice["judged_on"] == "validation"
        else f"{choice['num_images']:,} real training images, each judged by a model that did not learn from it"
    )
    among = f"Chosen from {len(candidates)} candidates" if len(candidates) > 1 else "The only candidate"
    said = (
        f"{among}: {spoken(choice['chosen'])} ({choice['chosen']}), with "
        f"{METRICS[choice['metric']]} {_with_error(own['score'], own['error'])} on {where}."
    )
    if choice["best"] == choice["chosen"]:
        return said
    best = choice["best"] or choice["chosen"]
    return (
        f"{said} {method_title(best)} is {100 * own['behind']:.1f} points higher there, less than one "
        f"standard error ({_points(own['behind_error'])}), so the method without synthetic images is kept."
    )


def _synthetic(report: Report, choice: Choice) -> str:
    rival = choice["rival"]
    if rival is None:
        return ""
    used = _uses_synthetic(choice)
    points = f"{100 * abs(rival['difference']):.1f} points (standard error {_points(rival['error'])})"
    if used:
        certainty = number_or_nan(rival["certainty"])
        helped = (
            "Synthetic images helped"
            if certainty >= CERTAIN and not _can_be_chance(report)
            else "Synthetic images seem to help, but this can be chance"
        )
        is_sure = helped.endswith("helped") and not math.isnan(certainty)
        sure = f" The chosen one is better with a probability of {_probability(certainty)}." if is_sure else ""
        without = f"on those images the best method without them, {spoken(rival['method'])},"
        return f"{helped}: {without} is {points} lower.{sure}"
    with_them = f"on those images the best method with them, {spoken(rival['method'])},"
    if abs(rival["difference"]) < _LEAST_SHOWN:
        return f"Synthetic images made no difference: {with_them} is as good."
    if rival["difference"] > 0:
        return f"Synthetic images did not help: {with_them} is {points} lower."
    return f"Synthetic images did not help measurably: {with_them} is {points} higher, which can be chance."


def _uses_synthetic(choice: Choice) -> bool:
    return any(row["uses_synthetic"] for row in choice["candidates"] if row["method"] == choice["chosen"])


def _can_be_chance(report: Report) -> bool:
    """Return whether the cross-validation or, without one, the test leaves it open which kind of method is better.

    The headline comes from there, and no sentence may be more certain than the headline.
    """
    methods = (report.get("cross_validation") or {}).get("methods") or {}
    behind = [scores["behind"] for scores in methods.values() if scores.get("behind")]
    found = [each.get("worst_group_accuracy") or each["accuracy"] for each in behind]
    compared = report.get("comparison") or {}
    if not methods and compared.get("accuracy"):
        found = [compared.get("worst_group_accuracy") or compared["accuracy"]]
    ends = [[number_or_nan(end) for end in difference["interval"]] for difference in found]
    return any(low <= 0 <= high for low, high in ends)


def _tested(report: Report, choice: Choice) -> str:
    result = next((row for row in report["results"] if row["method"] == choice["chosen"]), None)
    if result is None:
        return ""
    number = report["data"].get("num_test_images")
    value = percent(result.get(choice["metric"]), 1)
    return (
        f"On the {number:,} test images, which had no part in the choice, its {METRICS[choice['metric']]} is {value}."
    )


def _probability(certainty: float) -> str:
    """Return a probability in words; nothing measured on images is certain.

    >>> _probability(0.962), _probability(0.99997)
    ('96.2 %', 'more than 99.9 %')
    """
    return percent(certainty, 1) if certainty < 0.9995 else "more than 99.9 %"


def _points(error: float | None) -> str:
    shown = number_or_nan(error)
    return "n/a" if math.isnan(shown) else f"{100 * shown:.1f}"


def _with_error(value: float, error: float | None) -> str:
    shown = number_or_nan(error)
    return percent(value, 1) if math.isnan(shown) else f"{100 * value:.1f} ± {100 * shown:.1f} %"


def amount_sentence(report: Report) -> str:
    """Return the rounds of a run with ``plan.target: auto``; empty for others."""
    amount = report.get("amount") or {}
    rounds = amount.get("rounds") or []
    if not rounds:
        return ""
    first, *later = rounds
    said = [
        f"the first {first['num_images']:,} changed mean recall on held-out training images by {_gain(first['all'])}"
    ]
    said += [f"{each['num_images']:,} by another {_gain(each['all'])}" for each in later]
    text = f"Of {amount['most']:,} images that would fill up all classes, {', '.join(said)}."
    if not amount.get("is_final"):
        return text
    if len(rounds) > 1 and amount["shares"] == rounds[-2]["shares"] != rounds[-1]["shares"]:
        return f"{text} The plan went back to {rounds[-2]['num_images']:,}."
    if rounds[-1]["num_images"] < amount["most"]:
        return f"{text} Therefore the others were not generated."
    return text


def _gain(gain: Gain) -> str:
    """Return a change in percentage points with its standard error."""
    points = round(100 * number_or_nan(gain["gain"]), 1) + 0.0  # not -0.0
    return f"{points:+.1f} ± {100 * number_or_nan(gain['error']):.1f} points"
