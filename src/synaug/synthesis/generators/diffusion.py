"""Generate images from prompts with any text-to-image or image-to-image pipeline that diffusers loads."""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import numpy as np
from PIL import Image

from synaug.errors import EnvironmentFault, OptionError, SynaugError
from synaug.runtime import is_out_of_memory
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.batch_size import BatchSize
from synaug.synthesis.generators.conditioning import (
    Start,
    edges,
    reference_embeddings,
    restored,
    squared,
    starts_of,
)
from synaug.synthesis.generators.models import Family, GuidanceInterval, limit_of_pipeline
from synaug.synthesis.generators.prompt_embeddings import PromptEmbeddings, Texts
from synaug.synthesis.generators.safety_checker import Mosaics

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline, ModelMixin

T = TypeVar("T")
Problem = Literal["non_finite", "flagged", "refused", "unusable"]


@dataclass(frozen=True)
class Generated:
    """An image, or a problem; then the image is None or, for a flagged one, a mosaic for reviewers."""

    image: Image.Image | None
    problem: Problem | None = None


class Generator(Protocol):
    """Generates one image per prompt and seed; ``images`` are the init images for image-to-image.

    It may return plain images, have a ``batch_size``, and have an ``about`` dict that is added to the provenance.
    """

    def __call__(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> Iterable[Generated | Image.Image]: ...


@dataclass(frozen=True)
class Settings:
    """How the pipeline is called; ``batch_may_vary`` if the user did not set a batch size."""

    steps: int
    guidance: float
    size: int | None
    batch_size: int
    batch_may_vary: bool
    batch_may_grow: bool
    strength: float
    negative_prompt: str
    references: int = 0
    control_scale: float = 1.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)


