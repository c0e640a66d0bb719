"""The result of a method: ``result.json``, and an entry of a report's ``results``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Ends = Annotated[Sequence[float | None], Field(min_length=2, max_length=2, description="of a 95 % interval")]
MORE = ConfigDict(extra="allow")  # later versions may add keys without a new schema version


@with_config(MORE)
class Intervals(TypedDict, total=False):
    """The 95 % intervals of the numbers of a result, by the same names."""

    accuracy: Ends
    mean_recall: Ends
    many: Ends
    medium: Ends
    few: Ends
    worst_class: Ends
    per_class: dict[str, Ends | None]
    worst_group_accuracy: Ends
    mean_group_accuracy: Ends
    train_weighted_accuracy: Ends
    per_group: dict[str, Ends | None]


@with_config(MORE)
class GroupScores(TypedDict, total=False):
    """The scores between the groups of class and attribute; the gaps have further keys."""

    worst_group_accuracy: float | None
    mean_group_accuracy: float | None
    train_weighted_accuracy: float | None
    per_group: dict[str, float | None]
    intervals: Intervals
    min_cell: int
    num_unmeasured_groups: int
    num_small_groups: int


@with_config(MORE)
class Scores(GroupScores, total=False):
    """The scores of one classifier on real images, as fractions."""

    accuracy: float | None
    mean_recall: float | None
    many: float | None
    medium: float | None
    few: float | None
    worst_class: float | None
    calibration_error: float | None
    per_class: dict[str, float | None]
    by_attribute: dict[str, GroupScores]
    validation: Scores


class Registered(TypedDict):
    """The properties of a method that readers of results need, so that nothing is derived from its name."""

    uses_synthetic: bool
    is_bound: bool
    problem: str | None


@with_config(MORE)
class Result(TypedDict):
    """The scores of one method and seed on the real test images; undefined values are null."""

    method: str
    seed: int
    accuracy: Fraction | None
    many: Annotated[Fraction | None, Field(description="mean recall of the classes with many training images")]
    medium: Fraction | None
    few: Fraction | None
    worst_class: Annotated[Fraction | None, Field(description="lowest recall of any class with test images")]
    per_class: Annotated[dict[str, Fraction | None], Field(description="recall per class")]
    seconds: float
    uses_synthetic: NotRequired[bool]
    is_bound: NotRequired[bool]
    problem: NotRequired[str | None]
    mean_recall: NotRequired[float | None]
    calibration_error: NotRequired[float | None]
    worst_group_accuracy: NotRequired[float | None]
    mean_group_accuracy: NotRequired[float | None]
    train_weighted_accuracy: NotRequired[float | None]
    per_group: NotRequired[dict[str, float | None]]
    by_attribute: NotRequired[dict[str, GroupScores]]
    intervals: NotRequired[Intervals]
    min_cell: NotRequired[int]
    num_unmeasured_groups: NotRequired[int]
    num_small_groups: NotRequired[int]
    validation: NotRequired[Scores]
    synthetic: NotRequired[str]
    options: NotRequired[dict[str, object]]


class SeedScores(TypedDict):
    """The mean and the standard deviation of each number of a method over its seeds."""

    num_seeds: int
    mean: Scores
    deviation: Scores
