"""Summarize the findings of a report in plain words, for the terminal and the HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from synaug.data import FEW_BELOW
from synaug.report.choice import amount_sentence, choice_sentences, need_sentence
from synaug.report.cross_validation import change, class_average, cross_validation_sentence, recall_sentence
from synaug.report.results_table import (
    ResultRow,
    compared_methods,
    is_unusable,
    number_or_nan,
    percent,
    recalls,
    results_table,
    spoken,
)
from synaug.report.seeds import by_method, mean_result
from synaug.runtime import agreeing, counted
from synaug.schemas import Difference, Report

REASONS = {
    "broken": "broken",
    "noise": "noise",
    "non_finite": "not finite",
    "flagged": "flagged by the safety checker",
    "off_class": "off-class",
    "copy": "copies of training images",
    "leak": "copies of test images",
    "collapse": "near-duplicates of one another",
    "review": "rejected in manual review",
}
ALARM = "Warning:"  # starts the one sentence that must be read
FEW_TEST_IMAGES = 30  # test images; a recall on fewer is given with their number
MIN_TEST_IMAGES = 10  # test images; a recall on fewer is not given at all
_NAN = float("nan")


def summary(report: Report) -> list[str]:
    """Return the findings, one or two sentences per item, most important first."""
    before, after = compared_methods(report)
    said = [
        _unusable(report),
        need_sentence(report),
        cross_validation_sentence(report) or _comparison(report),
        *choice_sentences(report),
        _rarest_class(report, before, after),
        _overall(report, before, after),
        _worst_group(report, before, after),
        _other_remedies(report, before, after),
        _losers(report, before, after),
        _synthesis(report),
        amount_sentence(report),
        _review(report),
        _quarantine(report),
    ]
    return [sentence for sentence in said if sentence]


def _unusable(report: Report) -> str:
    """Return the warning about unusable synthetic images, and the classifier that can still be used."""
    if not is_unusable(report):
        return ""
    text = f"{ALARM} {report['audit']['sentence']} Do not use a classifier that learned from them."
    if report["plan"].get("by") == "class" and report["data"].get("group_counts"):
        text = f"{text} If their prompts do not name the attribute, plan with --by group, which names it."
    chosen = report.get("classifier")
    return f"{text} This run hands over {spoken(chosen)}, which learned from real images alone." if chosen else text


def _comparison(report: Report) -> str:
    """Return the paired difference between the run's classifier and the best method of the other kind."""
    found = report.get("comparison") or {}
    if not found:
        return ""
    num = found["num_images"]
    if num < MIN_TEST_IMAGES:
        return f"Only {counted(num, 'test image')}: too few to compare methods."
    means = {row.method: row.means for row in results_table(report["results"])}[found["method"]]
    on, other = f"On {counted(num, 'real test image')}", spoken(found["other"])
    best = f"the best method {'with' if found['other_uses_synthetic'] else 'without'} synthetic images"
    in_groups = found.get("worst_group_accuracy")
    if in_groups:
        worst, all_images = (percent(means[name], 1) for name in ("worst_group_accuracy", "accuracy"))
        texts = [
            f"{on}, {spoken(found['method'])} recognizes {worst} of its worst group, {change(in_groups)} {other}, "
            f"{best}.{_if_chance(in_groups)}",
            f"Of all images, it recognizes {all_images}, {change(found['accuracy'])} {other}.",
        ]
    else:
        accuracy = percent(means["accuracy"], 1)
        texts = [
            f"{on}, {spoken(found['method'])} recognizes {accuracy}, {change(found['accuracy'])} {other}, {best}."
            f"{_if_chance(found['accuracy'])}"
        ]
    counts = set((report["data"].get("test_class_counts") or {}).values())
    if len(counts) > 1:  # else both are the same number
        texts.append(class_average(found["mean_recall"]))
    return " ".join(texts)


def _if_chance(found: Difference) -> str:
    low, high = (number_or_nan(end) for end in found["interval"])
    return " This difference can be chance." if low <= 0 <= high else ""


def _rarest_class(report: Report, before: str | None, after: str | None) -> str:
    counts = report["data"]["class_counts"]
    if not counts:
        return ""
    rarest = min(counts, key=lambda name: counts[name])
    shared = sum(count == counts[rarest] for count in counts.values())
    if shared == len(counts):
        return f"All {shared} classes have {counted(counts[rarest], 'image')}: there was nothing to balance."
    who = "Your rarest class" if shared == 1 else "One of your rarest classes"
    begin = f"{who}, {rarest}, had {counted(counts[rarest], 'training image')}"
    tested = (report["data"].get("test_class_counts") or {}).get(rarest)
    if tested and tested < MIN_TEST_IMAGES:
        unknown = f"On only {counted(tested, 'test image')} its recall cannot be measured reliably."
        return f"{begin}. {recall_sentence(report, rarest) or unknown}"
    old, new = (recalls(report, method)[rarest] if method else _NAN for method in (before, after))
    if math.isnan(old) and math.isnan(new):
        return f"{begin}; its recall was not measured."
    if math.isnan(old) or math.isnan(new):
        return f"{begin}; its recall is {percent(new if math.isnan(old) else old)}."
    few = f", on only {counted(tested, 'test image')}" if tested and tested < FEW_TEST_IMAGES else ""
    return f"{begin}; its recall {_went(old, new)}{_with_other(report, before, after)}{few}."


