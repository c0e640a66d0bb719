"""Options of the section ``quality``: the checks of generated images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synaug.config.model_names import SIGLIP, ModelName
from synaug.config.section import Section


class QualityOptions(Section):
    """The checks that a generated image must pass."""

    gates: tuple[str, ...] = Field(
        ("broken", "noise", "flagged", "off_class", "copy", "leak"), description="checks, in order"
    )
    off_class_quantile: float = Field(
        0.02, ge=0, lt=1, description="share of each class's real images that may score below the threshold"
    )
    scorer: Literal["auto", "classifier", "pretrained", "clip"] = Field(
        "auto",
        description="judge of off_class: a classifier of the real images' thumbnails, a classifier of pretrained "
        "features, or CLIP (or SigLIP) by prompts; auto: for photographs, the last of these that is available",
    )
    scorer_network: str | None = Field(
        None,
        description="scorer pretrained: a timm name, or timm/local-dir:FOLDER; default: train.network if that is "
        "pretrained, else the network of an installed package",
    )
    scorer_model: ModelName = Field(
        SIGLIP,
        description="scorer clip: embedded, which knows clothes only; a folder as transformers saves it; or a Hub "
        "id (ID@REVISION)",
    )
    copy_distance: float = Field(
        0.02,
        ge=0,
        description="mean absolute pixel difference (0 to 1) up to which an image counts as a copy",
    )
    alike_distance: float = Field(
        0.08,
        ge=0,
        description="the same for shifted, mirrored or brightened images, after removing brightness and contrast",
    )
    max_attempts: int = Field(4, ge=1, le=100, description="tries for each slot")
    max_missing: float = Field(
        0.02, ge=0, le=1, description="share of planned images that may be missing without exit code 3"
    )
