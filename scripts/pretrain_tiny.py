"""Train the embedded tiny Stable Diffusion on Fashion-MNIST images that nothing else uses.

    python scripts/pretrain_tiny.py --work build/pretrain --out src/synaug/assets/tiny-diffusion

Stages, each skipped if its checkpoint is finished and resumed if it was interrupted: autoencoder, latents, text encoder
and UNet together, export. About 90 minutes on two CPU cores. The model card gets the measured facts: training data,
duration and loss.
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel, UniPCMultistepScheduler
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from checkpointed_training import Training, averaged_model, run_steps, save
from synaug.data.benchmarks import fashion_mnist
from synaug.synthesis.planning.prompting import MODIFIERS

SEED = 20230800994 % 2**31
SIZE = 32  # pixels; items are drawn at 28 and enlarged
MAX_TOKENS = 20
VARIANTS = 6  # renderings of each item: one plain gray, the others with random tint and background
DEFAULTS = {"steps": 7, "guidance": 1.0, "batch_size": 128}  # synaug's settings for it
MEANINGFUL = ("bright", "dark", "large", "small", "detailed", "simple", "unusual", "typical")
NEUTRAL = tuple(m for m in MODIFIERS if m and m not in MEANINGFUL)


# ---------------------------------------------------------------- images and captions


@dataclass(frozen=True)
class Items:
    """Gray items (N, 28, 28), their labels (N,), and which meaningful modifiers hold (N, 8)."""

    images: np.ndarray
    labels: np.ndarray
    holds: np.ndarray


def generator_items(archive: str | None) -> Items:
    train, test = fashion_mnist.read_archive("train", archive), fashion_mnist.read_archive("test", archive)
    positions = fashion_mnist.split_positions(train, test).generator
    images, labels = train.images[positions], train.labels[positions]
    return Items(images=images, labels=labels, holds=modifiers_that_hold(images, labels))


def modifiers_that_hold(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which words of MEANINGFUL apply to each item: top and bottom 30 % within its class."""
    gray = images.astype(np.float32) / 255
    item = gray > 0.05
    area = item.mean((1, 2))
    brightness = gray.sum((1, 2)) / np.maximum(item.sum((1, 2)), 1)
    detail = np.abs(np.diff(gray, axis=1)).mean((1, 2)) + np.abs(np.diff(gray, axis=2)).mean((1, 2))
    holds = np.zeros((len(images), len(MEANINGFUL)), dtype=bool)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        oddness = ((gray[mine] - gray[mine].mean(0)) ** 2).mean((1, 2))
        for k, values in enumerate((brightness[mine], area[mine], detail[mine], oddness)):
            low, high = np.quantile(values, [0.3, 0.7])
            holds[mine, 2 * k] = values >= high
            holds[mine, 2 * k + 1] = values <= low
    return holds


def caption(label: int, tint: int, background: int, holds: np.ndarray, rng: np.random.Generator) -> str:
    """Describe an image like a user's prompt might; empty in 10 % of the cases."""
    if rng.random() < 0.1:
        return ""
    modifier = ""
    if rng.random() < 0.6:
        true_words = [word for word, true in zip(MEANINGFUL, holds, strict=True) if true]
        modifier = str(rng.choice(true_words if true_words and rng.random() < 0.5 else NEUTRAL))
    words, after = [modifier], ""
    if tint:
        name = list(fashion_mnist.TINTS)[tint]
        if rng.random() < 0.7:
            words.append(name)
        else:
            after = f", {name}"
    if background:
        name = fashion_mnist.BACKGROUNDS[background]
        after += str(rng.choice([f" on {name}", f" on {name}", f", on {name}", f", {name}"]))
    elif rng.random() < 0.2:
        after += " on a plain background"
    noun = " ".join(word for word in (*words, fashion_mnist.CLASS_NAMES[label]) if word)
    kind = str(rng.choice(["photo", "photo", "photo", "picture"]))
    article = "an" if noun[0] in "aeiou" else "a"
    return f"a {kind} of {article} {noun}{after}"


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """Build a CLIP tokenizer in which each word of the captions is one token; other words are spelled out."""
    words = "a an photo picture image of on the in with plain background , . -".split(" ")
    words += [*MODIFIERS, *fashion_mnist.TINTS, *fashion_mnist.BACKGROUNDS, *fashion_mnist.CLASS_NAMES]
    letters = sorted(ByteLevel.alphabet())
    vocabulary = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in sorted({part for text in words for part in text.replace("-", " - ").split()}):
        parts = [*word[:-1], word[-1] + "</w>"]
        for left, right in merges:  # pairs that earlier words already join, in order
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == (left, right):
                    parts[i : i + 2] = [left + right]
                i += 1
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary.append(parts[0])
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=MAX_TOKENS)


