"""Load a diffusers pipeline from a model folder, and configure it for its family and device."""

from __future__ import annotations

import inspect
from typing import Any

from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault, OptionError, unknown
from synaug.runtime.arguments import MODEL, TEXT, check_arguments, instance_of
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.diffusion import DiffusionGenerator, Settings, default_size, denoiser_of
from synaug.synthesis.generators.families import Family, family_of
from synaug.synthesis.generators.model_sources import ModelFolder, find_model

VARIANTS = ("text", "intra", "inter", "fitted")
_FROM_IMAGES = ("intra", "inter")
_SLOW_SCHEDULERS = ("PNDMScheduler", "DDIMScheduler")
_FIRST_BATCH = 16  # when the batch size is found by trial


def load_generator(
    model: str,
    options: GenerateOptions,
    *,
    variant: str = "text",
    negative_prompt: str = "",
    offline: bool | None = None,
) -> DiffusionGenerator:
    """Load a diffusers pipeline; unset options come from the model's folder, then from its family.

    Args:
        model: ``"embedded"``, a folder in diffusers layout, or a Hub id ``ID`` or ``ID@REVISION``.
        options: steps, guidance, size, scheduler, device, precision.
        variant: ``"intra"`` and ``"inter"`` load the model's image-to-image pipeline; ``"fitted"`` accepts only a
            folder written by ``lora.fit_model``.
        negative_prompt: negative prompt, if the family supports it.
        offline: use only downloaded files; None follows ``HF_HUB_OFFLINE``.

    Raises:
        EnvironmentFault: the model or device is not available; the message lists the ways out.
        OptionError: the model does not support image-to-image, or its scheduler cannot be replaced like this.
    """
    import torch

    from synaug.runtime.devices import chosen_device, chosen_precision

    check_arguments(
        "load_generator",
        model=(model, MODEL),
        options=(options, instance_of(GenerateOptions, words="GenerateOptions")),
        variant=(variant, TEXT),
        negative_prompt=(negative_prompt, TEXT),
        offline=(offline, instance_of(bool, words="True or False").or_none),
    )
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    device = chosen_device(options.device)
    dtype = chosen_precision(options.dtype, device, on_gpu=torch.float16)
    folder = find_model(model, offline=offline, half=dtype == torch.float16)
    if variant == "fitted" and not (folder.path / "fit.json").exists():
        raise OptionError(
            f"{folder.name} has not been fitted to the real images; pass the folder written by lora.fit_model."
        )
    with quiet():
        pipeline = load_pipeline(folder, dtype, from_images=variant in _FROM_IMAGES)
    name, scheduler = type(pipeline).__name__, type(pipeline.scheduler).__name__
    family = family_of(name, model=f"{folder.name} {folder.index.get('_name_or_path', '')}", scheduler=scheduler)
    settings = _settings(options, folder, family, device=str(device), negative_prompt=negative_prompt)
    _prepare(pipeline, family, scheduler=options.scheduler, device=str(device), compiled=options.compile)
    _check_steps(pipeline.scheduler, settings.steps)
    about = {
        "model": folder.name,
        "revision": folder.revision,
        "license": folder.license,
        "weights": folder.weights,
        "pipeline": name,
        "family": family.name,
        "scheduler": type(pipeline.scheduler).__name__,
        "steps": settings.steps,
        "guidance": settings.guidance,
        "size": settings.size or default_size(pipeline),
        "strength": settings.strength if variant in _FROM_IMAGES else None,
        "negative_prompt": negative_prompt,
        "dtype": str(dtype).removeprefix("torch."),
        "device": device.type,
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
    """Load the pipeline named in the folder, on the CPU; diffusers finds its image-to-image counterpart."""
    import diffusers

    name = str(folder.index["_class_name"])
    loader = getattr(diffusers, name, None)
    if loader is None:
        raise EnvironmentFault(f"{folder.name} is a {name}, which diffusers {diffusers.__version__} does not support.")
    if from_images:
        loader = diffusers.AutoPipelineForImage2Image
    elif family_of(name).name == "other" or "Img2Img" in name:
        loader = diffusers.AutoPipelineForText2Image
    # SDXL adds an invisible watermark whenever a certain package happens to be installed
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
    except Exception as error:  # each kind of damage raises its own type
        if "AutoPipeline can't find" in str(error):
            wanted = "image-to-image (variant 'intra' or 'inter')" if from_images else "text-to-image"
            raise OptionError(
                f"The model {folder.name} ({name}) does not support {wanted}; choose another model."
            ) from error
        raise EnvironmentFault(f"The model {folder.name} cannot be loaded: {error}") from error


def _check_steps(scheduler: Any, steps: int) -> None:
    """Raise an OptionError for more steps than a scheduler has: some fail, others repeat steps for hours."""
    most = getattr(scheduler.config, "num_train_timesteps", None)
    if isinstance(most, int) and steps > most:
        raise OptionError(
            f"generate.steps {steps} is more than the {most} steps of the scheduler {type(scheduler).__name__}. "
            "Use fewer."
        )


def _prepare(pipeline: Any, family: Family, *, scheduler: str | None, device: str, compiled: bool) -> None:
    """Move the pipeline to its device in the fast memory layout, and choose a fast scheduler unless one is given."""
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
        denoiser_of(pipeline).compile()
