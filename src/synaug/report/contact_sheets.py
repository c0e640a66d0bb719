"""Lay out the images of one class on a page, each with its name, prompt, scores and decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from synaug.report.html import page_template
from synaug.report.summary import reason_text


@dataclass(frozen=True, eq=False)
class Shot:
    """One image of a sheet; ``reason`` is its reason for rejection, ``decision`` the outcome of manual review."""

    name: str
    image: Image.Image
    cell: str = ""
    prompt: str = ""
    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    decision: str = ""
    note: str = ""


def make_sheet(
    class_name: str,
    *,
    real: Sequence[Image.Image],
    accepted: Sequence[Shot],
    rejected: Sequence[Shot],
    num_accepted: int,
    num_rejected: int,
) -> str:
    """Return the page of one class; it needs no network and has no script.

    Args:
        class_name: class of the images.
        real: examples to compare with.
        accepted: accepted images.
        rejected: rejected images.
        num_accepted: number of accepted images, shown or not.
        num_rejected: number of rejected images, shown or not.
    """
    return page_template("sheet.html").render(
        class_name=class_name,
        real=real,
        accepted=accepted,
        rejected=[(shot, reason_text(shot.reason)) for shot in rejected],
        num_accepted=num_accepted,
        num_rejected=num_rejected,
    )


def make_trial_sheet(class_name: str, *, real: Sequence[Image.Image], shots: Sequence[Shot]) -> str:
    """Return the page of one class of a trial: real examples beside its synthetic images."""
    return page_template("trial_sheet.html").render(class_name=class_name, real=real, shots=shots)


def make_trial_index(name: str, rows: Sequence[tuple[str, str, str, str]], note: str = "") -> str:
    """Return the page that links to the sheets of a trial: rows of class, file, verdict and how many are recognized."""
    return page_template("trial.html").render(name=name, rows=rows, note=note)


def make_index(name: str, rows: Sequence[tuple[str, str, int, int]]) -> str:
    """Return the page that links to the sheets: rows of class, file, and numbers of accepted and rejected images."""
    return page_template("sheets.html").render(name=name, rows=rows)