def _overall(report: Report, before: str | None, after: str | None) -> str:
    rows = {row.method: row for row in results_table(report["results"])}
    if not rows:
        return "Nothing was trained, so there are no results."
    num_test = report["data"].get("num_test_images")
    if num_test and num_test < MIN_TEST_IMAGES:
        return ""
    on = f"On {counted(num_test, 'real test image')}" if num_test else "On the real test images"
    old, new = (rows[method].means["accuracy"] if method else _NAN for method in (before, after))
    if math.isnan(old) or math.isnan(new):
        row = rows.get(after or before or "") or next(iter(rows.values()))
        return f"{on}, accuracy is {percent(row.means['accuracy'], 1)} with {spoken(row.method)}."
    comparison = report.get("comparison") or {}
    if {comparison.get("method"), comparison.get("other")} == {before, after}:
        texts = []
    elif comparison:
        texts = [f"Accuracy {_went(old, new, 1, spoken(before), spoken(after))}."]
    else:
        texts = [f"{on}, accuracy {_went(old, new, 1, spoken(before), spoken(after))}."]
    if not comparison and num_test and abs(new - old) < _chance(old, new, num_test):
        texts.append("A difference this small can be chance with so few test images.")
    elif new < old and not comparison:
        texts.append("Overall, the synthetic images did not help here.")
    few_old, few_new = (rows[method].means["few"] if method else _NAN for method in (before, after))
    if not (math.isnan(few_old) or math.isnan(few_new)) and num_tested(report, few_only=True) >= MIN_TEST_IMAGES:
        texts.append(f"On classes with fewer than 20 training images, accuracy {_went(few_old, few_new, 1)}.")
    return " ".join([*texts, _spread(rows, before or "", after or "")]).rstrip()


def _spread(rows: Mapping[str, ResultRow], before: str, after: str) -> str:
    """Return the number of seeds behind the means, and the spread of accuracy over them."""
    numbers = {row.num_seeds for row in rows.values()}
    if len(numbers) > 1 or numbers == {1}:
        return ""
    spreads = [f"{100 * rows[name].deviations['accuracy']:.1f}" for name in (before, after)]
    return (
        f"All numbers are means of {numbers.pop()} seeds; the standard deviation of accuracy over them is "
        f"{spreads[0]} points with {spoken(before)} and {spreads[1]} with {spoken(after)}."
    )


def _worst_group(report: Report, before: str | None, after: str | None) -> str:
    runs = by_method(report["results"])
    rates = [mean_result(runs[name]).get("per_group") or {} if name else {} for name in (before, after)]
    tested = report["data"].get("test_group_counts") or {}
    known = {
        name: number_or_nan(rate)
        for name, rate in rates[0].items()
        if not math.isnan(number_or_nan(rate)) and (tested.get(name) or MIN_TEST_IMAGES) >= MIN_TEST_IMAGES
    }
    worst = min(known, key=lambda name: known[name], default="")
    new = number_or_nan(rates[1].get(worst))
    if math.isnan(new):
        return ""
    went = f"{_went(known[worst], new)}{_with_other(report, before, after)}"
    return f"Accuracy on the group recognized worst, {worst}, {went}."


def _with_other(report: Report, before: str | None, after: str | None) -> str:
    """Return whose images changed a number, if the run hands over the classifier without them; else nothing."""
    handed_over = (report.get("comparison") or {}).get("method")
    return f" with {spoken(after)}" if after and handed_over is not None and handed_over == before else ""


def _other_remedies(report: Report, before: str | None, after: str | None) -> str:
    rows = {row.method: row for row in results_table(report["results"])}
    others = [
        row
        for row in rows.values()
        if not (row.uses_synthetic or row.is_bound) and row.method != before and not math.isnan(row.means["accuracy"])
    ]
    if report.get("comparison") or after is None or not others or math.isnan(rows[after].means["accuracy"]):
        return ""
    other = max(others, key=lambda row: row.means["accuracy"])
    lead = 100 * (rows[after].means["accuracy"] - other.means["accuracy"])
    reached = f"Without synthetic images, {spoken(other.method)} reached {percent(other.means['accuracy'], 1)}"
    if abs(lead) < 0.05:
        return f"{reached}, as much as {spoken(after)}."
    if lead > 0:
        return f"{reached}, {lead:.1f} points less than {spoken(after)}."
    return f"{reached}, {-lead:.1f} points more than {spoken(after)}: on these data it is the better choice."


