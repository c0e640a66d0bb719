"""``amount.json``: how many synthetic images ``plan.target: auto`` made, and why no more."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, with_config
from typing_extensions import TypedDict

from synaug.schemas.result import MORE

Share = Annotated[float, Field(ge=0, le=1)]


class Gain(TypedDict):
    """The change of the mean recall on held-out real images, with its standard error."""

    gain: float | None
    error: float | None


class Gains(TypedDict):
    """The gains on average over all classes or groups, and over those of each shot bin."""

    all: Gain
    bins: dict[str, Gain]


class Round(Gains):
    """The gains from the images of one round."""

    num_images: Annotated[int, Field(ge=0, description="synthetic images of the plan in this round")]
    shares: Annotated[dict[str, Share], Field(description="their share of the missing ones, by class or group")]


class Decision(TypedDict):
    """The rounds so far, and the shares to plan next."""

    shares: Annotated[dict[str, Share], Field(description="planned share of the missing images, by class or group")]
    rounds: list[Round]
    is_final: Annotated[bool, Field(description="whether the amount is decided")]


@with_config(MORE)
class Amount(TypedDict, total=False):
    """The amount of synthetic images, decided in rounds; empty unless ``plan.target`` is auto."""

    schema_version: int
    key: Annotated[str, Field(description="digest of the options and real images that the rounds were judged with")]
    methods: Annotated[list[str], Field(description="the method without and the one with synthetic images")]
    shares: Annotated[dict[str, Share], Field(description="planned share of the missing images, by class or group")]
    rounds: list[Round]
    is_final: Annotated[bool, Field(description="whether the amount is decided")]
    right: Annotated[
        str, Field(pattern="^[01]*$", description="a digit per held-out image: 1 if this round's method recognized it")
    ]
    most: Annotated[int, Field(ge=0, description="images that would fill up all classes")]
