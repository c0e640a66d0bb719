"""Embed prompts for a diffusion pipeline, each distinct prompt once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models import Family

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

Texts = tuple[str, str]  # a prompt and its negative prompt
MAX_BYTES = 256 << 20  # of embedded prompts to keep
_TOLD_TO_ENCODERS = ("complex_human_instruction", "max_sequence_length")  # as set by a pipeline that receives text


class PromptEmbeddings:
    """The prompts of a pipeline as its text encoders see them.

    Args:
        pipeline: has the text encoders.
        family: its ``embeddings`` are the pipeline's names for them; a pipeline without any gets the texts.
        guided: whether classifier-free guidance needs negative prompts, too.
    """

    def __init__(self, pipeline: DiffusionPipeline, family: Family, *, guided: bool) -> None:
        self._pipeline, self._names, self._guided = pipeline, family.embeddings, guided
        self._takes = inspect.signature(type(pipeline).__call__).parameters
        self._embedded: dict[Texts, dict[str, torch.Tensor]] = {}

    def arguments(self, texts: Sequence[Texts]) -> dict[str, object]:
        """Return the prompts as arguments of the pipeline, embedded if the family is known."""
        import torch

        if not self._names:
            given: dict[str, object] = {"prompt": [prompt for prompt, _ in texts]}
            return given | (_negative(texts) if "negative_prompt" in self._takes else {})
        missing = [each for each in dict.fromkeys(texts) if each not in self._embedded]
        if missing and _num_bytes(self._embedded) > MAX_BYTES:
            self._embedded.clear()
            missing = list(dict.fromkeys(texts))
        for some in ([each for each in missing if each[1]], [each for each in missing if not each[1]]):
            if some:  # SDXL treats an empty negative prompt differently from none
                self._embedded |= self._encode(some)
        names = self._embedded[texts[0]]
        arguments: dict[str, object] = {
            name: torch.cat([self._embedded[each][name] for each in texts]) for name in names
        }
        return arguments | ({"negative_prompt": None} if "negative_prompt" in self._takes else {})

    def _encode(self, texts: list[Texts]) -> dict[Texts, dict[str, torch.Tensor]]:
        """Return the text encoders' output for each prompt, keyed by pipeline argument."""
        import torch

        encode = self._pipeline.encode_prompt
        offered: dict[str, object] = {
            "prompt": [prompt for prompt, _ in texts],
            "device": self._pipeline._execution_device,
            "num_images_per_prompt": 1,
            "do_classifier_free_guidance": self._guided,
        } | _negative(texts)
        taken = inspect.signature(encode).parameters
        arguments = {name: value for name, value in offered.items() if name in taken}
        arguments |= {name: None for name in ("prompt_2", "prompt_3") if name in taken}
        sizes = [name for name in _TOLD_TO_ENCODERS if name in taken and name in self._takes]
        arguments |= {name: self._takes[name].default for name in sizes}
        with torch.inference_mode(), quiet():
            returned = encode(**arguments)
        named = [each for each in zip(self._names, returned, strict=False) if each[1] is not None]
        return {each: {name: value[i : i + 1] for name, value in named} for i, each in enumerate(texts)}


def _negative(texts: Sequence[Texts]) -> dict[str, list[str]]:
    """Return the argument with the negative prompts; none if all are empty."""
    negatives = [negative for _, negative in texts]
    return {"negative_prompt": negatives} if any(negatives) else {}


def _num_bytes(embedded: Mapping[Texts, Mapping[str, torch.Tensor]]) -> int:
    return sum(value.nbytes for values in embedded.values() for value in values.values())
