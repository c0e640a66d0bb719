"""Fit a model to the real images by LoRA, and save the result as a model folder.

This is the paper's variant "class distribution fitting": one adapter for all classes, distinguished by their prompts;
classes are drawn equally often, so that few-shot classes count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from synaug.config import FitOptions
from synaug.data import Manifest, read_image
from synaug.errors import DataError, OptionError
from synaug.runtime import Progress, chosen_device, missing_library, signals, silent, storage
from synaug.runtime.files import directories
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.diffusion import default_size
from synaug.synthesis.generators.loading import load_pipeline
from synaug.synthesis.generators.lora_files import fit_record, write_fitted
from synaug.synthesis.generators.models import ModelFolder, find_model, limit_of_pipeline
from synaug.synthesis.planning import Plan, class_prompts

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline, SchedulerMixin

FITTED = "fitted-model"
_CHECKPOINT_EVERY = 100
_ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


def fit_model(
    plan: Plan,
    manifest: Manifest,
    *,
    folder: Path,
    options: FitOptions | None = None,
    device: str = "auto",
    offline: bool | None = None,
    progress: Progress = silent,
) -> Path:
    """Return a model folder fitted to the real training images; repeating an interrupted call resumes it.

    Args:
        plan: provides the model and the prompts.
        manifest: the real images.
        folder: receives ``fitted-model/``, with the adapter alone in ``fitted-model/adapter/``, and during training
            ``fitted-model.safetensors``.
        options: how the adapter is trained.
        device: device to train on.
        offline: use only downloaded files.
        progress: called with the progress of the training.

    Raises:
        OptionError: the model is not Stable Diffusion 1 or 2, or an existing one was fitted with other options.
        EnvironmentFault: peft is missing, or the model is not available.
        Interrupted: a signal requested a stop; the last checkpoint is saved.
    """
    options = options or FitOptions()
    target = folder / FITTED
    if (target / "model_index.json").exists():
        if storage.read_json(target / "fit.json") != fit_record(plan.digest, options):
            raise OptionError(f"{target} was fitted to another plan or with other options; choose another folder.")
        return target
    model = find_model(plan.options.model, offline=offline)
    with quiet():
        pipeline = load_pipeline(model, torch.float32).to(chosen_device(device))
    _add_adapter(pipeline, model, options)
    losses = _train(pipeline, plan, manifest, folder / f"{FITTED}.safetensors", options, progress)
    write_fitted(pipeline, model, target, plan.digest, options, losses)
    return target


def _add_adapter(pipeline: DiffusionPipeline, model: ModelFolder, options: FitOptions) -> None:
    try:
        from peft import LoraConfig
    except ModuleNotFoundError as error:
        raise missing_library(error, "The variant 'fitted'") or error from error
    if type(pipeline).__name__ != "StableDiffusionPipeline":
        raise OptionError(
            f"variant 'fitted' trains Stable Diffusion 1 and 2, and {model.name} is a {type(pipeline).__name__}; "
            "choose another model or variant."
        )
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        pipeline.unet.add_adapter(
            LoraConfig(r=options.rank, lora_alpha=options.rank, init_lora_weights="gaussian", target_modules=_ATTENTION)
        )


def _train(
    pipeline: DiffusionPipeline,
    plan: Plan,
    manifest: Manifest,
    checkpoint: Path,
    options: FitOptions,
    progress: Progress,
) -> list[float]:
    """Train the adapter's weights, and return the loss of each step since the last start."""
    from diffusers import DDPMScheduler

    parameters = [value for value in pipeline.unet.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.01)
    real = manifest.split("train")
    real = real.rows(~real.is_synthetic)
    noise = DDPMScheduler.from_config(pipeline.scheduler.config)
    embeddings = _embedded(pipeline, plan)
    mark = f"{plan.digest}/{options.model_dump()}"
    start, losses = _restored(checkpoint, parameters, optimizer, mark), []
    for step in range(start, options.steps):
        rng = np.random.default_rng([options.seed, step])
        rows, condition = _batch(real, embeddings, options, rng)
        pixels = _pixels([read_image(real, int(row)) for row in rows], default_size(pipeline))
        loss = _loss(pipeline, noise, pixels, condition, torch.Generator().manual_seed(int(rng.integers(2**53))))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % _CHECKPOINT_EVERY == 0 or step + 1 == options.steps or signals.is_requested():
            _store(checkpoint, parameters, optimizer, step + 1, mark)
            signals.stop_here()
        progress("fitting the model", step + 1, options.steps, f"loss {np.mean(losses[-50:]):.3f}")
    return losses


