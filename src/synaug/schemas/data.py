"""How data were read and how many images each class and group has: ``count --json``, and a report's ``data``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from synaug.schemas.result import MORE, Count


class LeftOutEntry(TypedDict):
    """Files or rows that were skipped for one reason."""

    reason: str
    suffix: str
    number: int
    examples: list[str]


@with_config(MORE)
class DuplicatePair(TypedDict):
    """Two images that are equal or nearly equal, by their ids."""

    first: str
    second: str
    is_equal: bool


@with_config(MORE)
class Duplicates(TypedDict, total=False):
    """Harmful duplicates: their number and a few examples, per kind."""

    num_leaked: int
    leaked: Sequence[DuplicatePair]
    num_two_labels: int
    two_labels: Sequence[DuplicatePair]
    num_split_groups: int


class Account(TypedDict, total=False):
    """How the data were read: layout, images per split, images marked as synthetic, skipped files and rows, notes."""

    layout: str
    splits: dict[str, int]
    synthetic: dict[str, int]
    left_out: list[LeftOutEntry]
    notes: list[str]
    duplicates: Duplicates


class Counts(TypedDict):
    """The real images of a set by class and by group."""

    num_images: Annotated[Count, Field(description="training images")]
    class_counts: Annotated[dict[str, Count], Field(description="training images per class")]
    group_counts: Annotated[dict[str, Count], Field(description="training images per class x attribute group")]
    group_counts_by_attribute: NotRequired[dict[str, dict[str, Count]]]
    num_without_attribute: NotRequired[Count]
    imbalance_factor: Annotated[float | None, Field(description="largest / smallest class; null if a class is empty")]
    many: Annotated[Count, Field(description="classes with more than 100 training images")]
    medium: Annotated[Count, Field(description="classes with 20 to 100 training images")]
    few: Annotated[Count, Field(description="classes with fewer than 20 training images")]


@with_config(MORE)
class Data(Counts, Account):
    """The real images, before anything was generated."""

    source: str
    class_names: list[str]
    num_test_images: Count
    num_validation_images: NotRequired[Count]
    test_class_counts: NotRequired[dict[str, Count]]
    test_group_counts: NotRequired[dict[str, Count]]
    quarantined: Annotated[list[Sequence[str]], Field(description="images that cannot be used: path and reason")]
