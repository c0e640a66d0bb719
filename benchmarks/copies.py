"""Compare the copy search of the gates ``copy`` and ``leak`` with alternatives, on planted copies.

The alternatives: pixel by pixel, perceptual hashes (pHash of 64 and 256 bits), nearest neighbors in the latent space of
the embedded autoencoder, and combinations. Hashes and latents are also computed for the mirror image. Each method gets
the limit at which it rejects one in 400 sound images, so that all are equally strict; the output is the share of copies
that it then finds.

    python benchmarks/copies.py
"""

import argparse
import time

import numpy as np
import torch
from gates import ALTERATIONS, held_out, plant
from PIL import Image, ImageOps
from scipy.fft import dctn

from synaug.data import read_data, read_image
from synaug.data.images.thumbnails import thumbnails
from synaug.data.similarity import alike_distances, make_prints, make_views
from synaug.recipes import read_recipe
from synaug.runtime import demo_data, demo_recipe, machine
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models import find_model
from synaug.synthesis.quality.gates import nearest_distances

STRICT = 1 / 400


def pixels(images, known):
    return nearest_distances(thumbnails(images), thumbnails(known))


def spectrum(images, known):
    return alike_distances(make_views(images), make_prints(thumbnails(known)))


def hashes(images, side):
    """Return bits of pHash: which of the lowest frequencies of 32 x 32 pixels are above their median."""
    small = [np.asarray(each.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float32) for each in images]
    lowest = dctn(np.stack(small), axes=(1, 2))[:, :side, :side].reshape(len(small), -1)
    return (lowest > np.median(lowest, 1, keepdims=True)).astype(np.float32)


def hamming(images, known, side):
    bits = hashes(known, side)

    def nearest(mine):
        return (mine @ (1 - bits).T + (1 - mine) @ bits.T).min(1)

    return np.minimum(nearest(hashes(images, side)), nearest(hashes(mirrored(images), side)))


def latents(images, *, batch=256):
    """Return the latents of the images from the embedded pipeline's encoder."""
    from diffusers import AutoencoderTiny

    with quiet():
        encoder = AutoencoderTiny.from_pretrained(find_model("embedded").path, subfolder="vae").eval()
    found = []
    for start in range(0, len(images), batch):
        part = [
            each.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC) for each in images[start : start + batch]
        ]
        values = torch.from_numpy(np.stack([np.asarray(each) for each in part])).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.inference_mode():
            found.append(encoder.encode(values).latents.flatten(1).numpy())
    return np.concatenate(found)


def cosine(images, known):
    others = latents(known)
    center = others.mean(0)

    def unit(values):
        return (values - center) / np.linalg.norm(values - center, axis=1, keepdims=True)

    return 1 - np.maximum(*((unit(latents(each)) @ unit(others).T).max(1) for each in (images, mirrored(images))))


def mirrored(images):
    return [ImageOps.mirror(each) for each in images]


OURS = "spectrum, then places"
OURS = "spectrum, then places"
WAYS = {
    "pixel by pixel": pixels,
    OURS: spectrum,
    "pHash, 64 bits": lambda images, known: hamming(images, known, 8),
    "pHash, 256 bits": lambda images, known: hamming(images, known, 16),
    "latents": cosine,
}
EITHER = (("pixel by pixel", OURS), ("pHash, 64 bits", "latents"), (OURS, "latents"))


def compared(images, faults, known, kind):
    """Return, per method, the share of copies found by kind of alteration, and the milliseconds per image."""
    sound, ranks, costs = faults == "sound", {}, {}
    for name, way in WAYS.items():
        began = time.process_time()
        distances = way(images, known)
        costs[name] = 1000 * (time.process_time() - began) / len(images)
        ranks[name] = np.searchsorted(np.sort(distances[sound]), distances) / sound.sum()
    for one, other in EITHER:
        name = f"{one}, or {other}"
        ranks[name], costs[name] = np.minimum(ranks[one], ranks[other]), costs[one] + costs[other]
    found = {}
    for name, rank in ranks.items():
        limit = np.quantile(rank[sound], STRICT)
        found[name] = {how: float((rank[faults == f"{kind} {how}"] <= limit).mean()) for how in ALTERATIONS}
    return {name: (found[name], costs[name]) for name in ranks}


def main(seed, num):
    manifest = read_data(demo_data(), read_recipe(demo_recipe()).data)
    candidates, faults = plant(manifest, *held_out(), seed=seed, num=num)
    images = [each.image for each in candidates]
    for kind, split in (("copy", "train"), ("leak", "test")):
        rows = manifest.split(split)
        known = [read_image(rows, row) for row in range(len(rows))]
        print(f"\n| {kind}, of {len(known):,} | {' | '.join(ALTERATIONS)} | all | CPU ms |\n|---|" + "---:|" * 7)
        for name, (found, cost) in compared(images, faults, known, kind).items():
            shares = [*found.values(), float(np.mean(list(found.values())))]
            print(f"| {name} | {' | '.join(f'{100 * share:.0f}' for share in shares)} | {cost:.2f} |")
    print(f"\n{len(images):,} candidates, {int((faults == 'sound').sum()):,} of them sound; {machine()}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--candidates", type=int, default=2000)
    given = parser.parse_args()
    main(given.seed, given.candidates)
