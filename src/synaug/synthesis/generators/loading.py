"""Load a diffusers pipeline from a model folder, and configure it for its family and device."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Literal

from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault, OptionError, SynaugError, unknown
from synaug.runtime import MODEL, TEXT, check_arguments, instance_of, is_out_of_memory, needs_libraries, storage
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.conditioning import add_adapter, load_controlnet
from synaug.synthesis.generators.diffusion import DiffusionGenerator, Settings, default_size, denoiser_of
from synaug.synthesis.generators.models import Family, ModelFolder, family_of, find_model

if TYPE_CHECKING:
    import torch
    from diffusers import ControlNetModel, DiffusionPipeline, SchedulerMixin

VARIANTS = ("text", "intra", "inter", "fitted", "reference", "inpaint")
Task = Literal["text", "image", "inpaint"]
_TASKS: dict[str, Task] = {"intra": "image", "inter": "image", "inpaint": "inpaint"}
_OFFERS = {
    "text": "text-to-image",
    "image": "image-to-image (variant 'intra' or 'inter')",
    "inpaint": "inpainting (variant 'inpaint')",
}
_SLOW_SCHEDULERS = ("PNDMScheduler", "DDIMScheduler")
_FIRST_BATCH = 16  # when the batch size is found by trial


@needs_libraries
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
        variant: ``"intra"`` and ``"inter"`` load the image-to-image pipeline of the model, ``"inpaint"`` the one for
            inpainting; ``"reference"`` adds an IP-Adapter; ``"fitted"`` accepts only the result of ``lora.fit_model``.
        negative_prompt: what the images should not show, if the family supports that.
        offline: use only downloaded files; None follows ``HF_HUB_OFFLINE``.

    Raises:
        EnvironmentFault: the model or device is not available; the message lists the ways out.
        OptionError: the model does not support image-to-image, or its scheduler cannot be replaced by the one in the
            options.
    """
    import torch

    from synaug.runtime import chosen_device, chosen_precision

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
    dtype = chosen_precision(options.dtype, device, on_gpu="float16")
    folder = find_model(model, offline=offline, half=dtype == torch.float16)
    if variant == "fitted" and not (folder.path / "fit.json").exists():
        raise OptionError(
            f"{folder.name} has not been fitted to the real images; pass the folder written by lora.fit_model."
        )
    with quiet():
        controlnet, of_controlnet = load_controlnet(options, dtype) if options.controlnet else (None, "")
        pipeline = load_pipeline(folder, dtype, task=_TASKS.get(variant, "text"), controlnet=controlnet)
        of_adapter = add_adapter(pipeline, options) if variant == "reference" else ""
    name, scheduler = type(pipeline).__name__, type(pipeline.scheduler).__name__
    family = family_of(name, model=f"{folder.name} {folder.index.get('_name_or_path', '')}", scheduler=scheduler)
    settings = _settings(options, folder, family, device=str(device), negative_prompt=negative_prompt, variant=variant)
    try:
        _prepare(pipeline, family, scheduler=options.scheduler, device=str(device), compiled=options.compile)
    except SynaugError:
        raise
    except Exception as error:  # such as weights that a damaged file lacks
        if is_out_of_memory(error):
            raise
        raise EnvironmentFault(f"The model {folder.name} cannot be loaded: {error}") from error
    _check_steps(pipeline.scheduler, settings.steps)
    about: dict[str, object] = {
        "model": folder.name,
        "revision": folder.revision,
        "license": folder.license,
        "weights": _weights(folder, of_controlnet, of_adapter),
        "pipeline": name,
        "family": family.name,
        "scheduler": type(pipeline.scheduler).__name__,
        "steps": settings.steps,
        "guidance": settings.guidance,
        **({"guidance_interval": list(settings.guidance_interval)} if settings.guidance_interval != (0, 1) else {}),
        "size": settings.size or default_size(pipeline),
        "strength": settings.strength if variant in _TASKS else None,
        **({"controlnet": options.controlnet} if options.controlnet else {}),
        **({"adapter": options.adapter} if variant == "reference" else {}),
        **({"inpaint": options.inpaint, "masks": options.masks} if variant == "inpaint" else {}),
        "negative_prompt": negative_prompt,
        "dtype": str(dtype).removeprefix("torch."),
        "device": device.type,
    }
    return DiffusionGenerator(pipeline, settings, family=family, about=about)


def _settings(
    options: GenerateOptions, folder: ModelFolder, family: Family, *, device: str, negative_prompt: str, variant: str
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
        strength=options.inpaint_strength if variant == "inpaint" else options.strength,
        negative_prompt=negative_prompt,
        references=options.references if variant == "reference" else 0,
        control_scale=options.control_scale,
        guidance_interval=options.guidance_interval,
    )


def _weights(folder: ModelFolder, *others: str) -> str:
    """Return the digest of all weights that make the images; without further ones, that of the model."""
    added = [digest for digest in others if digest]
    return storage.digest("\n".join([folder.weights, *added]).encode()) if added else folder.weights


def load_pipeline(
    folder: ModelFolder, dtype: torch.dtype, *, task: Task = "text", controlnet: ControlNetModel | None = None
) -> DiffusionPipeline:
    """Load the pipeline that the folder names, on the CPU; diffusers finds its counterpart for another task.

    Raises:
        EnvironmentFault: the folder is damaged, or its pipeline is unknown.
        OptionError: the model does not support the task.
    """
    import diffusers

    name = str(folder.index["_class_name"])
    loader = getattr(diffusers, name, None)
    if loader is None:
        raise EnvironmentFault(f"{folder.name} is a {name}, which diffusers {diffusers.__version__} does not support.")
    if task == "inpaint":
        loader = diffusers.AutoPipelineForInpainting
    elif task == "image":
        loader = diffusers.AutoPipelineForImage2Image
    elif family_of(name).name == "other" or "Img2Img" in name or "Inpaint" in name or controlnet is not None:
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
            **({} if controlnet is None else {"controlnet": controlnet}),
        )
    except Exception as error:  # each kind of damage raises its own type
        if "AutoPipeline can't find" in str(error):
            wanted = _OFFERS[task] + (" with a ControlNet" if controlnet is not None else "")
            raise OptionError(
                f"The model {folder.name} ({name}) does not support {wanted}; choose another model."
            ) from error
        raise EnvironmentFault(f"The model {folder.name} cannot be loaded: {error}") from error


def _check_steps(scheduler: SchedulerMixin, steps: int) -> None:
    """Raise an OptionError for more steps than a scheduler has: some fail, others repeat steps for hours."""
    most = getattr(scheduler.config, "num_train_timesteps", None)
    if isinstance(most, int) and steps > most:
        raise OptionError(
            f"generate.steps {steps} is more than the {most} steps of the scheduler {type(scheduler).__name__}. "
            "Use fewer."
        )


def _prepare(
    pipeline: DiffusionPipeline, family: Family, *, scheduler: str | None, device: str, compiled: bool
) -> None:
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
