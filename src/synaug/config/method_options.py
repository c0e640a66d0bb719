"""Options of the section ``methods``: what single methods do differently."""

from __future__ import annotations

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from synaug.config.section import Section
from synaug.config.train_options import RetrainOptions, StageOptions
from synaug.errors import unknown


class ImagesOptions(Section):
    """Which images a method trains on, for studies; default: all."""

    synthetic_per_class: int | None = Field(None, ge=0, description="maximum number of synthetic images per class")
    replaced: float | None = Field(
        None, ge=0, le=1, description="share of each class's real images that synthetic ones replace"
    )
    replaced_classes: tuple[str, ...] = Field((), description="classes whose real images are all replaced")


def _inside(section: str, error: ValidationError) -> ValidationError:
    """Return the error with locations that begin with the section."""
    faults = [
        InitErrorDetails(type=each["type"], loc=(section, *each["loc"]), input=each["input"], ctx=each.get("ctx", {}))
        for each in error.errors()
    ]
    return ValidationError.from_exception_data(error.title, faults)


class MethodOptions(Section):
    """What one method does differently; ``stage1`` and ``retrain`` hold fields of the sections of those names."""

    method: str | None = Field(
        None, description="method that this entry is a variant of; default: the method of that name"
    )
    starts_from: str | None = Field(None, description="method whose features are used instead of the default")
    groups_from: str | None = Field(
        None,
        description="if the attribute is unknown: the method whose features predict it, or own: one group per class",
    )
    network: str | None = Field(None, description="replaces train.network; preprocessing stays that of train.network")
    images: ImagesOptions = ImagesOptions()
    stage1: dict[str, object] = Field({}, description="options that differ from train.stage1")
    retrain: dict[str, object] = Field({}, description="options that differ from train.retrain")

    @model_validator(mode="after")
    def _overrides_are_allowed(self) -> MethodOptions:
        for section, kind in (("stage1", StageOptions), ("retrain", RetrainOptions)):
            for name in getattr(self, section):
                if name not in kind.model_fields:
                    raise ValueError(
                        str(unknown("option", f"{section}.{name}", [f"{section}.{n}" for n in kind.model_fields]))
                    )
            try:
                kind.model_validate(getattr(self, section))
            except ValidationError as error:
                raise _inside(section, error) from None
        return self
