"""``choice.json``: which classifier a run hands over, and how the candidates compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, with_config
from typing_extensions import TypedDict

from synaug.schemas.result import MORE


class Candidate(TypedDict):
    """The standing of a candidate: its score, and how far it is behind the best one, each with its standard error."""

    method: str
    uses_synthetic: bool
    score: float
    error: float | None
    behind: float
    behind_error: float | None


class Rival(TypedDict):
    """The best candidate of the other kind, and by how much the chosen one leads."""

    method: str
    difference: float
    error: float | None
    certainty: float | None


@with_config(MORE)
class Choice(TypedDict, total=False):
    """The chosen classifier, judged on real images that it was not trained on; empty without a choice."""

    schema_version: int
    key: str
    chosen: Annotated[str, Field(description="method whose classifier was chosen")]
    best: Annotated[str | None, Field(description="method with the highest score")]
    metric: Literal["mean_recall", "mean_group_accuracy", "worst_group_accuracy"]
    judged_on: Annotated[Literal["validation", "folds"], Field(description="validation images or training images")]
    num_images: Annotated[int, Field(description="real images that the candidates were judged on")]
    folds: int | None
    effort: float | None
    candidates: list[Candidate]
    rival: Rival | None
    seconds: float
