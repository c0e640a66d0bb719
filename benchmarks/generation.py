"""Time synaug's generation against the plain way: a loop of ``pipe(prompt)`` that saves PNG files.

Same model, steps, guidance, precision and device, in one process, one after the other; both write their images to disk.
``--size`` builds a pipeline as large as Stable Diffusion 1.5 or SD-Turbo with random weights: enough to time it.

    python benchmarks/generation.py --model embedded --images 256
    python benchmarks/generation.py --size sd15 --device cuda --images 256
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synaug.config import GenerateOptions, PlanOptions, QualityOptions
from synaug.data.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.run import machine
from synaug.runtime.memory import keep_freed_memory
from synaug.runtime.quiet import quiet
from synaug.synthesis.execution.worker import synthesize
from synaug.synthesis.generators.diffusion import DiffusionGenerator
from synaug.synthesis.generators.loading import find_device, load_generator, load_pipeline
from synaug.synthesis.generators.model_sources import find_model
from synaug.synthesis.planning.plan import Plan, make_plan
from synaug.synthesis.planning.slots import image_seed, slots

CLASSES = ("bag", "coat", "ankle boot", "dress", "shirt")
SIZES = {"sd15": (768, 8, 64), "turbo": (1024, (5, 10, 20, 20), 64)}  # text width, attention heads, latent side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="'embedded' or a folder in the diffusers layout")
    parser.add_argument("--size", choices=SIZES, help="instead: random weights of this size")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=int, default=256, help="made by synaug")
    parser.add_argument("--plain-images", type=int, help="made by the plain loop [default: a quarter]")
    parser.add_argument("--batch-size", type=int, help="of synaug [default: its own choice]")
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file too")
    chosen = parser.parse_args()
    keep_freed_memory()  # for both ways
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = chosen.model if chosen.size is None else str(random_pipeline(chosen.size, folder / chosen.size))
        options = GenerateOptions(device=find_device(chosen.device), batch_size=chosen.batch_size)
        numbers = measured(model, options, folder, chosen.images, chosen.plain_images or max(1, chosen.images // 4))
    print_table(numbers)
    if chosen.out:
        chosen.out.write_text(json.dumps(numbers, indent=2) + "\n")


def measured(model: str, options: GenerateOptions, folder: Path, images: int, plain_images: int) -> dict[str, Any]:
    """Return images a second of both ways, and what they had in common."""
    generator = load_generator(model, options)
    size = generator.about["size"]
    plan = planned(model, options, size, images)
    plain = plain_rate(model, generator, plan, folder / "plain", plain_images)
    warm_up(generator, plan)
    began = time.perf_counter()
    made = synthesize(plan, generator, folder=folder / "synaug", quality=QualityOptions(gates=()))
    rate = made.accepted / (time.perf_counter() - began)
    keys = ("pipeline", "scheduler", "steps", "guidance", "size", "dtype", "device")
    return {
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "command": " ".join(["python", *sys.argv]),
        **{key: generator.about[key] for key in keys},
        "batch_size": generator.batch_size,
        "plain_images_per_second": plain,
        "synaug_images_per_second": rate,
        "ratio": rate / plain,
    }


def planned(model: str, options: GenerateOptions, size: int, images: int) -> Plan:
    """Return a plan of so many PNG images, kept as large as they are made."""
    labels = np.arange(len(CLASSES))
    real = from_arrays(np.zeros((len(CLASSES), 8, 8), np.uint8), labels, class_names=CLASSES)
    plan = make_plan(
        real,
        options=PlanOptions(model=model, target=1 + -(-images // len(CLASSES))),
        generate=options,
        encoding=Encoding(),
        image_size=(size, size),
    )
    assert plan.num_to_generate >= images
    return plan


def warm_up(generator: DiffusionGenerator, plan: Plan) -> None:
    """Make batches until their size has settled, so that no search and no first call is timed."""
    prompts = [slot.prompt for slot in slots(plan)]
    before = 0
    while before != generator.batch_size:
        before = generator.batch_size
        batch = (prompts * (1 + before // len(prompts)))[:before]
        generator(batch, seeds=range(before))


def plain_rate(model: str, generator: DiffusionGenerator, plan: Plan, out: Path, images: int) -> float:
    """Return images a second of ``pipe(prompt)`` in a loop with the generator's settings; the first is not timed."""
    about, device = generator.about, plan.generate.device
    folder = find_model(model, half=about["dtype"] == "float16")
    with quiet():
        pipeline = load_pipeline(folder, getattr(torch, about["dtype"]), from_images=False)
    pipeline.scheduler = type(generator._pipeline.scheduler).from_config(generator._pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    out.mkdir(parents=True)
    began = 0.0
    with quiet():
        for number, slot in zip(range(images + 1), slots(plan), strict=False):
            if number == 1:
                began = time.perf_counter()
            seed = torch.Generator().manual_seed(image_seed(slot.id, 0))
            made = pipeline(
                slot.prompt,
                num_inference_steps=about["steps"],
                guidance_scale=about["guidance"],
                height=about["size"],
                width=about["size"],
                generator=seed,
            )
            made.images[0].save(out / f"{slot.id}.png")
    rate = images / (time.perf_counter() - began)
    shutil.rmtree(out)
    return rate


def random_pipeline(name: str, folder: Path) -> Path:
    """Write a Stable Diffusion pipeline of the given size with random weights, and return its folder."""
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        PNDMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    width, heads, side = SIZES[name]
    tiny = find_model("embedded").path
    tokenizer = CLIPTokenizer.from_pretrained(tiny / "tokenizer")
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=12 if name == "sd15" else 23,
        num_attention_heads=width // 64,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    tokenizer.model_max_length = 77
    autoencoder = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=8 * side,
    )
    denoiser = UNet2DConditionModel(
        sample_size=side,
        cross_attention_dim=width,
        attention_head_dim=heads,
        block_out_channels=(320, 640, 1280, 1280),
        use_linear_projection=name == "turbo",
    )
    solver = PNDMScheduler if name == "sd15" else EulerDiscreteScheduler
    with quiet():
        StableDiffusionPipeline(
            vae=autoencoder,
            text_encoder=CLIPTextModel(text),
            tokenizer=tokenizer,
            unet=denoiser,
            scheduler=solver(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).to(torch.float16).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nRandom weights, for timing only.\n")
    few = {"steps": 1, "guidance": 0.0} if name == "turbo" else {"steps": 25, "guidance": 7.5}
    (folder / "synaug.json").write_text(json.dumps(few))
    return folder


def print_table(numbers: dict[str, Any]) -> None:
    facts = ", ".join(f"{key} {numbers[key]}" for key in ("pipeline", "steps", "guidance", "size", "dtype"))
    print(f"{numbers['machine']}, {numbers['threads']} threads; {facts}\n")
    print("| way | images a second |\n|---|---|")
    print(f"| loop of pipe(prompt) | {numbers['plain_images_per_second']:.2f} |")
    print(f"| synaug, batch {numbers['batch_size']} | {numbers['synaug_images_per_second']:.2f} |")
    print(f"| ratio | {numbers['ratio']:.2f} |")


if __name__ == "__main__":
    main()
