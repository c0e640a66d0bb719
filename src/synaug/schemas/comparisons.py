"""Comparisons of methods on the same real images: on the test images, and by cross-validation."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from synaug.schemas.result import MORE, Ends


class Difference(TypedDict):
    """A paired difference of two methods and its 95 % interval; positive if the first is better."""

    difference: float
    interval: Ends


@with_config(MORE)
class Comparison(TypedDict, total=False):
    """The run's classifier compared with the best method of the other kind; empty if there is none."""

    method: str
    other: str
    other_uses_synthetic: bool
    num_images: int
    num_seeds: int
    accuracy: Difference
    mean_recall: Difference
    worst_group_accuracy: Annotated[Difference, Field(description="if it leads the report")]


class Score(TypedDict):
    """A mean over the repeats, its standard deviation over the folds, and its 95 % interval."""

    mean: float
    spread: float | None
    interval: Ends


class ClassRecall(TypedDict):
    """The recall of a class over all its real images."""

    recall: float | None
    interval: Ends
    images: int


class Behind(TypedDict):
    """The lead of the first method's scores."""

    accuracy: Difference
    mean_recall: Difference
    worst_group_accuracy: NotRequired[Difference]


class MethodScores(TypedDict):
    """The cross-validated scores of one method; ``behind`` for all but the first."""

    accuracy: Score
    mean_recall: Score
    worst_group_accuracy: Annotated[NotRequired[Score], Field(description="if it leads the report")]
    per_class: dict[str, ClassRecall]
    behind: NotRequired[Behind]


@with_config(MORE)
class CrossValidation(TypedDict, total=False):
    """Scores over all real images, each predicted by a model that did not learn from it; empty without folds."""

    schema_version: int
    key: str
    folds: int
    repeats: int
    num_images: Annotated[int, Field(description="real images that were held out in turn")]
    methods: Annotated[
        dict[str, MethodScores], Field(description="scores by method, that of the chosen classifier first")
    ]
