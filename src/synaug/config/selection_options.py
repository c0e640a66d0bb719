"""Options of the selection of a classifier: the sections ``choose``, ``cross_validate`` (its check)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from synaug.config.section import Section


class ChooseOptions(Section):
    """How the final classifier of a run is selected, on real held-out images."""

    candidates: tuple[str, ...] | None = Field(
        None, description="candidate methods; default: a few, or those of --methods"
    )
    metric: Literal["auto", "mean_recall", "mean_group_accuracy", "worst_group_accuracy"] = Field(
        "auto",
        description="auto: mean recall or, if attributes are known, the accuracy of the worst group (the mean over the "
        "groups if one has fewer than 10 images)",
    )
    folds: int = Field(2, ge=2, le=20, description="folds of cross-fitting, if the data have no validation images")
    effort: float = Field(0.25, gt=0, le=1, description="share of the training steps that each candidate runs per fold")
    budget: float | None = Field(
        None, gt=0, description="time limit of cross-fitting in minutes, estimated from the trainings before it"
    )


class CrossValidateOptions(Section):
    """How the result is checked if there are few test images: by cross-validation over all real images."""

    folds: Annotated[int, Field(ge=0, le=50)] | Literal["auto"] = Field(
        "auto",
        description="folds in which all rows of the table are trained again; 0: none; auto: 5, for the chosen "
        "classifier and its best rival, if the run held out fewer than 30 test images of the rarest class",
    )
    repeats: int = Field(1, ge=1, le=100, description="how often the folds are drawn again")
    minutes: float = Field(10.0, gt=0, description="auto is skipped if it would take longer than this")

    @field_validator("folds")
    @classmethod
    def _one_fold_is_none(cls, folds: int | str) -> int | str:
        if folds == 1:
            raise ValueError("a single fold leaves nothing to train on; use 2 or more, or 0 for none")
        return folds