def _embedded(pipeline: DiffusionPipeline, plan: Plan) -> list[list[torch.Tensor]]:
    """Return the embedded prompts of each class, shortened as for generation; those of the empty prompt last."""
    limit = limit_of_pipeline(pipeline)
    prompts = [[limit(text) or text for text in texts] for texts in class_prompts(plan)]
    with torch.no_grad(), quiet():
        return [
            [pipeline.encode_prompt(text, pipeline._execution_device, 1, False)[0] for text in texts]
            for texts in [*prompts, [""]]
        ]


def _batch(
    real: Manifest, embeddings: Sequence[Sequence[torch.Tensor]], options: FitOptions, rng: np.random.Generator
) -> tuple[np.ndarray, torch.Tensor]:
    """Draw rows, each class equally often, and a prompt embedding for each."""
    labels = rng.choice(np.unique(real.labels), options.batch_size)
    rows = np.array([rng.choice(np.flatnonzero(real.labels == label)) for label in labels])
    spoken = np.where(rng.random(len(labels)) < options.prompt_dropout, len(embeddings) - 1, labels)
    return rows, torch.cat([embeddings[k][int(rng.integers(len(embeddings[k])))] for k in spoken.tolist()])


def _pixels(images: Sequence[Image.Image], side: int) -> torch.Tensor:
    """Return the images as float ``(N, 3, side, side)`` in [-1, 1]."""
    fitted = [ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC) for image in images]
    return torch.from_numpy(np.stack([np.asarray(image) for image in fitted])).permute(0, 3, 1, 2) / 127.5 - 1


def _loss(
    pipeline: DiffusionPipeline,
    scheduler: SchedulerMixin,
    pixels: torch.Tensor,
    condition: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Return the mean squared error of the denoiser's predictions at random times."""
    device = condition.device
    with torch.no_grad():
        encoded = pipeline.vae.encode(pixels.to(device))
        clean = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        clean = clean * pipeline.vae.config.scaling_factor
    noise = torch.randn(clean.shape, generator=generator).to(device)
    times = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),), generator=generator).to(device)
    noisy = scheduler.add_noise(clean, noise, times)
    wanted = noise
    if scheduler.config.prediction_type == "v_prediction":
        wanted = scheduler.get_velocity(clean, noise, times)
    return F.mse_loss(pipeline.unet(noisy, times, condition).sample, wanted)


def _store(
    path: Path, parameters: Sequence[torch.Tensor], optimizer: torch.optim.Optimizer, step: int, mark: str
) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for i, parameter in enumerate(parameters):
        state = optimizer.state[parameter]
        tensors |= {
            f"{i}.value": parameter.detach(),
            f"{i}.exp_avg": state["exp_avg"],
            f"{i}.exp_avg_sq": state["exp_avg_sq"],
        }
    tensors["step"] = torch.tensor(step)
    tensors["mark"] = torch.tensor(list(mark.encode()), dtype=torch.uint8)
    storage.make_folder(path.parent)
    storage.write_bytes(path, save_tensors({name: value.contiguous().cpu() for name, value in tensors.items()}))


def _restored(path: Path, parameters: Sequence[torch.Tensor], optimizer: torch.optim.Optimizer, mark: str) -> int:
    """Load the checkpoint and return the next step; 0 if there is none for this plan and options."""
    if not path.exists():
        return 0
    try:
        tensors = load_tensors(directories.read_bytes(path))
        if bytes(tensors["mark"].tolist()).decode() != mark:
            return 0
        step = int(tensors["step"])
        _restore(tensors, parameters, optimizer, step)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}. Remove it to fit the model again.") from error
    return step


def _restore(
    tensors: dict[str, torch.Tensor], parameters: Sequence[torch.Tensor], optimizer: torch.optim.Optimizer, step: int
) -> None:
    for i, parameter in enumerate(parameters):
        parameter.data.copy_(tensors[f"{i}.value"])
        moments = {name: tensors[f"{i}.{name}"].to(parameter.device) for name in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
