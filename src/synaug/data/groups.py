"""Count classes and groups (class x attribute) and measure their imbalance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synaug.data.checks import count_of, number_array
from synaug.data.checks.whole_numbers import whole_numbers
from synaug.data.manifest import Manifest
from synaug.errors import DataError
from synaug.runtime import agreeing, counted
from synaug.schemas import Counts

MANY_ABOVE = 100
FEW_BELOW = 20
_FULL_WEIGHT = 4  # images; a smaller cell weighs less, so that one odd image cannot stand for a whole group


@dataclass(frozen=True)
class ShotBins:
    """Which classes have many, a medium number of, or few training images: bool masks of shape ``(C,)``."""

    many: np.ndarray
    medium: np.ndarray
    few: np.ndarray


def class_counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the number of images of each class, int64 of shape ``(C,)``.

    >>> class_counts(np.array([0, 2, 2]), 3).tolist()
    [1, 0, 2]
    """
    labels, num_classes = whole_numbers(labels, kind="label"), count_of(num_classes, kind="num_classes", lowest=0)
    _check_range("label", labels, num_classes)
    return np.bincount(labels, minlength=num_classes).astype(np.int64)


def cells_of(manifest: Manifest) -> np.ndarray | None:
    """Return class and attribute of each image as one number, int64 of shape ``(N,)``; None without attributes.

    Unlike ``group_ids``, it counts images of unknown attribute as one more group of their class.
    """
    if not manifest.num_attributes:
        return None
    return manifest.labels * (manifest.num_attributes + 1) + manifest.attributes + 1


def cell_weights(labels: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return a weight per image with mean 1: equal sums per class, and within a class equal sums per cell.

    They keep a classifier from learning an attribute that is correlated with the class.

    If 95 % of the dresses are on land and 95 % of the coats on water, a classifier with equal sums per class alone
    takes the background for the class, and finds that dresses on water look like coats. These are exactly the images
    that are generated to fill such a set (Sagawa et al. 2020 describe the shortcut, and weights against it).

    Args:
        labels: class per image, shape ``(N,)``.
        cells: class and attribute per image as one number, shape ``(N,)``; a cell belongs to one class.

    >>> cell_weights(np.array([0] * 8 + [1] * 8), np.array([0] * 8 + [2] * 4 + [3] * 4)).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    >>> cell_weights(np.array([0] * 16), np.array([0] * 12 + [1] * 4)).round(2).tolist()[11:13]
    [0.67, 2.0]
    """
    _, cell_of, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    _, class_of = np.unique(labels, return_inverse=True)
    weights = (np.minimum(sizes, _FULL_WEIGHT) / sizes)[cell_of]
    sums = np.bincount(class_of, weights)
    return np.asarray(weights / sums[class_of] * len(labels) / len(sums))


def group_ids(*, labels: np.ndarray, attributes: np.ndarray, num_attributes: int) -> np.ndarray:
    """Return ``label * num_attributes + attribute``, int64 of shape ``(N,)``.

    Raises:
        DataError: an attribute is unknown (-1) or out of range.

    >>> group_ids(labels=np.array([0, 1]), attributes=np.array([1, 0]), num_attributes=2).tolist()
    [1, 2]
    """
    labels, attributes = whole_numbers(labels, kind="label"), whole_numbers(attributes, kind="attribute")
    if len(labels) != len(attributes):
        raise DataError(f"There are {len(labels)} labels but {len(attributes)} attributes.")
    unknown = int((attributes == -1).sum())
    if unknown:
        raise DataError(
            f"The attribute of {unknown:,} of {counted(len(attributes), 'image')} is unknown, so "
            f"{agreeing(unknown, 'it belongs', 'they belong')} to no group. "
            "Fill in the attribute, leave these images out, or work by class."
        )
    _check_range("attribute", attributes, num_attributes)
    return np.asarray(labels, np.int64) * num_attributes + np.asarray(attributes, np.int64)


def group_counts(*, labels: np.ndarray, attributes: np.ndarray, num_classes: int, num_attributes: int) -> np.ndarray:
    """Return the number of images of each class with each attribute, int64 of shape ``(C, A)``.

    Raises:
        DataError: an attribute is unknown or out of range.
    """
    num_classes, num_attributes = (
        count_of(num_classes, kind="num_classes", lowest=0),
        count_of(num_attributes, kind="num_attributes", lowest=0),
    )
    groups = group_ids(labels=labels, attributes=attributes, num_attributes=num_attributes)
    return class_counts(groups, num_classes * num_attributes).reshape(num_classes, num_attributes)


def imbalance_factor(counts: np.ndarray) -> float:
    """Return largest / smallest count, at least 1; NaN if a count is 0 or there are none.

    >>> imbalance_factor(np.array([500, 5])), imbalance_factor(np.array([3, 0]))
    (100.0, nan)
    """
    counts = number_array(counts, kind="counts")
    return float(counts.max() / counts.min()) if counts.size and counts.min() > 0 else float("nan")


def shot_bins(class_counts: np.ndarray) -> ShotBins:
    """Return the shot bins of Liu et al. 2019: more than 100, 20 to 100, and fewer than 20 training images."""
    counts = np.asarray(class_counts)
    many, few = counts > MANY_ABOVE, counts < FEW_BELOW
    return ShotBins(many=many, medium=~many & ~few, few=few)


def summary(manifest: Manifest) -> Counts:
    """Return the content of ``synaug count --json`` for the real images of a manifest, usually one split.

    With several attributes, ``group_counts`` has their combinations and ``group_counts_by_attribute`` each alone.
    ``num_without_attribute`` images are in none of the ``group_counts``.
    """
    manifest = manifest.rows(~manifest.is_synthetic)
    counts = class_counts(manifest.labels, manifest.num_classes)
    bins = shot_bins(counts)
    return {
        "num_images": len(manifest),
        "class_counts": dict(zip(manifest.class_names, counts.tolist(), strict=True)),
        "group_counts": _named_group_counts(manifest),
        "group_counts_by_attribute": {
            name: _named_group_counts(manifest.by_single_attribute(name)) for name in manifest.single_attributes
        },
        "num_without_attribute": int((manifest.attributes < 0).sum()) if manifest.num_attributes else 0,
        "imbalance_factor": imbalance_factor(counts),
        "many": int(bins.many.sum()),
        "medium": int(bins.medium.sum()),
        "few": int(bins.few.sum()),
    }


def _named_group_counts(manifest: Manifest) -> dict[str, int]:
    """Return the group counts by name; images with an unknown attribute are not counted."""
    if not manifest.num_attributes:
        return {}
    known = manifest.attributes >= 0
    counts = group_counts(
        labels=manifest.labels[known],
        attributes=manifest.attributes[known],
        num_classes=manifest.num_classes,
        num_attributes=manifest.num_attributes,
    )
    return {
        f"{name} x {attribute}": int(counts[i, j])
        for i, name in enumerate(manifest.class_names)
        for j, attribute in enumerate(manifest.attribute_names)
    }


def _check_range(kind: str, values: np.ndarray, end: int) -> None:
    outside = np.asarray(values)[(np.asarray(values) < 0) | (np.asarray(values) >= end)]
    if len(outside):
        raise DataError(f"The {kind} {outside[0]} is out of range; allowed: 0 to {end - 1}.")