class DiffusionGenerator:
    """A loaded diffusers pipeline; see ``loading.load_generator``.

    Attributes:
        pipeline: of diffusers.
        about: facts for the provenance.
        prompt_limit: shortens a prompt to the text encoder's limit.
    """

    def __init__(
        self, pipeline: DiffusionPipeline, settings: Settings, *, family: Family, about: dict[str, object]
    ) -> None:
        self.pipeline, self._settings = pipeline, settings
        self._takes = inspect.signature(type(pipeline).__call__).parameters
        self._prompts = PromptEmbeddings(pipeline, family, guided=self._guided)
        self._guidance = GuidanceInterval(settings.guidance, settings.guidance_interval)
        self._guidance.check(pipeline, self._steps_taken())
        self._finite: list[torch.Tensor] = []  # bool (N,) of each batch: finite when decoded, before clamping
        if hasattr(getattr(pipeline, "vae", None), "decoder"):
            pipeline.vae.decoder.register_forward_hook(lambda _m, _i, out: self._finite.append(_is_finite(out)))
        self._mosaics = Mosaics(getattr(pipeline, "safety_checker", None))
        self.about = about
        self.prompt_limit = limit_of_pipeline(pipeline)
        self._batch_size = BatchSize(settings.batch_size, may_grow=settings.batch_may_grow)

    @property
    def batch_size(self) -> int:
        """Images per batch; it adapts to the memory of the device."""
        return self._batch_size.size

    @property
    def batch_may_grow(self) -> bool:
        """Whether larger batches may still be tried."""
        return self._batch_size.may_grow

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int],
        images: Sequence[Image.Image] | None = None,
        masks: Sequence[Image.Image] | None = None,
        references: Sequence[Sequence[Image.Image]] | None = None,
        controls: Sequence[Image.Image] | None = None,
        negative_prompts: Sequence[str] | None = None,
    ) -> list[Generated]:
        """Return one image per prompt.

        Args:
            prompts: N texts.
            seeds: N seeds; an image depends on its own prompt, seed and start only.
            images: N images to start from, for image-to-image and inpainting.
            masks: N images, white where inpainting paints.
            references: N lists of images that the results should look like, for a model with an IP-Adapter.
            controls: N images whose edges the results get, for a model with a ControlNet.
            negative_prompts: N texts; the generator's own replaces empty ones.

        Raises:
            EnvironmentFault: not even a single image fits into memory.
            OptionError: no part of a prompt fits the text encoder.

        Warns:
            UserWarning: a prompt exceeds the text encoder's limit and loses words from its middle.
        """
        own = self._settings.negative_prompt
        negatives = [each or own for each in negative_prompts or [""] * len(prompts)] if self._guided else []
        try:
            texts = list(itertools.zip_longest(self._fitted(prompts), negatives, fillvalue=""))
        except (OverflowError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, SynaugError):
                raise
            raise self._failed(error) from error
        starts = starts_of(len(texts), images, masks, references, controls)
        generated: list[Generated] = []
        while len(generated) < len(texts):
            part = slice(len(generated), len(generated) + self.batch_size)
            try:
                generated += self._batch(texts[part], seeds[part], starts[part])
            except SynaugError:
                raise
            except Exception as error:  # each kind of damage raises its own type
                if not is_out_of_memory(error):
                    raise self._failed(error) from error
                self._batch_size.halve(error)
                self._forget_batch()
            else:
                self._batch_size.grow(len(texts[part]), lambda: _memory_share(self.pipeline.device))
        return generated

    def _fitted(self, prompts: Sequence[str]) -> list[str]:
        """Return the prompts shortened to the text encoder's limit; the tokenizer would cut off their ends instead."""
        fitted = []
        for prompt in prompts:
            kept = self.prompt_limit(prompt)
            if kept is None:
                raise OptionError(f"The text encoder keeps no part of the prompt {prompt!r}. Use shorter words.")
            if kept != prompt:
                warnings.warn(f"The prompt {prompt!r} is too long; the model receives {kept!r}.", stacklevel=3)
            fitted.append(kept)
        return fitted

    def _forget_batch(self) -> None:
        """Free the memory of a batch that did not fit."""
        import torch

        self._finite.clear()
        torch.cuda.empty_cache()

    def _batch(self, texts: Sequence[Texts], seeds: Sequence[int], starts: Sequence[Start]) -> list[Generated]:
        import torch

        self._finite.clear()
        self._mosaics.clear()
        wanted = len(texts)
        if not self._settings.batch_may_vary:
            texts, seeds = _filled(texts, self.batch_size), _filled(seeds, self.batch_size)
            starts = _filled(starts, self.batch_size)
        arguments = self._prompts.arguments(texts) | self._start_arguments(starts)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with torch.inference_mode(), quiet():
            try:
                output = self.pipeline(
                    **arguments,
                    **self._guidance.arguments(self._settings.steps),
                    num_inference_steps=self._steps(),
                    generator=generators,
                    output_type="pt",
                )
            except (ValueError, TypeError, IndexError, AssertionError, KeyError) as error:
                raise self._refused(error) from error
            pixels = output.images
            finite = _is_finite(pixels)
            if sum(map(len, self._finite)) == len(finite):
                finite &= torch.cat(self._finite)
            values = (pixels.float().nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)
            arrays = values.permute(0, 2, 3, 1).cpu().numpy()
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(texts)
        batch = [_generated(*each) for each in zip(arrays, starts, finite.tolist(), flags, strict=True)][:wanted]
        return [self._with_mosaic(*each) for each in enumerate(batch)]

    def _failed(self, error: Exception) -> EnvironmentFault:
        return EnvironmentFault(
            f"The model {self.about.get('model')} makes no image: {type(error).__name__}: {error}. Its files may be "
            "damaged; get them again."
        )

    def _refused(self, error: Exception) -> OptionError:
        """Return the error for settings that the pipeline or its scheduler rejects."""
        settings = self._settings
        return OptionError(
            f"The model {self.about.get('model')} cannot generate with generate.steps {settings.steps}, generate.size "
            f"{settings.size or default_size(self.pipeline)}, generate.guidance {settings.guidance} and the scheduler "
            f"{type(self.pipeline.scheduler).__name__}: {error or type(error).__name__}. Change one of them, or "
            "leave them to the model."
        )

    def _with_mosaic(self, position: int, generated: Generated) -> Generated:
        """Return a flagged image with its mosaic, and any other image unchanged."""
        if generated.problem != "flagged":
            return generated
        side = self._settings.size or default_size(self.pipeline)
        return Generated(self._mosaics.image(position, (side, side)), generated.problem)

    def _steps(self) -> int:
        """Return the steps to request: image-to-image runs only ``strength`` of them, and needs at least one."""
        if "strength" not in self._takes:
            return self._settings.steps
        return max(self._settings.steps, int(np.ceil(1 / self._settings.strength)))

    def _steps_taken(self) -> int:
        """Return the denoising steps of one image."""
        return int(self._steps() * (self._settings.strength if "strength" in self._takes else 1))

    @property
    def _guided(self) -> bool:
        return self._settings.guidance > 1

    def _start_arguments(self, starts: Sequence[Start]) -> dict[str, object]:
        """Return the size and what the images start from, as the pipeline takes it.

        Raises:
            OptionError: the pipeline starts from images, and there are none.
        """
        size, settings = self._settings.size, self._settings
        arguments: dict[str, object] = {}
        if "use_resolution_binning" in self._takes:
            arguments["use_resolution_binning"] = False
        if size is not None and "height" in self._takes:
            arguments |= {"height": size, "width": size}
        side = size or default_size(self.pipeline)
        if settings.references:
            self._check_given([start.references for start in starts], "references")
            found = reference_embeddings(self.pipeline, starts, number=settings.references, guided=self._guided)
            arguments["ip_adapter_image_embeds"] = [found]
        if "strength" in self._takes:
            images = self._check_given([start.image for start in starts], "init images")
            arguments |= {"image": [squared(each.convert("RGB"), side) for each in images]}
            arguments |= {"strength": settings.strength}
        if "mask_image" in self._takes:
            masks = self._check_given([start.mask for start in starts], "masks")
            arguments["mask_image"] = [squared(each, side, Image.Resampling.NEAREST) for each in masks]
        if "controlnet_conditioning_scale" in self._takes:
            controls = self._check_given([start.control for start in starts], "controls")
            name = "control_image" if "control_image" in self._takes else "image"
            arguments[name] = [edges(squared(each.convert("RGB"), side)) for each in controls]
            arguments["controlnet_conditioning_scale"] = settings.control_scale
        return arguments

    def _check_given(self, values: Sequence[T | None], name: str) -> list[T]:
        given = [each for each in values if each]
        if len(given) < len(values):
            raise OptionError(f"{self.about['pipeline']} starts from {name}, but none were given.")
        return given