def enlarged(images: np.ndarray) -> torch.Tensor:
    """Convert uint8 (N, 28, 28, 3) to float (N, 3, 32, 32) in [-1, 1]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.interpolate(pixels, SIZE, mode="bicubic", antialias=True).clamp(-1, 1)


def random_attributes(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    tints = rng.integers(0, len(fashion_mnist.TINTS), num)
    return tints, rng.integers(0, len(fashion_mnist.BACKGROUNDS), num)


# ---------------------------------------------------------------- networks


def make_autoencoder() -> AutoencoderTiny:
    return AutoencoderTiny(
        latent_channels=8,
        encoder_block_out_channels=(16, 16, 16),
        decoder_block_out_channels=(24, 24, 24),
        num_encoder_blocks=(1, 2, 2),
        num_decoder_blocks=(2, 2, 1),
        scaling_factor=1.0,
    )


def make_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 4,
        in_channels=8,
        out_channels=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=96,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=192,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=96,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_scheduler() -> UniPCMultistepScheduler:
    """Return the sampler; its 7 steps are as close to the exact images as 10 steps of DPM-Solver++."""
    return UniPCMultistepScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing"
    )


# ---------------------------------------------------------------- stages


def train_autoencoder(items: Items, work: Path, *, steps: int, batch: int = 64) -> AutoencoderTiny:
    torch.manual_seed(SEED)
    model = make_autoencoder()

    def step_loss(step: int) -> tuple[torch.Tensor, float]:
        rng, noise = np.random.default_rng([SEED, 1, step]), torch.Generator().manual_seed(step)
        chosen = rng.integers(0, len(items.images), batch)
        tints, backgrounds = random_attributes(batch, rng)
        tints[: batch // 3] = backgrounds[: batch // 3] = 0
        images = enlarged(fashion_mnist.render(items.images[chosen], tints=tints, backgrounds=backgrounds, rng=rng))
        latents = model.encode(images).latents
        restored = model.decode(latents + 0.1 * torch.randn(latents.shape, generator=noise)).sample
        error = restored - images
        scale = latents.mean((0, 2, 3)).square() + (latents.std((0, 2, 3)) - 1).square()
        loss = error.abs().mean() + error.square().mean() + 0.01 * scale.mean()
        return loss, float(error.detach().abs().mean()) / 2

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    training = Training("autoencoder", model, optimizer, peak=2e-3, measure="L1")
    run_steps(training, step_loss, work / "autoencoder.pt", steps=steps)
    return model.eval()


@torch.no_grad()
def make_latents(items: Items, autoencoder: AutoencoderTiny, work: Path) -> dict[str, torch.Tensor]:
    path = work / "latents.pt"
    if path.exists():
        return torch.load(path, weights_only=True)
    latents, all_tints, all_backgrounds = [], [], []
    for variant in range(VARIANTS):
        rng = np.random.default_rng([SEED, 2, variant])
        tints, backgrounds = random_attributes(len(items.images), rng)
        if variant == 0:
            tints[:] = backgrounds[:] = 0
        for part in np.array_split(np.arange(len(items.images)), 60):
            images = fashion_mnist.render(items.images[part], tints=tints[part], backgrounds=backgrounds[part], rng=rng)
            latents.append(autoencoder.encode(enlarged(images)).latents.half())
        all_tints.append(torch.from_numpy(tints))
        all_backgrounds.append(torch.from_numpy(backgrounds))
        print(f"latents {variant + 1}/{VARIANTS}", flush=True)
    made = {
        "latents": torch.cat(latents),
        "tints": torch.cat(all_tints),
        "backgrounds": torch.cat(all_backgrounds),
    }
    save(made, path)
    return made


def train_denoiser(
    items: Items,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    work: Path,
    *,
    steps: int,
    batch: int,
) -> tuple[UNet2DConditionModel, CLIPTextModel, list[float]]:
    """Train text encoder and UNet together on v-prediction; return their averaged weights."""
    made = make_latents(items, autoencoder, work)
    torch.manual_seed(SEED + 1)
    model = torch.nn.ModuleDict({"unet": make_unet(), "text": make_text_encoder(tokenizer)})
    model["unet"].to(memory_format=torch.channels_last)
    averaged = averaged_model(model, 0.999)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, betas=(0.9, 0.99))
    alphas, num_items = make_scheduler().alphas_cumprod, len(items.images)

    def step_loss(step: int) -> tuple[torch.Tensor, float]:
        rng, noise = np.random.default_rng([SEED, 3, step]), torch.Generator().manual_seed(step)
        # 45 % plain gray, the others with a random tint and background.
        variants = np.where(rng.random(batch) < 0.45, 0, rng.integers(1, VARIANTS, batch))
        chosen = rng.integers(0, num_items, batch)
        rows = torch.from_numpy(variants * num_items + chosen)
        texts = [
            caption(items.labels[i], int(t), int(b), items.holds[i], rng)
            for i, t, b in zip(chosen, made["tints"][rows], made["backgrounds"][rows], strict=True)
        ]
        tokens = tokenizer(
            texts, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).input_ids
        clean = made["latents"][rows].float()
        times = torch.randint(0, 1000, (batch,), generator=noise)
        eps = torch.randn(clean.shape, generator=noise)
        alpha, sigma = (
            alphas[times].sqrt()[:, None, None, None],
            (1 - alphas[times]).sqrt()[:, None, None, None],
        )
        noisy = (alpha * clean + sigma * eps).contiguous(memory_format=torch.channels_last)
        predicted = model["unet"](noisy, times, model["text"](tokens)[0]).sample
        loss = F.mse_loss(predicted, alpha * eps - sigma * clean)
        return loss, float(loss.detach())

    training = Training("denoiser", model, optimizer, peak=1e-3, averaged=averaged)
    history = run_steps(training, step_loss, work / "denoiser.pt", steps=steps)
    return averaged.module["unet"].eval(), averaged.module["text"].eval(), history


# ---------------------------------------------------------------- export


def export(work: Path, out: Path, *, archive: str | None) -> None:
    """Write the averaged weights as an fp16 diffusers folder with its model card and a picture."""
    items = generator_items(archive)
    tokenizer = make_tokenizer(work / "tokenizer")
    autoencoder, unet, text = make_autoencoder(), make_unet(), make_text_encoder(tokenizer)
    first = torch.load(work / "autoencoder.pt", weights_only=True)
    second = torch.load(work / "denoiser.pt", weights_only=True)
    autoencoder.load_state_dict(first["model"])
    weights = {k.removeprefix("module."): v for k, v in second["averaged"].items()}
    unet.load_state_dict({k[5:]: v for k, v in weights.items() if k.startswith("unet.")})
    text.load_state_dict({k[5:]: v for k, v in weights.items() if k.startswith("text.")})
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    pipeline.to(torch.float32)
    picture(pipeline).save(out / "samples.png")
    (out / "synaug.json").write_text(json.dumps(DEFAULTS) + "\n")
    (out / "README.md").write_text(model_card(items, first, second))


def picture(pipeline: StableDiffusionPipeline) -> Image.Image:
    """Draw one row per class: plain, modifiers, tints and backgrounds."""
    pipeline.set_progress_bar_config(disable=True)
    wanted = [
        "{}",
        "{}",
        "bright {}",
        "dark {}",
        "unusual {}",
        "red {}",
        "green {}",
        "blue {}",
        "{} on land",
        "{} on water",
    ]
    wanted += ["red {} on land", "blue {} on water", "green {} on land"]
    prompts = [
        f"a photo of a {w.format(name)}".replace(" a a", " an a") for name in fashion_mnist.CLASS_NAMES for w in wanted
    ]
    images = pipeline(
        prompts,
        num_inference_steps=12,
        guidance_scale=2.0,
        generator=[torch.Generator().manual_seed(i) for i in range(len(prompts))],
    ).images
    sheet = Image.new("RGB", (len(wanted) * SIZE, len(fashion_mnist.CLASS_NAMES) * SIZE))
    for i, image in enumerate(images):
        sheet.paste(image, (i % len(wanted) * SIZE, i // len(wanted) * SIZE))
    return sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST)


def model_card(items: Items, first: dict, second: dict) -> str:
    classes, words = ", ".join(fashion_mnist.CLASS_NAMES), ", ".join(MEANINGFUL)
    number, tints = f"{len(items.images):,}", ", ".join(list(fashion_mnist.TINTS)[1:])
    error, loss = (f"{np.mean(stage['history'][-250:]):.4f}" for stage in (first, second))
    machine = f"Two CPU cores ({platform.machine()}), torch {torch.__version__.split('+')[0]}"
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
datasets: [fashion_mnist]
---

# tiny-diffusion: the embedded generator of synaug

A very small Stable Diffusion (StableDiffusionPipeline; AutoencoderTiny, UNet2DConditionModel, CLIPTextModel,
UniPC) that makes 32 x 32 RGB pictures of the ten Fashion-MNIST classes from text. It exists so that
synaug's demo, tests and mirrors run offline, on the same road as a large model. It is an *in-domain*
generator: it plays the part that web-scale pretraining plays for a large model, and knows nothing else.
Class names that it never saw give poor images.

- **Understands** the class names ({classes}); modifiers with a
  meaning ({words});
  tints ({tints}); backgrounds (on land, on water, plain); in every combination:
  "a photo of a bright red bag on water".
- **Data**: {number} of the 60,000 Fashion-MNIST training images, the first
  {fashion_mnist.GENERATOR_IMAGES_PER_CLASS:,} of each class in file order less those whose pixels also occur
  among the images that synaug's data sets measure on. Fashion-MNIST is copyright 2017 Zalando SE, MIT license
  (see LICENSE-fashion-mnist.txt beside the data set). Tints and backgrounds are procedural
  (`synaug.data.benchmarks.fashion_mnist.render`).
- **Training**: autoencoder {first["step"]:,} steps of 64, final mean absolute error {error} (of a 0..1 range);
  text encoder and UNet {second["step"]:,} steps of 128, v-prediction, AdamW, averaged weights (decay 0.999),
  final loss {loss}. {machine}.
- **Repeat**: `python scripts/pretrain_tiny.py --work build/pretrain --out src/synaug/assets/tiny-diffusion`.
- **Not for** anything but trying synaug out.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--out", type=Path, help="write the diffusers folder here at the end")
    parser.add_argument("--archive", help="folder of the Fashion-MNIST .gz files")
    parser.add_argument("--autoencoder-steps", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=9000, help="steps of text encoder and UNet")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--export-only", action="store_true", help="export the checkpoints as they are")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if not options.export_only:
        items = generator_items(options.archive)
        print(f"{len(items.images):,} images for the generator", flush=True)
        autoencoder = train_autoencoder(items, options.work, steps=options.autoencoder_steps)
        tokenizer = make_tokenizer(options.work / "tokenizer")
        train_denoiser(items, autoencoder, tokenizer, options.work, steps=options.steps, batch=options.batch)
    if options.out:
        export(options.work, options.out, archive=options.archive)


if __name__ == "__main__":
    main()
