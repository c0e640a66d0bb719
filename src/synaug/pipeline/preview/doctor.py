"""Examine a data set before generation: its content, its problems, and the classes that would benefit."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synaug.config import Recipe
from synaug.data import Manifest, content_numbers, fold_numbers, groups, read_data, read_image
from synaug.errors import DataError
from synaug.evaluation import suspects
from synaug.evaluation.learning_curve import learning_curve
from synaug.runtime import Progress, can_train, signals, silent
from synaug.runtime.security import shell_word
from synaug.schemas.command_output import DuplicateCounts, Examination, Layout

FOLDS = 5
MOST_PER_CLASS = 300  # images for the baseline; more hardly change a class's curve
MOST_IMAGES = 3000
SECONDS = 90.0  # for features; on a slow device, fewer images are used
FIRST = 32  # images in the first timed batch
GAINS, GOOD = 0.03, 0.95  # worthwhile gain in recall from a doubling; recall that needs no more images
NEAR = 0.02  # mean absolute pixel difference of thumbnails, 0 to 1, below which two images are near-duplicates
SHOWN = 20
FEWEST = 10  # images of a class whose recall is worth a verdict
FEWEST_FLAT = 30  # with fewer, the gain from a doubling has a standard error of ten points and more


@dataclass(frozen=True, eq=False)
class Features:
    """Features of some images ``(M, D)``, their rows in the manifest, and the source of the features."""

    values: np.ndarray
    rows: np.ndarray
    network: str | None
    device: str
    images_per_second: float


def doctor(source: Path, recipe: Recipe, *, progress: Progress = silent) -> Examination:
    """Return the facts about a data set that users should know before generating images; nothing is written.

    Returns:
        ``counts`` (as ``count``), ``layout``, ``duplicates``, ``label_suspects``, ``baseline`` (mean recall, network,
        number of images), ``classes`` (per class: images, recall with a quarter, half and all of them, whether more
        images would help), ``device``, ``images_to_make``, ``findings`` (sentences) and ``next`` (a command).

    Raises:
        DataError: there are fewer than two classes, or no training images.
    """
    began = time.monotonic()
    manifest = read_data(source, recipe.data, progress=progress)
    training = manifest.split("train")
    real = training.rows(~training.is_synthetic)
    counts = groups.class_counts(real.labels, manifest.num_classes)
    if (counts > 0).sum() < 2:
        raise DataError(f"{source} has training images of {(counts > 0).sum()} class; a classifier needs at least 2.")
    pixels = _thumbnails(manifest, progress)
    duplicates = _duplicates(manifest, pixels)
    features = _features(real, recipe, pixels[_positions(manifest, real)], progress)
    labels = real.labels[features.rows]
    folds = fold_numbers(
        labels, FOLDS, np.random.default_rng(recipe.seed), contents=content_numbers(real, features.rows)
    )
    progress("judging the classes", 0, 1, "")
    curve = learning_curve(features.values, labels, folds, num_classes=manifest.num_classes, seed=recipe.seed)
    progress("judging the classes", 1, 1, "")
    names = manifest.class_names
    paths = real.frame["path"].tolist()
    content: Examination = {
        "counts": groups.summary(real),
        "layout": _layout(manifest),
        "duplicates": duplicates,
        "label_suspects": [
            {"path": paths[features.rows[row]], "label": names[labels[row]], "likelier": names[other], "probability": p}
            for row, other, p in suspects(curve.probabilities, labels, most=SHOWN)
        ],
        "baseline": {
            "network": features.network,
            "num_images": len(features.rows),
            "mean_recall": float(np.nanmean(curve.recalls[-1])) if not np.isnan(curve.recalls[-1]).all() else None,
        },
        "classes": {
            name: {
                "images": int(counts[label]),
                "recalls": curve.recalls[:, label].tolist(),
                "verdict": class_verdict(int(counts[label]), curve.recalls[:, label]),
            }
            for label, name in enumerate(names)
        },
        "device": {"name": features.device, "images_per_second": features.images_per_second},
        "images_to_make": int((counts.max() - counts).sum()),
    }
    return {
        **content,
        "findings": findings(content),
        "next": next_command(source),
        "without_model": f"synaug run {shell_word(source)} --target none",
        "seconds": time.monotonic() - began,
    }


def class_verdict(num_images: int, recalls: np.ndarray) -> str:
    """Return ``unknown``, ``good``, ``would gain`` or ``flat`` for the recalls with a quarter, half and all images.

    A class is ``unknown`` if it has too few images, since every recall is measured on them.
    """
    if num_images < FEWEST or np.isnan(recalls[-2:]).any():
        return "unknown"
    if recalls[-1] >= GOOD:
        return "good"
    if recalls[-1] - recalls[-2] >= GAINS:
        return "would gain"
    return "flat" if num_images >= FEWEST_FLAT else "unknown"


def findings(content: Examination) -> list[str]:
    """Return the findings as sentences, most urgent first."""
    said = []
    duplicates, layout = content["duplicates"], content["layout"]
    if duplicates["across_splits"]:
        said.append(
            f"Training images also in the test split: {duplicates['across_splits']:,}. Results would look too good."
        )
    if duplicates["contradictory"]:
        said.append(f"Equal images with different labels: {duplicates['contradictory']:,}. Keep one label each.")
    if duplicates["exact"] or duplicates["near"]:
        said.append(
            f"Training images that repeat another one: {duplicates['exact']:,} exactly, {duplicates['near']:,} nearly."
        )
    if content["label_suspects"]:
        said.append(
            f"Labels that look wrong to a model that has not seen them: {len(content['label_suspects'])}. "
            "Check them first."
        )
    if layout["quarantined"]:
        said.append(f"Files that cannot be read and are left out: {layout['quarantined']:,}.")
    if not layout["test"]:
        said.append("There is no test split: a fifth of each class will be held out.")
    by_verdict: dict[str, list[str]] = {}
    for name, row in content["classes"].items():
        by_verdict.setdefault(row["verdict"], []).append(name)
    rarest = min(content["classes"], key=lambda name: content["classes"][name]["images"])
    row = content["classes"][rarest]
    if row["verdict"] == "good":
        said.append(
            f"You may not need synthetic images: simple features recognize {100 * row['recalls'][-1]:.0f} % of the "
            f"rarest class, {rarest} ({row['images']} images)."
        )
    if gaining := by_verdict.get("would gain"):
        said.append(
            f"More images would help most: {', '.join(gaining[:8])}{' and others' if len(gaining) > 8 else ''}."
        )
    if flat := by_verdict.get("flat"):
        said.append(
            f"More images alone hardly help: {', '.join(flat[:8])}. Look for wrong labels and classes that overlap."
        )
    if unknown := by_verdict.get("unknown"):
        said.append(f"Too few images to judge whether more would help: {', '.join(unknown[:8])}.")
    return said


def next_command(source: Path) -> str:
    """Return the command to type next.

    >>> next_command(Path("my photos"))
    "synaug run 'my photos' --dry-run"
    """
    return f"synaug run {shell_word(source)} --dry-run"


def _layout(manifest: Manifest) -> Layout:
    splits = manifest.frame["split"]
    return {
        "train": int((splits == "train").sum()),
        "validation": int((splits == "validation").sum()),
        "test": int((splits == "test").sum()),
        "synthetic": int(manifest.is_synthetic.sum()),
        "attributes": list(manifest.attribute_names),
        "quarantined": len(manifest.quarantined),
    }


def _thumbnails(manifest: Manifest, progress: Progress) -> np.ndarray:
    """Return RGB thumbnails of all images, uint8 of shape ``(N, D)``."""
    from synaug.data.images.thumbnails import thumbnails

    parts = []
    for row in range(len(manifest)):
        parts.append(thumbnails([read_image(manifest, row)], mode="RGB"))
        if row % 64 == 0:
            progress("reading images", row, len(manifest), "")
            signals.stop_here()
    progress("reading images", len(manifest), len(manifest), "")
    return np.concatenate(parts)


def _duplicates(manifest: Manifest, pixels: np.ndarray) -> DuplicateCounts:
    """Return how many training images repeat another one: exactly, nearly, in the test split, with another label."""
    exact = manifest.frame.drop(columns="cluster", errors="ignore")  # a cluster also holds nearly equal images
    contents = content_numbers(replace(manifest, frame=exact), np.arange(len(manifest)))
    train = manifest.frame["split"].to_numpy() == "train"
    test = manifest.frame["split"].to_numpy() == "test"
    unique, first = np.unique(contents[train], return_index=True)
    labels = {(int(c), int(label)) for c, label in zip(contents, manifest.labels, strict=True)}
    contradictory = len(labels) - len(np.unique(contents))
    rows = np.flatnonzero(train)[first]
    return {
        "exact": int(train.sum() - len(unique)),
        "near": _near(pixels[rows]),
        "across_splits": int(np.isin(contents[train], contents[test]).sum()),
        "contradictory": contradictory,
    }


def _near(pixels: np.ndarray) -> int:
    """Return how many thumbnails have another one within distance ``NEAR``."""
    from sklearn.neighbors import NearestNeighbors

    if len(pixels) < 2:
        return 0
    values = pixels.astype(np.float32) / 255
    neighbors = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(values)
    nearest = neighbors.kneighbors(values, return_distance=False)
    other = np.where(nearest[:, 0] == np.arange(len(values)), nearest[:, 1], nearest[:, 0])
    return int((np.abs(values - values[other]).mean(1) <= NEAR).sum())


def _positions(manifest: Manifest, part: Manifest) -> np.ndarray:
    """Return the positions of a part's rows in the whole."""
    place = {image: row for row, image in enumerate(manifest.frame["id"].tolist())}
    return np.array([place[image] for image in part.frame["id"].tolist()], np.int64)


