"""Handle classes without images in a split, and synthetic images in held-out splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import numpy as np

from synaug.data.groups import class_counts
from synaug.data.left_out import LeftOutCounter
from synaug.data.manifest import Manifest
from synaug.errors import DataError

_SHOWN = 5


def without_synthetic_tests(manifest: Manifest) -> Manifest:
    """Return the manifest without synthetic images outside training, counting each: only real images are tested on."""
    unfit = manifest.is_synthetic & (manifest.frame["split"] != "train").to_numpy(bool)
    if not unfit.any():
        return manifest
    left_out = LeftOutCounter()
    for split in ("validation", "test"):
        rows = unfit & (manifest.frame["split"] == split).to_numpy(bool)
        left_out.add(f"is synthetic, in the {split} split", *manifest.frame.loc[rows, "id"])
    number = int(unfit.sum())
    note = f"{number:,} synthetic images of validation or test splits are left out: only real images are tested on."
    return replace(
        manifest,
        frame=manifest.frame.loc[~unfit].reset_index(drop=True),
        left_out=(*manifest.left_out, *left_out.result()),
        notes=(*manifest.notes, note),
    )


def complete_classes(manifest: Manifest, split: str, policy: Literal["error", "drop"], *, where: str) -> Manifest:
    """Return a manifest in which every class has images in the split.

    Args:
        manifest: images of all splits.
        split: ``train`` or ``test``.
        policy: ``drop`` removes classes without any; ``error`` raises.
        where: name of the data in errors.

    Raises:
        DataError: a class has none and the policy is ``error``, or fewer than two classes remain.
    """
    rows = (manifest.frame["split"] == split).to_numpy(bool)
    counts = class_counts(manifest.labels[rows], manifest.num_classes)
    lacking = np.flatnonzero(counts == 0)
    if not len(lacking):
        return manifest
    names = [manifest.class_names[label] for label in lacking]
    listed = ", ".join(map(repr, names[:_SHOWN])) + (
        f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    )
    what = "training images" if split == "train" else "images to test on"
    if policy == "error":
        raise DataError(
            f"{where}: no {what} in {'class' if len(names) == 1 else 'the classes'} {listed}. Each class needs a real "
            f"image to train on and one to test on. Add images{_why(manifest, lacking, split)}, or leave such classes "
            "out with data.incomplete_classes: drop in a recipe."
        )
    if manifest.num_classes - len(names) < 2:
        raise DataError(
            f"{where}: without {listed}, which have no {what}, fewer than two classes are left. A classifier needs two."
        )
    return _without_classes(
        manifest, lacking, f"is of a class without {what}", note=f"Left out, without {what}: {listed}."
    )


def _why(manifest: Manifest, lacking: np.ndarray, split: str) -> str:
    if split == "train":
        return ""
    single = Counter(manifest.labels.tolist())
    if any(single[int(label)] == 1 for label in lacking):
        return " (a class with a single image cannot be both trained and tested on)"
    return ""


def _without_classes(manifest: Manifest, lacking: np.ndarray, reason: str, *, note: str) -> Manifest:
    kept = [name for label, name in enumerate(manifest.class_names) if label not in set(lacking.tolist())]
    position = np.full(manifest.num_classes, -1, np.int64)
    position[[manifest.class_names.index(name) for name in kept]] = np.arange(len(kept))
    gone = np.isin(manifest.labels, lacking)
    left_out = LeftOutCounter()
    left_out.add(reason, *manifest.frame.loc[gone, "id"])
    frame = manifest.frame.assign(label=position[manifest.labels]).loc[~gone].reset_index(drop=True)
    return replace(
        manifest,
        frame=frame,
        class_names=tuple(kept),
        left_out=(*manifest.left_out, *left_out.result()),
        notes=(*manifest.notes, note),
    )
