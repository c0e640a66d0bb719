"""Compare the accuracy measured on a balanced set with the accuracy on real test images.

The embedded pipeline fills up the demo's images to ``--target`` per class. A ridge classifier of the pixels is trained
on four fifths of them; it is tested on the last fifth (wrong) and on the demo's real test images (right).

    python benchmarks/leakage.py
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

import synaug
from synaug.runtime import demo_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=int, default=100, help="images wanted of each class")
    parser.add_argument("--splits", type=int, default=5, help="how often the balanced set is split")
    chosen = parser.parse_args()
    data = synaug.read_data(demo_data())
    evened_out = synaug.balance(data, model="embedded", target=chosen.target, options={"quality.gates": []})
    print(json.dumps(mean_recalls(rows_of(evened_out), rows_of(data.split("test")), splits=chosen.splits)))


def rows_of(manifest: synaug.Manifest) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels between 0 and 1, one row per image, and labels."""
    pixels, labels, _ = synaug.to_arrays(manifest)
    return pixels.reshape(len(pixels), -1) / 255, labels


def mean_recalls(
    evened_out: tuple[np.ndarray, np.ndarray], real: tuple[np.ndarray, np.ndarray], *, splits: int
) -> dict[str, list[float]]:
    """Return the mean recall on the last fifth of the balanced set, and on real images, for each split."""
    found: dict[str, list[float]] = {"wrong": [], "right": []}
    for seed in range(splits):
        rows, held_out, labels, true = train_test_split(
            *evened_out, test_size=0.2, random_state=seed, stratify=evened_out[1]
        )
        model = RidgeClassifier(alpha=30.0).fit(rows, labels)
        found["wrong"].append(round(balanced_accuracy_score(true, model.predict(held_out)), 4))
        found["right"].append(round(balanced_accuracy_score(real[1], model.predict(real[0])), 4))
    return found


if __name__ == "__main__":
    main()