def _some_of_each(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows in random order, at most ``MOST_PER_CLASS`` per class, rare classes first if there are too many."""
    rows = [rng.permutation(np.flatnonzero(labels == label))[:MOST_PER_CLASS] for label in np.unique(labels)]
    ranks = np.concatenate([np.arange(len(part)) for part in rows])
    mixed = np.concatenate(rows)[np.lexsort((rng.random(len(ranks)), ranks))]
    return mixed[:most]


def _network_at_hand() -> str | None:
    if not can_train():
        return None
    from synaug.training.networks import small_network_at_hand

    return small_network_at_hand()


def _features(real: Manifest, recipe: Recipe, pixels: np.ndarray, progress: Progress) -> Features:
    """Return features of a pretrained network if one is available offline; else thumbnails."""
    rows = _some_of_each(real.labels, MOST_IMAGES, np.random.default_rng([recipe.seed, 11]))
    network = _network_at_hand()
    if network is None:
        return Features(pixels[rows].astype(np.float64) / 255, rows, None, "cpu", float("nan"))
    from synaug.runtime import chosen_device
    from synaug.training import extract_features, load_training_set
    from synaug.training.networks import make_model, pretrained_normalization

    mean, std, side = pretrained_normalization(network)
    device = chosen_device(recipe.train.device)
    model = make_model(network, num_classes=manifest_classes(real), in_channels=3, image_size=side, pretrained=True)
    parts: list[np.ndarray] = []
    began, done = time.monotonic(), 0
    while done < len(rows) and (time.monotonic() - began < SECONDS or done < FIRST):
        chosen = rows[done : done + FIRST]
        data = load_training_set(real.rows(chosen), image_size=side, channels=3, normalization=(mean, std))
        parts.append(extract_features(model, data, batch_size=FIRST, device=device).numpy())
        done += len(chosen)
        progress("computing features", done, len(rows), "")
        signals.stop_here()
    if done < len(rows):
        progress("computing features", len(rows), len(rows), f"{done:,} are enough")
    return Features(
        np.concatenate(parts).astype(np.float64), rows[:done], network, device.type, done / (time.monotonic() - began)
    )


def manifest_classes(manifest: Manifest) -> int:
    """Return the number of classes, at least 2, as a network requires."""
    return max(2, manifest.num_classes)
