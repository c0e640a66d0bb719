"""``report.json``: what a run counted, planned, generated, trained and measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from synaug.schemas.amount_file import Amount
from synaug.schemas.choice_file import Choice
from synaug.schemas.comparisons import Comparison, CrossValidation
from synaug.schemas.data import Data
from synaug.schemas.gap import Audit, Gap
from synaug.schemas.result import MORE, Count, Result, SeedScores


@with_config(MORE)
class Plan(TypedDict):
    """The missing images, and the plan to generate them."""

    by: Literal["class", "group"]
    target: str | float | dict[str, int]
    variant: str
    model: str
    template: str
    num_to_generate: Annotated[dict[str, Count], Field(description="images to generate per class or group")]
    digest: str
    class_of: NotRequired[dict[str, str]]
    called: NotRequired[dict[str, str]]
    prompts: NotRequired[dict[str, list[str]]]


class Review(TypedDict, total=False):
    """Images accepted and rejected in manual review, and the reasons of the gates that were overruled."""

    accepted: int
    rejected: int
    overruled: dict[str, int]


@with_config(MORE)
class Synthesis(TypedDict):
    """The generated and rejected images."""

    requested: Count
    accepted: Count
    missing: Count
    rejected: Annotated[dict[str, Count], Field(description="rejected images per reason")]
    seconds: float | None
    images_per_second: NotRequired[float | None]
    model: NotRequired[dict[str, object]]
    review: NotRequired[Review]
    accepted_by_class: NotRequired[dict[str, int]]
    rejected_by_class: NotRequired[dict[str, dict[str, int]]]


@with_config(MORE)
class Training(TypedDict):
    """How the classifiers were trained."""

    network: str
    steps: int | None
    epochs: NotRequired[float | None]
    batch_size: int
    methods: Annotated[dict[str, str], Field(description="description of each method")]
    seconds: NotRequired[float | None]
    curves: NotRequired[dict[str, list[float]]]
    options: NotRequired[dict[str, object]]
    overrides: NotRequired[dict[str, object]]


class Confusions(TypedDict):
    """The confusions of one method: the most frequent mistakes and, for few classes, the whole matrix."""

    pairs: Sequence[Sequence[str | int | float]]
    matrix: list[list[int]] | None


@with_config(MORE)
class Report(TypedDict):
    """``report.json``: what a run counted, planned, generated, trained and measured."""

    schema_version: Literal[1]
    synaug_version: str | None
    name: str
    created: Annotated[str, Field(description="ISO 8601, UTC")]
    command: str
    machine: str
    versions: dict[str, str | None]
    seconds: float | None
    data: Data
    plan: Plan
    synthesis: Synthesis
    training: Training
    results: list[Result]
    amount: NotRequired[Amount]
    choice: NotRequired[Choice]
    cross_validation: NotRequired[CrossValidation]
    comparison: NotRequired[Comparison]
    seeds: NotRequired[dict[str, SeedScores]]
    confusions: NotRequired[dict[str, Confusions]]
    gap: NotRequired[Gap]
    classifier: NotRequired[
        Annotated[str, Field(description="method whose classifier the run hands over; empty if none may be used")]
    ]
    audit: NotRequired[Annotated[Audit, Field(description="judgment of the synthetic images; empty without any")]]
    cannot_judge: NotRequired[
        Annotated[dict[str, Count], Field(description="classes with too few real images for off_class to judge")]
    ]
    disk: NotRequired[dict[str, int]]
    warnings: list[str]
    repeat: NotRequired[list[str]]
    usage: NotRequired[list[str]]


ADAPTER = TypeAdapter(Report)


def report_schema() -> dict[str, object]:
    """Return the JSON schema of ``report.json``."""
    return ADAPTER.json_schema()
