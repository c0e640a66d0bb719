"""Measure how well an edition of the embedded generator shows its classes, per class.

    python scripts/measure_tiny.py src/synaug/assets/tiny-diffusion --work build/measure

``--steps``, ``--guidance`` and ``--interval`` measure other settings than the edition's own. No test image is looked
at: the images to compare with are the last 300 of each class that the generator never saw, and the judge is a ResNet-8
that learned from the others (2,700 of each class). A judge in the work folder is used again. ``--references`` shows
what the numbers would be for real images, and for real images that passed the resizing and the autoencoder.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from PIL import Image
from scipy.ndimage import uniform_filter

from synaug.config import StageOptions
from synaug.data.benchmarks import fashion_mnist
from synaug.evaluation.gap.domain_gap import gap_report
from synaug.runtime import storage
from synaug.synthesis.generators.models import GuidanceInterval
from synaug.synthesis.planning.prompting import MODIFIERS
from synaug.training import predict, train_representation
from synaug.training.inference import extract_features
from synaug.training.networks import ImageClassifier, make_model
from synaug.training.training_set import TrainingSet, make_training_set

CLASSES = fashion_mnist.CLASS_NAMES
PUPILS = 4  # networks that learn from the images alone
COMPARED = 300  # images per class, real and synthetic
IMPLIED = 40  # real images per class that the generator classifies by its own loss
LEVELS = (200, 300, 400, 500, 600, 700, 800)  # of noise, of 0..999
BATCH = 128


@dataclass(frozen=True)
class Images:
    """Gray images, uint8 of shape (N, 28, 28), and their labels (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def as_set(self, like: TrainingSet | None = None) -> TrainingSet:
        images, labels = torch.from_numpy(self.images)[:, None], torch.from_numpy(self.labels)
        return make_training_set(images, labels, num_classes=len(CLASSES), like=like)


@dataclass(frozen=True)
class Settings:
    """How the generator draws; the guidance applies between two shares of the steps."""

    steps: int
    guidance: float
    interval: tuple[float, float]


def real_images(archive: str | None) -> tuple[Images, Images]:
    """Return what the judge learns from, and what images are compared with."""
    train, test = (fashion_mnist.read_archive(split, archive) for split in ("train", "test"))
    positions = fashion_mnist.split_positions(train, test).held_out
    parts = [positions[train.labels[positions] == label] for label in range(len(CLASSES))]
    chosen = [
        np.concatenate([part[:-COMPARED] for part in parts]),
        np.concatenate([part[-COMPARED:] for part in parts]),
    ]
    return Images(train.images[chosen[0]], train.labels[chosen[0]]), Images(
        train.images[chosen[1]], train.labels[chosen[1]]
    )


def trained(images: Images, *, steps: int, checkpoint: Path, seed: int = 0) -> tuple[ImageClassifier, TrainingSet]:
    data = images.as_set()
    model = make_model("resnet8", num_classes=len(CLASSES), in_channels=1, image_size=28, seed=seed)
    options = StageOptions(
        steps=steps, batch_size=128, learning_rate=0.3, weight_decay=5e-4, mixing="none", max_synthetic=1.0
    )
    train_representation(model, data, options, seed=seed, device="cpu", checkpoint=checkpoint)
    return model, data


def taught(images: Images, real: Images, work: Path) -> np.ndarray:
    """Return each class's share of real images that networks recognize that saw only these images, (C,)."""
    found = []
    for seed in range(PUPILS):
        pupil, own = trained(images, steps=400, checkpoint=work / f"pupil-{_digest(images)}-{seed}", seed=seed)
        found.append(recalls(predict(pupil, real.as_set(like=own)).argmax(1).numpy(), real.labels))
    return np.mean(found, axis=0)


def _digest(images: Images) -> str:
    return storage.digest(images.images.tobytes())[:12]


@torch.inference_mode()
def generated(pipeline: StableDiffusionPipeline, settings: Settings) -> Images:
    """Draw COMPARED images of each class, with the default prompts."""
    guidance = GuidanceInterval(settings.guidance, settings.interval)
    images, labels = [], []
    prompts = [(label, modifier) for label in range(len(CLASSES)) for modifier in MODIFIERS]
    wanted = [prompts[i] for label in range(len(CLASSES)) for i in _turns(label, len(MODIFIERS))]
    for start in range(0, len(wanted), BATCH):
        some = wanted[start : start + BATCH]
        nouns = [" ".join(filter(None, (modifier, CLASSES[label]))) for label, modifier in some]
        made = pipeline(
            [f"a photo of {'an' if noun[0] in 'aeiou' else 'a'} {noun}" for noun in nouns],
            num_inference_steps=settings.steps,
            **guidance.arguments(settings.steps),
            generator=[torch.Generator().manual_seed(start + i) for i in range(len(some))],
        ).images
        images += [as_stored(each) for each in made]
        labels += [label for label, _ in some]
    return Images(np.stack(images), np.array(labels))


def _turns(label: int, number: int) -> list[int]:
    return [label * number + i % number for i in range(COMPARED)]


@torch.inference_mode()
def implied_recalls(pipeline: StableDiffusionPipeline, real: Images) -> np.ndarray:
    """Return each class's share of real images whose own prompt lets the denoiser remove noise best, (C,).

    The diffusion classifier of Li et al. 2023; all prompts see the same noise.
    """
    tokens = pipeline.tokenizer(
        [f"a photo of {'an' if name[0] in 'aeiou' else 'a'} {name}" for name in CLASSES],
        padding="max_length", max_length=pipeline.tokenizer.model_max_length, return_tensors="pt",
    ).input_ids  # fmt: skip
    texts = pipeline.text_encoder(tokens)[0]
    alphas = pipeline.scheduler.alphas_cumprod
    recalls = []
    for label in range(len(CLASSES)):
        gray = real.images[real.labels == label][:IMPLIED]
        clean = pipeline.vae.encode(enlarged(gray)).latents
        errors = torch.zeros(len(clean), len(CLASSES))
        for level in LEVELS:
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(level))
            alpha, sigma = alphas[level].sqrt(), (1 - alphas[level]).sqrt()
            for candidate in range(len(CLASSES)):
                text = texts[candidate].expand(len(clean), -1, -1)
                predicted = pipeline.unet(alpha * clean + sigma * noise, level, text).sample
                errors[:, candidate] += (predicted - (alpha * noise - sigma * clean)).square().mean((1, 2, 3))
        recalls.append(float((errors.argmin(1) == label).float().mean()))
    return np.array(recalls)


