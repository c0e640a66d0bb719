"""Train the embedded tiny CLIP on the images and captions that the embedded generator was trained on.

    python scripts/pretrain_clip.py --work build/clip --out src/synaug/assets/tiny-clip

It judges whether a generated image shows what its prompt says. Interrupted trainings resume; about 40 minutes on one
CPU core. A part of the images is first passed through the generator's autoencoder, so that its blur does not count as
another class. The model card gets the measured facts.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTextConfig, CLIPVisionConfig

import pretrain_tiny as tiny
from checkpointed_training import Training, averaged_model, run_steps
from synaug.data.benchmarks import fashion_mnist
from synaug.runtime.embedded import ASSETS

SEED = tiny.SEED + 10
HELD_OUT = 200  # images of each class that only the model card's accuracy is measured on
AUTOENCODED = 0.3  # share of the images
CLASSES, TINTS, BACKGROUNDS = fashion_mnist.CLASS_NAMES, list(fashion_mnist.TINTS), fashion_mnist.BACKGROUNDS
COMBINATIONS = [(c, t, b) for c in range(len(CLASSES)) for t in range(len(TINTS)) for b in range(len(BACKGROUNDS))]


def make_model(vocabulary: int, bos: int, eos: int, pad: int) -> CLIPModel:
    text = CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=96, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=tiny.MAX_TOKENS, projection_dim=64,
        bos_token_id=bos, eos_token_id=eos, pad_token_id=pad,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        image_size=tiny.SIZE, patch_size=4, hidden_size=96, intermediate_size=256, num_hidden_layers=4,
        num_attention_heads=4, projection_dim=64,
    )  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64))


def caption(label: int, tint: int, background: int, modifier: str) -> str:
    """Describe an image with all its attributes, such as "a photo of a bright red bag on water"."""
    words = [modifier, TINTS[tint] if tint else "", CLASSES[label]]
    noun = " ".join(word for word in words if word)
    place = f" on {BACKGROUNDS[background]}" if background else ""
    return f"a photo of {'an' if noun[0] in 'aeiou' else 'a'} {noun}{place}"


def split(items: tiny.Items) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions to train on, and those held out."""
    held = np.concatenate([np.flatnonzero(items.labels == label)[-HELD_OUT:] for label in range(len(CLASSES))])
    return np.setdiff1d(np.arange(len(items.labels)), held), held


