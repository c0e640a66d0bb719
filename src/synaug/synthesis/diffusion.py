"""Make images from prompts with any text-to-image or image-to-image pipeline that diffusers loads."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image, ImageOps

from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault, OptionError, unknown
from synaug.silence import without_warnings
from synaug.synthesis.families import Family, family_of
from synaug.synthesis.models import ModelFolder, find_model

Problem = Literal["non_finite", "flagged"]
_FROM_IMAGES = ("intra", "inter")
_SLOW_SCHEDULERS = ("PNDMScheduler", "DDIMScheduler")
_MAX_EMBEDDED = 256 << 20  # bytes of prompts that are kept embedded
_FIRST_BATCH, _LARGEST_BATCH = 16, 64  # where the batch size is found by trying


@dataclass(frozen=True)
class Generated:
    """An image, or None with the problem that it has."""

    image: Image.Image | None
    problem: Problem | None = None


class Generator(Protocol):
    """Makes one image for each prompt and seed; ``images`` are what image-to-image starts from.

    It may return plain images, have a ``batch_size``, and an ``about`` dict that goes into the provenance.
    """

    def __call__(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> Iterable[Generated | Image.Image]: ...


@dataclass(frozen=True)
class Settings:
    """How the pipeline is called; ``batch_may_vary`` where nobody said how many images at once."""

    steps: int
    guidance: float
    size: int | None
    batch_size: int
    batch_may_vary: bool
    batch_may_grow: bool
    strength: float
    negative_prompt: str


class DiffusionGenerator:
    """A loaded diffusers pipeline; see ``load_generator``."""

    def __init__(self, pipeline: Any, settings: Settings, *, family: Family, about: dict[str, Any]) -> None:
        self._pipeline, self._settings, self._family = pipeline, settings, family
        self._takes = set(inspect.signature(type(pipeline).__call__).parameters)
        self._embedded: dict[str, dict[str, Any]] = {}
        self._finite: list[Any] = []  # one truth value an image: what the decoder returned, before it is clamped
        if hasattr(getattr(pipeline, "vae", None), "decoder"):
            pipeline.vae.decoder.register_forward_hook(lambda _m, _i, out: self._finite.append(_is_finite(out)))
        self.about = about
        self.batch_size, self._may_grow = settings.batch_size, settings.batch_may_grow

    def __call__(
        self, prompts: Sequence[str], *, seeds: Sequence[int], images: Sequence[Image.Image] | None = None
    ) -> list[Generated]:
        """Return one image a prompt.

        Args:
            prompts: N texts.
            seeds: N seeds; an image depends on its own prompt, seed and start only.
            images: N images to start from, for image-to-image.

        Raises:
            EnvironmentFault: not even one image fits into the memory.
        """
        import torch

        made: list[Generated] = []
        while len(made) < len(prompts):
            part = slice(len(made), len(made) + self.batch_size)
            try:
                made += self._batch(prompts[part], seeds[part], None if images is None else images[part])
            except torch.cuda.OutOfMemoryError as error:
                self._halve(error)
            else:
                self._grow(len(prompts[part]))
        return made

    def _grow(self, made: int) -> None:
        """Double the batch after a full one that left more than half of the device's memory free."""
        if self._may_grow and made == self.batch_size and made < _LARGEST_BATCH:
            self.batch_size *= 2 if _memory_share(self._pipeline.device) < 0.45 else 1

    def _halve(self, error: Exception) -> None:
        import torch

        if self.batch_size == 1:
            raise EnvironmentFault(
                "The device has not enough memory for a single image. Use a smaller generate.size or model, "
                "float16, or another device."
            ) from error
        self.batch_size, self._may_grow = max(1, self.batch_size // 2), False
        self._finite.clear()
        torch.cuda.empty_cache()

    def _batch(
        self, prompts: Sequence[str], seeds: Sequence[int], images: Sequence[Image.Image] | None
    ) -> list[Generated]:
        import torch

        self._finite.clear()
        wanted = len(prompts)
        if not self._settings.batch_may_vary:
            prompts, seeds = _filled(prompts, self.batch_size), _filled(seeds, self.batch_size)
            images = None if images is None else _filled(images, self.batch_size)
        arguments = self._text_arguments(prompts) | self._start_arguments(images)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with torch.inference_mode(), quiet():
            output = self._pipeline(
                **arguments,
                num_inference_steps=self._steps(),
                guidance_scale=self._settings.guidance,
                generator=generators,
                output_type="pt",
            )
            pixels = output.images
            finite = _is_finite(pixels)
            if sum(map(len, self._finite)) == len(finite):
                finite &= torch.cat(self._finite)
            values = (pixels.float().nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)
            arrays = values.permute(0, 2, 3, 1).cpu().numpy()
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(prompts)
        return [_generated(*each) for each in zip(arrays, finite.tolist(), flags, strict=True)][:wanted]

    def _steps(self) -> int:
        """Return the steps to ask for: image-to-image does only ``strength`` of them, and at least one."""
        if "strength" not in self._takes:
            return self._settings.steps
        return max(self._settings.steps, int(np.ceil(1 / self._settings.strength)))

    def _text_arguments(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Return the prompts as the pipeline takes them: embedded where the family is known, each only once."""
        import torch

        if not self._family.embeddings:
            texts: dict[str, Any] = {"prompt": list(prompts)}
            if self._guided and "negative_prompt" in self._takes:
                texts["negative_prompt"] = [self._settings.negative_prompt] * len(prompts)
            return texts
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._embedded]
        if missing and _num_bytes(self._embedded) > _MAX_EMBEDDED:
            self._embedded.clear()
            missing = list(dict.fromkeys(prompts))
        if missing:
            self._embedded |= self._encode(missing)
        names = self._embedded[prompts[0]]
        arguments = {name: torch.cat([self._embedded[prompt][name] for prompt in prompts]) for name in names}
        return arguments | ({"negative_prompt": None} if "negative_prompt" in self._takes else {})

    def _encode(self, prompts: list[str]) -> dict[str, dict[str, Any]]:
        """Return what the text encoders make of each prompt, by the names that the pipeline takes."""
        import torch

        encode = self._pipeline.encode_prompt
        offered: dict[str, Any] = {
            "prompt": prompts,
            "device": self._pipeline._execution_device,
            "num_images_per_prompt": 1,
            "do_classifier_free_guidance": self._guided,
            "negative_prompt": [self._settings.negative_prompt] * len(prompts),
        }
        taken = inspect.signature(encode).parameters
        arguments = {name: value for name, value in offered.items() if name in taken}
        arguments |= {name: None for name in ("prompt_2", "prompt_3") if name in taken}
        with torch.inference_mode(), quiet():
            returned = encode(**arguments)
        named = [each for each in zip(self._family.embeddings, returned, strict=False) if each[1] is not None]
        return {prompt: {name: value[i : i + 1] for name, value in named} for i, prompt in enumerate(prompts)}

    @property
    def _guided(self) -> bool:
        return self._settings.guidance > 1

    def _start_arguments(self, images: Sequence[Image.Image] | None) -> dict[str, Any]:
        size = self._settings.size
        arguments: dict[str, Any] = {}
        if "use_resolution_binning" in self._takes:
            arguments["use_resolution_binning"] = False
        if size is not None and "height" in self._takes:
            arguments |= {"height": size, "width": size}
        if "strength" not in self._takes:
            return arguments
        if images is None:
            raise OptionError(f"{self.about['pipeline']} starts from images, and none were given.")
        side = size or default_size(self._pipeline)
        starts = [ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC) for image in images]
        return arguments | {"image": starts, "strength": self._settings.strength}


def _filled(items: Sequence[Any], size: int) -> list[Any]:
    """Return the items, the last one repeated up to the size: an image is the same in every batch of one shape."""
    return [*items, *[items[-1]] * (size - len(items))]


def _num_bytes(embedded: dict[str, dict[str, Any]]) -> int:
    return sum(value.nbytes for values in embedded.values() for value in values.values())


def _memory_share(device: Any) -> float:
    """Return how much of the device's memory was in use at most."""
    import torch

    return torch.cuda.max_memory_reserved(device) / torch.cuda.mem_get_info(device)[1]


def _is_finite(values: Any) -> Any:
    """Return which images of a batch have finite values only, bool of shape ``(N,)``."""
    return values.isfinite().flatten(1).all(1)


def _generated(array: np.ndarray, finite: bool, flagged: bool) -> Generated:
    if not finite:
        return Generated(None, "non_finite")
    if flagged:
        return Generated(None, "flagged")
    return Generated(Image.fromarray(array))


def default_size(pipeline: Any) -> int:
    """Return the side of the images that a pipeline makes unless told otherwise."""
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    latent: Any = getattr(denoiser.config, "sample_size", None) or getattr(pipeline, "default_sample_size", 128)
    return int(latent if isinstance(latent, int) else latent[0]) * int(pipeline.vae_scale_factor)


def load_generator(
    model: str,
    options: GenerateOptions,
    *,
    variant: str = "text",
    negative_prompt: str = "",
    offline: bool | None = None,
) -> DiffusionGenerator:
    """Load a diffusers pipeline; what the options leave open follows the model's folder, then its family.

    Args:
        model: ``"embedded"``, a folder in the diffusers layout, or a Hub id ``ID`` or ``ID@REVISION``.
        options: steps, guidance, size, scheduler, device, precision.
        variant: ``"intra"`` and ``"inter"`` load the image-to-image pipeline of the model; ``"fitted"`` takes
            only what ``adapt.fit_model`` made.
        negative_prompt: what the images should not show, where the family knows that.
        offline: use only what was downloaded before; None follows ``HF_HUB_OFFLINE``.

    Raises:
        EnvironmentFault: the model or the device cannot be had; the message names the ways out.
        OptionError: the model offers no image-to-image, or its scheduler cannot be replaced so.
    """
    import torch

    device = find_device(options.device)
    precision = _precision(options.dtype, device)
    folder = find_model(model, offline=offline, half=precision == "float16")
    if variant == "fitted" and not (folder.path / "fit.json").exists():
        raise OptionError(f"{folder.name} has not been fitted to the real images; give the folder of adapt.fit_model.")
    with quiet():
        pipeline = load_pipeline(folder, getattr(torch, precision), from_images=variant in _FROM_IMAGES)
    name, scheduler = type(pipeline).__name__, type(pipeline.scheduler).__name__
    family = family_of(name, model=f"{folder.name} {folder.index.get('_name_or_path', '')}", scheduler=scheduler)
    settings = _settings(options, folder, family, device=device, negative_prompt=negative_prompt)
    _prepare(pipeline, family, scheduler=options.scheduler, device=device, compiled=options.compile)
    about = {
        "model": folder.name,
        "revision": folder.revision,
        "licence": folder.licence,
        "pipeline": name,
        "family": family.name,
        "scheduler": type(pipeline.scheduler).__name__,
        "steps": settings.steps,
        "guidance": settings.guidance,
        "size": settings.size or default_size(pipeline),
        "strength": settings.strength if variant in _FROM_IMAGES else None,
        "negative_prompt": negative_prompt,
        "dtype": precision,
        "device": device.split(":")[0],
    }
    return DiffusionGenerator(pipeline, settings, family=family, about=about)


def _settings(
    options: GenerateOptions, folder: ModelFolder, family: Family, *, device: str, negative_prompt: str
) -> Settings:
    own = folder.defaults
    batch = options.batch_size or own.get("batch_size")
    guidance = own.get("guidance", family.guidance) if options.guidance is None else options.guidance
    return Settings(
        steps=options.steps or own.get("steps") or family.steps,
        guidance=float(guidance),
        size=options.size or own.get("size"),
        batch_size=batch or (4 if device == "cpu" else _FIRST_BATCH),
        batch_may_vary=options.batch_size is None,
        batch_may_grow=batch is None and device.startswith("cuda"),
        strength=options.strength,
        negative_prompt=negative_prompt,
    )


def load_pipeline(folder: ModelFolder, dtype: Any, *, from_images: bool) -> Any:
    """Load the pipeline that the folder names, on the CPU; its image-to-image counterpart is found by diffusers."""
    import diffusers

    name = str(folder.index["_class_name"])
    loader = getattr(diffusers, name, None)
    if loader is None:
        raise EnvironmentFault(f"{folder.name} is a {name}, which diffusers {diffusers.__version__} does not know.")
    if from_images:
        loader = diffusers.AutoPipelineForImage2Image
    elif family_of(name).name == "other" or "Img2Img" in name:
        loader = diffusers.AutoPipelineForText2Image
    # SDXL adds an invisible watermark wherever a certain package happens to be installed
    unmarked = "add_watermarker" in inspect.signature(getattr(diffusers, name).__init__).parameters
    try:
        return loader.from_pretrained(
            folder.path,
            torch_dtype=dtype,
            use_safetensors=True,
            variant=folder.variant,
            local_files_only=True,
            **({"add_watermarker": False} if unmarked else {}),
        )
    except (OSError, ValueError) as error:
        if "AutoPipeline can't find" in str(error):
            wanted = "image-to-image (variant 'intra' or 'inter')" if from_images else "text-to-image"
            raise OptionError(f"The model {folder.name} ({name}) offers no {wanted}; choose another.") from error
        raise EnvironmentFault(f"The model {folder.name} cannot be loaded: {error}") from error


def _prepare(pipeline: Any, family: Family, *, scheduler: str | None, device: str, compiled: bool) -> None:
    """Move the pipeline to its device, in the layout and, unless another is named, with the scheduler that are fast."""
    import torch

    if scheduler is None and family.fast_solver and type(pipeline.scheduler).__name__ in _SLOW_SCHEDULERS:
        scheduler = "DPMSolverMultistepScheduler"
    if scheduler is not None:
        known = {each.__name__: each for each in pipeline.scheduler.compatibles}
        if scheduler not in known:
            raise unknown("scheduler of this model", scheduler, known)
        with quiet():
            pipeline.scheduler = known[scheduler].from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    for part in ("unet", "vae"):
        if getattr(pipeline, part, None) is not None:
            getattr(pipeline, part).to(memory_format=torch.channels_last)
    if compiled:
        part = "unet" if getattr(pipeline, "unet", None) is not None else "transformer"
        setattr(pipeline, part, torch.compile(getattr(pipeline, part)))


def find_device(wanted: str) -> str:
    """Return the device to use.

    Raises:
        EnvironmentFault: it is not there.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = wanted.split(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(kind, False):
        known = ", ".join(name for name, is_there in there.items() if is_there)
        raise EnvironmentFault(f"The device {wanted!r} is not there. There are: {known}.")
    return wanted


def _precision(wanted: str, device: str) -> str:
    """Return the precision; on a CPU half precision is many times slower, so auto means float32 there."""
    if wanted != "auto":
        return wanted
    return "float16" if device.startswith("cuda") else "float32"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' own warnings and log lines from the user within the block."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    levels = [(log, log.get_verbosity()) for log in (of_diffusers, of_transformers)]
    bars = of_transformers.is_progress_bar_enabled()
    with without_warnings():
        for log, _ in levels:
            log.set_verbosity_error()
        of_transformers.disable_progress_bar()
        of_diffusers.disable_progress_bar()
        try:
            yield
        finally:
            for log, level in levels:
                log.set_verbosity(level)
            if bars:
                of_transformers.enable_progress_bar()
