"""Options of the section ``plan``: which images are generated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from synaug.config.model_names import STABLE_DIFFUSION, ModelName
from synaug.config.section import MAX_SEED, Section

AUTO = "auto"
NONE = "none"
MAX_TARGET = 100_000_000
CLASS_SPREAD = "class"  # the plan.spread entry whose phrases replace the class name
Spread = dict[str, tuple[str, ...] | dict[str, tuple[str, ...]]]


class PlanOptions(Section):
    """How many images are generated, from which prompts and by which model."""

    by: Literal["class", "group"] = Field("class", description="fill up classes, or class x attribute groups")
    target: float | Literal["uniform", "auto", "none"] | dict[str, int] = Field(
        "uniform",
        description="images wanted: uniform (as many as the largest), auto (up to as many, in rounds, as long as they "
        "help), none (train on the real images alone, without a model), a number, a share of the largest below 1, or "
        "numbers by name of the class (or 'class | attribute'), leaving the others unchanged",
    )
    cap: int | None = Field(None, ge=0, description="maximum number of synthetic images per class or group")
    variant: Literal["text", "intra", "inter", "fitted", "reference", "inpaint"] = Field(
        "text", description="what images are generated from: see docs/howto/references.md and docs/howto/model.md"
    )
    model: ModelName = Field(
        STABLE_DIFFUSION,
        description="'embedded', a diffusers folder, a Hub id (ID@REVISION), or a service (openai:, api:, comfyui:)",
    )
    template: str = Field(
        "a photo of a {modifier} {class}",
        description="prompt; {modifier}, {class} and {attribute} are replaced",
    )
    prompts: str | None = Field(
        None,
        description="file with one complete prompt per row (CSV, TSV or JSONL): class, prompt and, if wanted, "
        "attribute, negative_prompt, weight and spread.NAME; replaces the template",
    )
    modifiers: tuple[str, ...] | None = Field(None, description="words for {modifier}; default: the built-in list")
    aliases: dict[str, str] = Field({}, description="class name -> name in the prompt")
    attribute_phrases: dict[str, str] = Field(
        {}, description="attribute name -> phrase with {class}, such as 'red {class}' or '{class} on water'"
    )
    spread: Spread = Field(
        {},
        description="phrases that the images of each class take in turn, such as background: [on land, on water], "
        "after the class or at {background}; or lists by class; under the key 'class', the name of the class in "
        "the prompt",
    )
    negative_prompt: str = Field("", description="negative prompt")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="random seed from which the seed of each image is derived")

    @field_validator("spread")
    @classmethod
    def _spread_has_phrases(cls, spread: Spread) -> Spread:
        for name, phrases in spread.items():
            if not name.isidentifier() or name in ("modifier", "attribute"):
                raise ValueError(f"spread: {name!r} is a reserved name; use a word such as background")
            for each in phrases.values() if isinstance(phrases, dict) else [phrases]:
                if not each or not all(phrase.strip() for phrase in each):
                    raise ValueError(f"spread.{name} needs at least one phrase, and no empty ones")
        return spread

    @field_validator("target", mode="before")
    @classmethod
    def _target_is_allowed(cls, target: object) -> object:
        number = target if isinstance(target, int | float) and not isinstance(target, bool) else None
        if isinstance(target, dict) or target in ("uniform", AUTO, NONE) or (number is not None and 0 < number < 1):
            return target
        if number is None or not 1 <= number <= MAX_TARGET or number != int(number):
            raise ValueError(
                f"target must be 'uniform', 'auto', 'none', a whole number from 1 to {MAX_TARGET:,}, a share of the "
                "largest between 0 and 1, or numbers by name of the class"
            )
        return target
