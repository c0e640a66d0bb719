"""``gap.json``: how far the synthetic images of a run are from its real ones, and whether they can be trained on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import with_config
from typing_extensions import TypedDict

from synaug.schemas.complete_objects import empty_or_with
from synaug.schemas.result import MORE

Color = Literal["green", "amber", "red", "gray", "grey"]  # "grey" in files of before December 2026


@with_config(MORE)
class Kid(TypedDict):
    """The kernel inception distance, and its deviation over subsets."""

    mean: float | None
    deviation: float | None


@with_config(MORE)
class Manifold(TypedDict):
    """The shares of images inside the manifold of the other side."""

    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None


@with_config(MORE)
class GapOfImages(TypedDict):
    """The gap between two sets of images, all of them or those of one class; undefined numbers are null."""

    num_real: int
    num_synthetic: int
    probe_accuracy: float | None
    kid: Kid
    manifold: Manifold
    real_diversity: float | None
    synthetic_diversity: float | None


@with_config(MORE)
class Gap(TypedDict, total=False):
    """The gap of all images and of each class, and the features that it was measured on.

    ``fine_detail``: amplitude of synthetic over that of real images in the finer half of their spectrum.
    """

    features: str
    fine_detail: float | None
    overall: GapOfImages
    per_class: dict[str, GapOfImages]


@with_config(MORE)
class Light(TypedDict, total=False):
    """A traffic light and its reasons, with the shares of images behind it."""

    color: Color | None
    findings: list[str]
    noise: float | None
    constant: float | None
    duplicates: float | None
    recognized: float | None
    real_recognized: float | None


@with_config(MORE)
class Audit(TypedDict, total=False):
    """The usability of the synthetic images, in one sentence, and a traffic light overall and per class."""

    sentence: str
    usable: bool
    overall: Light
    per_class: dict[str, Light]


class MeasuredGap(TypedDict, total=False):
    """The digest of the synthetic images, the rejections by reason and, if there are any, the gap and the audit."""

    revision: int
    images: str
    rejected: dict[str, int]
    gap: Annotated[Gap, empty_or_with("features", "overall", "per_class")]
    audit: Annotated[Audit, empty_or_with("sentence", "usable", "overall")]