def rendered(items: tiny.Items, chosen: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Return images (N, 3, 32, 32) in [-1, 1], moved and mirrored at random, with their tints and backgrounds."""
    tints, backgrounds = tiny.random_attributes(len(chosen), rng)
    plain = rng.random(len(chosen)) < 0.4
    tints[plain] = backgrounds[plain] = 0
    gray = items.images[chosen]
    mirrored = rng.random(len(chosen)) < 0.5
    gray = np.where(mirrored[:, None, None], gray[:, :, ::-1], gray)
    moved = np.pad(gray, ((0, 0), (2, 2), (2, 2)))
    rows, columns = rng.integers(0, 5, (2, len(chosen)))
    gray = np.stack([one[r : r + 28, c : c + 28] for one, r, c in zip(moved, rows, columns, strict=True)])
    images = tiny.enlarged(fashion_mnist.render(gray, tints=tints, backgrounds=backgrounds, rng=rng))
    return images, torch.from_numpy(tints), torch.from_numpy(backgrounds)


def similarities(model: CLIPModel, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the scaled cosine similarity of each image with each text, (N, M)."""
    found = model(input_ids=tokens, pixel_values=images)
    return found.logits_per_image


def train(items: tiny.Items, work: Path, *, steps: int, batch: int) -> tuple[CLIPModel, list[float]]:
    """Train; each image is compared with the captions of all combinations, and with those of the ten classes alone."""
    torch.manual_seed(SEED)
    tokenizer = tiny.make_tokenizer(work / "tokenizer")
    model = make_model(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    averaged = averaged_model(model, 0.998)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    autoencoder = AutoencoderTiny.from_pretrained(ASSETS / "tiny-diffusion" / "vae", torch_dtype=torch.float32).eval()
    items_to_train, _ = split(items)
    number = {each: position for position, each in enumerate(COMBINATIONS)}

    def step_loss(step: int) -> tuple[torch.Tensor, float]:
        rng = np.random.default_rng([SEED, 1, step])
        chosen = rng.choice(items_to_train, batch)
        images, tints, backgrounds = rendered(items, chosen, rng)
        blurred = torch.from_numpy(rng.random(batch) < AUTOENCODED)
        with torch.no_grad():
            images[blurred] = autoencoder.decode(autoencoder.encode(images[blurred]).latents).sample.clamp(-1, 1)
        labels = torch.from_numpy(items.labels[chosen].astype(np.int64))
        modifiers = rng.choice(["", "", *tiny.NEUTRAL], len(COMBINATIONS))
        texts = [caption(*each, str(word)) for each, word in zip(COMBINATIONS, modifiers, strict=True)]
        texts += [caption(label, 0, 0, "") for label in range(len(CLASSES))]
        tokens = tokenizer(texts, padding="max_length", max_length=tiny.MAX_TOKENS, return_tensors="pt").input_ids
        logits = similarities(model, images, tokens)
        triples = zip(labels.tolist(), tints.tolist(), backgrounds.tolist(), strict=True)
        exact = torch.tensor([number[each] for each in triples])
        whole = F.cross_entropy(logits[:, : len(COMBINATIONS)], exact, label_smoothing=0.05)
        loss = 0.5 * whole + F.cross_entropy(logits[:, len(COMBINATIONS) :], labels, label_smoothing=0.05)
        return loss, float(loss.detach())

    training = Training("clip", model, optimizer, peak=1.5e-3, averaged=averaged)
    history = run_steps(training, step_loss, work / "clip.pt", steps=steps)
    return averaged.module.eval(), history


@torch.inference_mode()
def accuracies(model: CLIPModel, processor: CLIPProcessor, items: tiny.Items) -> dict[str, float]:
    """Return the share of held-out plain images whose class has the most similar caption, per class."""
    _, held = split(items)
    texts = [caption(label, 0, 0, "") for label in range(len(CLASSES))]
    tokens = processor.tokenizer(texts, padding="max_length", max_length=tiny.MAX_TOKENS, return_tensors="pt").input_ids
    plain = np.zeros(len(held), np.int64)
    images = tiny.enlarged(
        fashion_mnist.render(items.images[held], tints=plain, backgrounds=plain, rng=np.random.default_rng(SEED))
    )
    found = torch.cat([similarities(model, part, tokens).argmax(1) for part in images.split(250)]).numpy()
    labels = items.labels[held]
    return {name: float((found == labels)[labels == label].mean()) for label, name in enumerate(CLASSES)}


def export(model: CLIPModel, items: tiny.Items, work: Path, out: Path, history: list[float], batch: int) -> None:
    """Write the averaged weights in half precision, with tokenizer, image processor and model card."""
    tokenizer = tiny.make_tokenizer(work / "tokenizer")
    half = [0.5, 0.5, 0.5]
    images = CLIPImageProcessor(
        size={"shortest_edge": tiny.SIZE}, crop_size={"height": tiny.SIZE, "width": tiny.SIZE}, resample=3,
        image_mean=half, image_std=half,
    )  # fmt: skip
    processor = CLIPProcessor(images, tokenizer)
    measured = accuracies(model, processor, items)
    model.half().save_pretrained(out, safe_serialization=True)
    processor.save_pretrained(out)
    loss = float(np.mean(history[-250:]))
    (out / "README.md").write_text(model_card(model, items, measured, len(history), batch, loss))
    print({name: round(value, 3) for name, value in measured.items()}, np.mean(list(measured.values())))


def model_card(
    model: CLIPModel, items: tiny.Items, measured: dict[str, float], steps: int, batch: int, loss: float
) -> str:
    size = sum(parameter.numel() for parameter in model.parameters())
    recalls = "\n".join(f"| {name} | {100 * value:.1f} |" for name, value in measured.items())
    used = len(items.labels) - HELD_OUT * len(CLASSES)
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: zero-shot-image-classification
datasets: [fashion_mnist]
---

# tiny-clip: the embedded judge of synaug

A very small CLIP (CLIPModel, {size:,} parameters) that compares 32 x 32 RGB pictures of the ten Fashion-MNIST
classes with captions. It exists so that `quality.scorer: clip` runs offline in synaug's demo and tests, on the same
road as CLIP and SigLIP: `quality.scorer_model: embedded`. It knows nothing but these classes, the tints and the
backgrounds of the embedded generator.

- **It saw the images that the embedded generator was trained on**, so it is no independent judge of that generator.
  It saw none of the images that synaug's data sets train or test on.
- **Data**: {used:,} of the generator's Fashion-MNIST training images; {HELD_OUT} of each class were left out, and the
  numbers below are measured on them. Fashion-MNIST is copyright 2017 Zalando SE, MIT license (see
  LICENSE-fashion-mnist.txt). Tints and backgrounds are procedural. {AUTOENCODED:.0%} of the images passed the
  generator's autoencoder first.
- **Training**: {steps:,} steps of {batch} images against the captions of all combinations of class, tint and
  background, and of the classes alone; AdamW, averaged weights, final loss {loss:.3f}. CPU ({platform.machine()}),
  torch {torch.__version__.split("+")[0]}.
- **Repeat**: `python scripts/pretrain_clip.py --work build/clip --out src/synaug/assets/tiny-clip`.
- **Not for** anything but trying synaug out.

Share of held-out images whose own class has the most similar caption, in percent (mean
{100 * np.mean(list(measured.values())):.1f}):

| class | recognized |
|---|---|
{recalls}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--out", type=Path, help="write the model folder here at the end")
    parser.add_argument("--archive", help="folder of the Fashion-MNIST .gz files")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    items = tiny.generator_items(options.archive)
    model, history = train(items, options.work, steps=options.steps, batch=options.batch)
    if options.out:
        export(model, items, options.work, options.out, history, options.batch)


if __name__ == "__main__":
    main()