@torch.inference_mode()
def autoencoded(pipeline: StableDiffusionPipeline, images: np.ndarray) -> np.ndarray:
    """Return gray images after the autoencoder, uint8 (N, 28, 28)."""
    return shrunk(pipeline.vae.decode(pipeline.vae.encode(enlarged(images)).latents).sample.clamp(-1, 1))


def enlarged(images: np.ndarray) -> torch.Tensor:
    """Convert gray uint8 (N, 28, 28) to what the autoencoder takes, float (N, 3, 32, 32) in [-1, 1]."""
    pixels = torch.from_numpy(images)[:, None].float().expand(-1, 3, -1, -1) / 127.5 - 1
    return F.interpolate(pixels, 32, mode="bicubic", antialias=True).clamp(-1, 1)


def shrunk(pixels: torch.Tensor) -> np.ndarray:
    """Convert (N, 3, 32, 32) in [-1, 1] to gray uint8 (N, 28, 28), as a run does."""
    colors = ((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return np.stack([as_stored(Image.fromarray(each)) for each in colors])


def as_stored(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((28, 28), Image.Resampling.LANCZOS))


def fine_detail(images: np.ndarray) -> float:
    """Return the mean deviation of a pixel from its 3 x 3 surroundings, of a 0..1 range."""
    values = images.astype(np.float32) / 255
    return float(np.abs(values - uniform_filter(values, size=(1, 3, 3))).mean())


def recalls(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.array([(predictions[labels == label] == label).mean() for label in range(len(CLASSES))])


def measured(folder: Path, work: Path, settings: Settings, *, archive: str | None) -> dict[str, dict[str, float]]:
    """Return the measurements of each class, and of all under "mean"."""
    to_learn, real = real_images(archive)
    judge, seen = trained(to_learn, steps=2000, checkpoint=work / "judge")
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    synthetic = generated(pipeline, settings)
    both = [each.as_set(like=seen) for each in (real, synthetic)]
    seen_as = [predict(judge, each).argmax(1).numpy() for each in both]
    features = [extract_features(judge, each).numpy() for each in both]
    gaps = gap_report(
        real=features[0], synthetic=features[1], real_labels=real.labels, synthetic_labels=synthetic.labels,
        class_names=CLASSES,
    )  # fmt: skip
    columns = {
        "real images recognized": 100 * recalls(seen_as[0], real.labels),
        "synthetic recognized": 100 * recalls(seen_as[1], synthetic.labels),
        "implied classifier": 100 * implied_recalls(pipeline, real),
        "trained on them": 100 * taught(synthetic, real, work),
        "kid": np.array([each.kid.mean for each in gaps.per_class]),
        "precision": 100 * np.array([each.manifold.precision for each in gaps.per_class]),
        "recall": 100 * np.array([each.manifold.recall for each in gaps.per_class]),
    }
    shown = {"real": real.images, "autoencoded": autoencoded(pipeline, real.images), "synthetic": synthetic.images}
    for name, images in shown.items():
        labels = synthetic.labels if name == "synthetic" else real.labels
        columns[f"detail {name}"] = np.array([fine_detail(images[labels == label]) for label in range(len(CLASSES))])
    rows = {name: {column: float(values[i]) for column, values in columns.items()} for i, name in enumerate(CLASSES)}
    return rows | {"mean": {column: float(values.mean()) for column, values in columns.items()}}


def references(folder: Path, work: Path, *, archive: str | None) -> dict[str, np.ndarray]:
    """Return what networks learn from as many real images, as they are, resized there and back, and autoencoded."""
    to_learn, real = real_images(archive)
    rows = np.concatenate([np.flatnonzero(to_learn.labels == label)[:COMPARED] for label in range(len(CLASSES))])
    images, labels = to_learn.images[rows], to_learn.labels[rows]
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    versions = {
        "real": images,
        "real, 28 to 32 pixels and back": shrunk(enlarged(images)),
        "real, autoencoded": autoencoded(pipeline, images),
    }
    return {name: 100 * taught(Images(version, labels), real, work) for name, version in versions.items()}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return the measurements as a Markdown table.

    >>> print(table({"coat": {"kid": 0.1234, "precision": 61.25}}))
    | class | kid | precision |
    |---|---|---|
    | coat | 0.123 | 61.2 |
    """
    columns = list(next(iter(rows.values())))
    lines = [f"| class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = (f"{row[c]:.3f}" if c == "kid" or c.startswith("detail") else f"{row[c]:.1f}" for c in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="diffusers folder of the generator")
    parser.add_argument("--work", type=Path, required=True, help="folder of the judge's checkpoint")
    parser.add_argument("--archive", help="folder of the Fashion-MNIST .gz files")
    parser.add_argument("--references", action="store_true", help="measure what real images would teach instead")
    parser.add_argument("--out", type=Path, help="write the measurements here as JSON")
    parser.add_argument("--steps", type=int, help="denoising steps; default: the edition's")
    parser.add_argument("--guidance", type=float, help="default: the edition's")
    parser.add_argument("--interval", type=float, nargs=2, default=(0.0, 1.0), help="shares of the steps with guidance")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    own = json.loads((options.model / "synaug.json").read_text())
    settings = Settings(options.steps or own["steps"], options.guidance or own["guidance"], tuple(options.interval))
    if options.references:
        found = references(options.model, options.work, archive=options.archive)
        print(
            table({name: dict(zip((*CLASSES, "mean"), (*row, row.mean()), strict=True)) for name, row in found.items()})
        )
        return
    rows = measured(options.model, options.work, settings, archive=options.archive)
    print(table(rows))
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