def _losers(report: Report, before: str | None, after: str | None) -> str:
    if before is None or after is None:
        return ""
    old, new = recalls(report, before), recalls(report, after)
    tested = report["data"].get("test_class_counts") or {}
    judged = [name for name in old if (tested.get(name) or MIN_TEST_IMAGES) >= MIN_TEST_IMAGES]
    lost = sorted((name for name in judged if new[name] - old[name] <= -0.01), key=lambda name: new[name] - old[name])
    if not lost:
        return ""
    most = lost[0]
    change = f"from {percent(old[most])} to {percent(new[most])}{_with_other(report, before, after)}"
    if len(lost) == 1:
        return f"One of {len(old)} classes lost recall: {most} fell {change}."
    return f"{len(lost)} of {len(old)} classes lost recall; the most, {most}, fell {change}."


def _synthesis(report: Report) -> str:
    synthesis = report["synthesis"]
    requested, accepted = synthesis.get("requested") or 0, synthesis.get("accepted") or 0
    rejected = {reason: count for reason, count in (synthesis.get("rejected") or {}).items() if count}
    num_rejected = sum(rejected.values())
    if not requested and not accepted and not num_rejected:
        return "No synthetic images were requested."
    if not accepted and not num_rejected:
        return f"None of the {requested:,} planned images was generated."
    texts = [f"{counted(accepted, 'synthetic image')} {agreeing(accepted, 'was', 'were')} added."]
    if num_rejected:
        reason = max(rejected, key=lambda name: rejected[name])
        share = "most of them" if 2 * rejected[reason] > num_rejected else "the largest share"
        every = ("all of them" if num_rejected > 1 else "as") if rejected[reason] == num_rejected else share
        texts.append(
            f"{num_rejected:,} of {counted(num_rejected + accepted, 'image')} "
            f"{agreeing(num_rejected, 'was', 'were')} rejected, {every} "
            f"{reason_text(reason).removeprefix('rejected ')}."
        )
    missing = synthesis.get("missing") or 0
    if missing:
        texts.append(f"{missing:,} of the {requested:,} planned images are missing.")
    return " ".join(texts)


def _review(report: Report) -> str:
    review = report["synthesis"].get("review") or {}
    accepted, rejected = review.get("accepted") or 0, review.get("rejected") or 0
    if not accepted and not rejected:
        return ""
    overruled = sum((review.get("overruled") or {}).values())
    against = f", {overruled:,} of them against the gates" if overruled else ""
    return f"Manual review accepted {counted(accepted, 'image')}{against} and rejected {rejected:,}."


def reason_text(reason: str) -> str:
    """Return a rejection reason in words."""
    return REASONS.get(reason, reason.replace("_", " "))


def _quarantine(report: Report) -> str:
    number = len(report["data"].get("quarantined") or [])
    if not number:
        return ""
    return f"{counted(number, 'file')} could not be used and {'was' if number == 1 else 'were'} left out."


def num_tested(report: Report, *, few_only: bool = False) -> float:
    """Return the number of test images, of all classes or of those with fewer than 20 training images.

    Infinite if the report lacks it, as in earlier versions.
    """
    tested, trained = report["data"].get("test_class_counts"), report["data"]["class_counts"]
    if not tested:
        return report["data"].get("num_test_images") or math.inf
    return sum(number for name, number in tested.items() if not few_only or trained.get(name, 0) < FEW_BELOW)


def fewest_in_group(report: Report) -> float:
    """Return the number of test images of the smallest group that has any; infinite if the report lacks them."""
    return min(filter(None, (report["data"].get("test_group_counts") or {}).values()), default=math.inf)


def _went(old: float, new: float, digits: int = 0, before: str = "", after: str = "") -> str:
    """Return the change in words; ``before`` and ``after`` name the methods if given."""
    shown = percent(old, digits), percent(new, digits)
    if shown[0] == shown[1]:
        return f"stayed at {shown[0]}" + (f" with {before} and with {after}" if before else "")
    verb = "rose" if new > old else "fell"
    first, last = (f" with {name}" if name else "" for name in (before, after))
    return f"{verb} from {shown[0]}{first} to {shown[1]}{last}"


def _chance(old: float, new: float, num: int) -> float:
    """Return the half width of a 95 % interval for the difference of two shares of ``num`` images."""
    return 1.96 * math.sqrt((old * (1 - old) + new * (1 - new)) / num)
