"""Define the format of ``report.json`` as models that validate it and provide its JSON schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A part of the report; later versions may add keys without a new schema version."""

    model_config = ConfigDict(extra="allow")


class Data(Section):
    """The real images, before anything was generated."""

    source: str
    class_names: list[str]
    class_counts: dict[str, Count] = Field(description="training images per class")
    group_counts: dict[str, Count] = Field(description="training images per class x attribute group")
    num_images: Count = Field(description="training images")
    num_test_images: Count
    test_class_counts: dict[str, Count] = Field(default_factory=dict)
    imbalance_factor: float | None = Field(description="largest / smallest class; null if a class is empty")
    many: Count = Field(description="classes with more than 100 training images")
    medium: Count = Field(description="classes with 20 to 100 training images")
    few: Count = Field(description="classes with fewer than 20 training images")
    quarantined: list[tuple[str, str]] = Field(description="images that cannot be used: path and reason")


class Plan(Section):
    """The missing images, and the plan to generate them."""

    by: Literal["class", "group"]
    target: str | float | dict[str, int]
    variant: str
    model: str
    template: str
    num_to_generate: dict[str, Count] = Field(description="images to generate per class or group")
    digest: str


class Synthesis(Section):
    """The generated and rejected images."""

    requested: Count
    accepted: Count
    missing: Count
    rejected: dict[str, Count] = Field(description="rejected images per reason")
    seconds: float | None
    images_per_second: float | None = None


class Training(Section):
    """How the classifiers were trained."""

    network: str
    steps: int | None
    batch_size: int
    methods: dict[str, str] = Field(description="description of each method")


class Result(Section):
    """The scores of one method and seed on the real test images; undefined values are null."""

    method: str
    seed: int
    accuracy: Fraction | None
    many: Fraction | None = Field(description="mean recall of the classes with many training images")
    medium: Fraction | None
    few: Fraction | None
    worst_class: Fraction | None = Field(description="lowest recall of any class with test images")
    per_class: dict[str, Fraction | None] = Field(description="recall per class")
    seconds: float


class Choice(Section):
    """The chosen classifier, judged on real images that it was not trained on; empty without a choice."""

    chosen: str | None = Field(None, description="method whose classifier was chosen")
    best: str | None = Field(None, description="method with the highest score")
    metric: str | None = Field(None, description="mean_recall or worst_group_accuracy")
    judged_on: str | None = Field(None, description="validation images, or folds of the training images")
    num_images: int | None = Field(None, description="real images that the candidates were judged on")


class CrossValidation(Section):
    """Scores over all real images, each predicted by a model that did not learn from it; empty without folds."""

    folds: int | None = None
    repeats: int | None = None
    num_images: int | None = Field(None, description="real images that were held out in turn")
    methods: dict[str, Any] = Field({}, description="scores by method, that of the chosen classifier first")


class Audit(Section):
    """The usability of the synthetic images, in one sentence; lights are ``overall`` and ``per_class``."""

    sentence: str = ""
    usable: bool = True


class Report(Section):
    """``report.json``: what a run counted, planned, generated, trained and measured."""

    schema_version: Literal[1]
    synaug_version: str
    name: str
    created: str = Field(description="ISO 8601, UTC")
    command: str
    machine: str
    versions: dict[str, str | None]
    seconds: float | None
    data: Data
    plan: Plan
    synthesis: Synthesis
    training: Training
    results: list[Result]
    choice: Choice = Choice()
    cross_validation: CrossValidation = CrossValidation()
    classifier: str = Field("", description="method whose classifier the run hands over; empty if none may be used")
    audit: Audit | None = Field(None, description="judgment of the synthetic images; empty without any")
    cannot_judge: dict[str, Count] = Field({}, description="classes with too few real images for off_class to judge")
    warnings: list[str]
