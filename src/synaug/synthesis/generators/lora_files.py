"""Write a fitted model: the merged pipeline for the loader, and the adapter alone, each with a model card.

::

    fitted-model/                    a folder in diffusers layout
    fitted-model/fit.json            plan and settings of the training
    fitted-model/adapter/            pytorch_lora_weights.safetensors and its card
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import save as save_tensors

from synaug.config import FitOptions
from synaug.runtime import storage
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models import ModelFolder

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline

ADAPTER = "adapter"
WEIGHTS = "pytorch_lora_weights.safetensors"  # the name that diffusers looks for
INDEX = "model_index.json"


def write_fitted(
    pipeline: StableDiffusionPipeline,
    model: ModelFolder,
    target: Path,
    plan_digest: str,
    options: FitOptions,
    losses: list[float],
) -> None:
    """Write the adapter of the UNet, then the merged pipeline; ``model_index.json`` is last and marks it complete.

    Args:
        pipeline: pipeline with a trained LoRA adapter on its UNet; the adapter is merged in place.
        model: the model that was fitted.
        target: the folder to write.
        plan_digest: digest of the plan that the model was fitted to.
        options: how it was trained.
        losses: loss of each step since the last start.
    """
    with storage.scratch_folder("fit") as place, quiet():
        pipeline.to("cpu")
        adapter = save_tensors(_adapter(pipeline), metadata={"format": "pt"})
        pipeline.unet.fuse_lora()
        pipeline.unet.unload_lora()
        pipeline.save_pretrained(place, safe_serialization=True)
        files = sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())
        for file in files:
            if file.name != INDEX:
                storage.make_folder((target / file).parent)
                storage.copy_file(place / file, target / file)
        storage.make_folder(target / ADAPTER)
        storage.write_bytes(target / ADAPTER / WEIGHTS, adapter)
        storage.write_json(target / "synaug.json", model.defaults)
        storage.write_json(target / "fit.json", fit_record(plan_digest, options))
        storage.write_text(target / "README.md", _card(model, options, losses))
        storage.write_text(target / ADAPTER / "README.md", _adapter_card(model, options, losses))
        storage.copy_file(place / INDEX, target / INDEX)


def fit_record(plan_digest: str, options: FitOptions) -> dict[str, object]:
    """Return the content of ``fit.json``, which decides whether a fitted model can be used again."""
    return {"plan": plan_digest, **options.model_dump()}


def _adapter(pipeline: StableDiffusionPipeline) -> dict[str, torch.Tensor]:
    """Return the adapter's weights under the names expected by diffusers."""
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    named = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    return {f"unet.{name}": value.contiguous() for name, value in named.items()}


def _card(model: ModelFolder, options: FitOptions, losses: list[float]) -> str:
    return (
        f"---\nlicense: {model.license or 'unknown'}\nlibrary_name: diffusers\n---\n\n"
        f"# {model.name}, fitted by synaug\n\nOne LoRA for all classes, merged into the UNet; the adapter alone is in "
        f"`{ADAPTER}/`.\n\n{_training(model, options, losses)}\n"
    )


def _adapter_card(model: ModelFolder, options: FitOptions, losses: list[float]) -> str:
    on_the_hub = "" if Path(model.name).exists() or "/" not in model.name else f"base_model: {model.name}\n"
    return (
        f"---\nlicense: {model.license or 'unknown'}\nlibrary_name: diffusers\n{on_the_hub}"
        f"tags: [lora, text-to-image]\n---\n\n# LoRA of {model.name}, fitted by synaug\n\n"
        "One adapter of the UNet for all classes; the prompt selects the class. Load the model, then "
        f"`pipeline.load_lora_weights(folder)`.\n\n{_training(model, options, losses)}\n"
    )


def _training(model: ModelFolder, options: FitOptions, losses: list[float]) -> str:
    last = f"{np.mean(losses[-50:]):.4f}" if losses else "unknown"
    return (
        f"Rank {options.rank}; {options.steps:,} steps of {options.batch_size}, learning rate "
        f"{options.learning_rate}, last mean loss {last}. Base revision: {model.revision or 'none'}. It was trained "
        "on the real training images of one data set and may reproduce them; the licenses of both apply."
    )
