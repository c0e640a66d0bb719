"""Select the example images of the HTML report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from synaug.report.duplicate_pairs import Pairs
from synaug.report.rows import GalleryRow
from synaug.report.sections.class_rows import class_of_cells, classes_by_count
from synaug.report.summary import reason_text
from synaug.schemas import Report

MAX_CLASSES_WITH_IMAGES = 60


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


def gallery(report: Report, images: ReportImages) -> list[GalleryRow]:
    """Return the classes with their example images, rarest first."""
    shown = [name for name in reversed(classes_by_count(report)) if images.real.get(name) or images.synthetic.get(name)]
    samples: dict[str, list[str]] = {}
    classes = class_of_cells(report)
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
