"""Defaults of each family of diffusion pipelines: steps, guidance, scheduler, and outputs of its text encoders."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TASK = "(ControlNet)?(Img2Img|Inpaint)?"  # in the names of pipelines
_PAIR = ("prompt_embeds", "negative_prompt_embeds")
_POOLED = (*_PAIR, "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_MASKED = (
    "prompt_embeds",
    "prompt_attention_mask",
    "negative_prompt_embeds",
    "negative_prompt_attention_mask",
)


@dataclass(frozen=True)
class Family:
    """Defaults of a family; ``embeddings`` names the outputs of ``encode_prompt`` as pipeline arguments.

    ``fast_solver`` means that the scheduler in its checkpoints is slow, and DPM-Solver++ needs fewer steps for the same
    result. With empty ``embeddings``, prompts are passed as text.
    """

    name: str
    steps: int
    guidance: float
    embeddings: tuple[str, ...] = ()
    fast_solver: bool = False


_FAMILIES: tuple[tuple[str, str, Family], ...] = (
    # pipeline class, words in the name of the model or its scheduler, family; the first match is used
    (r"StableDiffusion3", r"turbo", Family("SD 3 Turbo", 4, 0.0, _POOLED)),
    (r"StableDiffusion3", r"", Family("SD 3", 28, 7.0, _POOLED)),
    (r"StableDiffusionXL", r"turbo", Family("SDXL-Turbo", 1, 0.0, _POOLED)),
    (r"StableDiffusionXL", r"lcm|lightning|hyper", Family("SDXL few-step", 4, 1.0, _POOLED)),
    (r"StableDiffusionXL", r"", Family("SDXL", 25, 5.0, _POOLED, fast_solver=True)),
    (r"LatentConsistency", r"", Family("LCM", 4, 8.0, _PAIR)),
    (rf"StableDiffusion{_TASK}Pipeline", r"turbo", Family("SD-Turbo", 1, 0.0, _PAIR)),
    (rf"StableDiffusion{_TASK}Pipeline", r"lcm|lightning|hyper", Family("SD few-step", 4, 1.0, _PAIR)),
    (rf"StableDiffusion{_TASK}Pipeline", r"", Family("SD 1 or 2", 25, 7.5, _PAIR, fast_solver=True)),
    (rf"Flux{_TASK}Pipeline", r"schnell", Family("FLUX schnell", 4, 0.0, ("prompt_embeds", "pooled_prompt_embeds"))),
    (rf"Flux{_TASK}Pipeline", r"", Family("FLUX", 28, 3.5, ("prompt_embeds", "pooled_prompt_embeds"))),
    (r"PixArt", r"dmd|lcm", Family("PixArt few-step", 4, 0.0, _MASKED)),
    (r"PixArt", r"", Family("PixArt", 20, 4.5, _MASKED)),
    (r"SanaSprint", r"", Family("Sana Sprint", 2, 4.5)),
    (r"SanaPipeline", r"", Family("Sana", 20, 4.5, _MASKED)),
)  # fmt: skip
OTHER = Family("other", 28, 5.0)


def family_of(pipeline: str, *, model: str = "", scheduler: str = "") -> Family:
    """Return the family of a pipeline class, judged by its name and those of the model and scheduler.

    >>> family_of("StableDiffusionPipeline", model="stabilityai/sd-turbo").guidance
    0.0
    """
    words = f"{model} {scheduler}".lower()
    for pattern, word, family in _FAMILIES:
        if re.match(pattern, pipeline) and re.search(word, words):
            return family
    return OTHER
