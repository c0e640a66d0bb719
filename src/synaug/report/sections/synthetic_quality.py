"""Compute how good the synthetic images are, for the HTML report."""

from __future__ import annotations

import math

from synaug.report.rows import LightRow, RejectionRow
from synaug.report.summary import reason_text
from synaug.schemas import Report

_ALIKE = 1.15  # factor between amplitudes that still count as equal


def rejections(report: Report) -> list[RejectionRow]:
    """Return the number of rejected images per reason, most frequent reason first, with its three main classes."""
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


def fine_detail(report: Report) -> str:
    """Return how much fine detail the synthetic images have, and what training does about it; empty if unknown."""
    found = (report.get("gap") or {}).get("fine_detail")
    if found is None:
        return ""
    if abs(math.log(found)) < math.log(_ALIKE):
        return "The synthetic images have as much fine detail as the real ones."
    is_matched = (report["training"].get("options") or {}).get("match_spectrum", False)
    remedy = (
        "Training reduces the difference, in each image by a random share of it"
        if is_matched
        else "Training leaves it; train.match_spectrum would reduce it"
    )
    kind, times = ("less" if found < 1 else "more"), f"{found:.2g}" if found < 10 else f"{found:,.0f}"
    return (
        f"The synthetic images have {kind} fine detail than the real ones: {times} times their amplitude in the "
        f"finer half of the spectrum. {remedy}."
    )