def _filled(items: Sequence[T], size: int) -> list[T]:
    """Return the items padded to the size with the last one: pixels depend on the shape of the batch."""
    return [*items, *[items[-1]] * (size - len(items))]


def _memory_share(device: torch.device) -> float:
    """Return the peak share of the device's memory in use."""
    import torch

    return torch.cuda.max_memory_reserved(device) / torch.cuda.mem_get_info(device)[1]


def _is_finite(values: torch.Tensor) -> torch.Tensor:
    """Return which images of a batch are entirely finite, bool of shape ``(N,)``."""
    return values.isfinite().flatten(1).all(1)


def _generated(array: np.ndarray, start: Start, finite: bool, flagged: bool) -> Generated:
    if not finite:
        return Generated(None, "non_finite")
    if flagged:
        return Generated(None, "flagged")
    return Generated(restored(Image.fromarray(array), start))


def denoiser_of(pipeline: DiffusionPipeline) -> ModelMixin:
    """Return the network that removes the noise step by step."""
    unet = getattr(pipeline, "unet", None)
    return pipeline.transformer if unet is None else unet


def default_size(pipeline: DiffusionPipeline) -> int:
    """Return the default side in pixels of the images that a pipeline makes."""
    own = getattr(denoiser_of(pipeline).config, "sample_size", None)
    latent = own if own else getattr(pipeline, "default_sample_size", 128)
    return int(latent if isinstance(latent, int) else latent[0]) * int(pipeline.vae_scale_factor)
