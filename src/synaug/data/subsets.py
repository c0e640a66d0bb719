"""Draw images: long-tailed, class-balanced and group-balanced subsets, and a held-out test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from synaug.data.groups import class_counts, group_ids
from synaug.data.manifest import Manifest
from synaug.errors import DataError, OptionError


def longtail_counts(
    largest: int, imbalance_factor: float, num_classes: int, imbalance_type: Literal["exp", "step"] = "exp"
) -> np.ndarray:
    """Return the number of images kept per class, int64 ``(C,)``, by the CIFAR-LT rule of LDAM-DRW (Cao et al. 2019).

    ``exp`` falls geometrically from ``largest`` to ``largest / imbalance_factor``; ``step`` gives the first half of the
    classes the former and the second half the latter. Fractions are rounded down.

    Raises:
        OptionError: the factor is below 1, the smallest class would be empty, or the type is unknown.

    >>> longtail_counts(500, 100, 100).sum(), longtail_counts(10, 10, 4, "step").tolist()
    (np.int64(10847), [10, 10, 1, 1])
    """
    if imbalance_factor < 1 or num_classes < 2 or largest < imbalance_factor:
        raise OptionError(
            f"A long tail needs an imbalance factor of at least 1, two classes, and a smallest class of one image; "
            f"got factor {imbalance_factor}, {num_classes} classes, largest {largest}."
        )
    if imbalance_type == "exp":
        exponents = np.arange(num_classes) / (num_classes - 1)
    elif imbalance_type == "step":
        exponents = (np.arange(num_classes) >= num_classes // 2).astype(float)
    else:
        raise OptionError(f"Unknown imbalance type {imbalance_type!r}. Known: exp, step.")
    return np.floor(largest * float(imbalance_factor) ** -exponents + 1e-9).astype(np.int64)


def draw_without_replacement(
    labels: np.ndarray, counts: Sequence[int] | np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the sorted positions of ``counts[c]`` distinct images of each class ``c``.

    Raises:
        DataError: a class has fewer images than requested.
    """
    have = class_counts(np.asarray(labels), len(counts))
    short = np.flatnonzero(have < np.asarray(counts))
    if len(short):
        raise DataError(f"Class {short[0]} has {have[short[0]]:,} images, but {counts[short[0]]:,} were requested.")
    drawn = [
        rng.choice(members, int(count), replace=False)
        for members, count in zip(_members(labels, len(counts)), counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def _members(labels: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Return the positions of the images of each class."""
    ends = np.cumsum(class_counts(np.asarray(labels), num_classes))
    return np.split(np.argsort(labels, kind="stable"), ends[:-1])


def balanced_positions(
    labels: np.ndarray, num_classes: int, rng: np.random.Generator, per_class: int | None = None
) -> np.ndarray:
    """Return the sorted positions of equally many images per class, drawn without replacement.

    Args:
        labels: shape ``(N,)``.
        num_classes: number of classes; each must have images.
        rng: source of the draws.
        per_class: images per class; None: the size of the smallest class.

    Raises:
        DataError: a class has no images, or fewer than ``per_class``.
    """
    counts = class_counts(np.asarray(labels), num_classes)
    if not counts.all():
        empty = np.flatnonzero(counts == 0)
        raise DataError(f"Class {empty[0]} has no images, so the classes cannot be balanced.")
    wanted = int(counts.min()) if per_class is None else per_class
    return draw_without_replacement(labels, np.full(num_classes, wanted), rng)


def group_balanced_positions(
    *,
    labels: np.ndarray,
    attributes: np.ndarray,
    num_classes: int,
    num_attributes: int,
    rng: np.random.Generator,
    per_group: int | None = None,
) -> np.ndarray:
    """Return the sorted positions of equally many images per nonempty group, drawn without replacement.

    Raises:
        DataError: an attribute is unknown, or a group has images but fewer than ``per_group``.
    """
    groups = group_ids(labels=labels, attributes=attributes, num_attributes=num_attributes)
    counts = class_counts(groups, num_classes * num_attributes)
    present = counts[counts > 0]
    wanted = int(present.min(initial=len(groups))) if per_group is None else per_group
    return draw_without_replacement(groups, np.where(counts > 0, wanted, 0), rng)


def with_test_split(manifest: Manifest, fraction: float, seed: int) -> Manifest:
    """Return the manifest with a share of each class's real training images held out for testing.

    Nothing changes if there is a test split already. At least one image per class stays in training, and at least one
    is tested if the class has two. Each attribute is held out in proportion. Equal and nearly equal images, and images
    of one group, stay together across all classes.
    """
    splits = manifest.frame["split"].to_numpy(object)
    if (splits == "test").any():
        return manifest
    rng = np.random.default_rng([seed, 1])
    candidates = np.flatnonzero((splits == "train") & ~manifest.is_synthetic)
    contents = content_numbers(manifest, candidates)
    attributes = manifest.attributes[candidates]
    classes = _members(manifest.labels[candidates], manifest.num_classes)
    distinct = [members[np.unique(contents[members], return_index=True)[1]] for members in classes]
    chosen = _held_out_contents(
        [contents[rows] for rows in distinct], [contents[_spread(rows, attributes, fraction, rng)] for rows in distinct]
    )[contents]
    splits = splits.copy()
    splits[candidates[chosen]] = "test"
    return replace(manifest, frame=manifest.frame.assign(split=splits.astype(str)), drew_test=True)


def _held_out_contents(contents: Sequence[np.ndarray], drawn: Sequence[np.ndarray]) -> np.ndarray:
    """Return which contents are held out, bool of the shape of all contents.

    A content shared by several classes is held out in all of them, or in none if that would leave a class without
    training images. Contents held out through another class count toward a class's share.

    Args:
        contents: the distinct contents of each class.
        drawn: the contents drawn for each class.
    """
    held_out = np.zeros(max((int(each.max(initial=-1)) for each in contents), default=-1) + 1, bool)
    owners: dict[int, list[int]] = {}
    for label, each in enumerate(contents):
        for content in each.tolist():
            owners.setdefault(content, []).append(label)
    left = [len(each) for each in contents]
    for mine, wanted in zip(contents, drawn, strict=True):
        number = int(held_out[mine].sum())
        others = [content for content in mine.tolist() if content not in set(wanted.tolist())]
        for place, content in enumerate([*wanted.tolist(), *others]):
            if number >= len(wanted) or (place >= len(wanted) and number):
                break
            if not held_out[content] and all(left[label] > 1 for label in owners[content]):
                held_out[content] = True
                number += 1
                for label in owners[content]:
                    left[label] -= 1
    return held_out


def content_numbers(manifest: Manifest, rows: np.ndarray) -> np.ndarray:
    """Return a number per row, the same for images that belong in one split: duplicates, or images of one group."""
    if "cluster" in manifest.frame:
        return np.unique(manifest.frame["cluster"].to_numpy(np.int64)[rows], return_inverse=True)[1]
    digests = manifest.frame["sha256"].to_numpy(object)[rows]
    known = digests != ""
    return np.unique(np.where(known, digests, manifest.frame["id"].to_numpy(object)[rows]), return_inverse=True)[1]


def _spread(members: np.ndarray, attributes: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a share of the members: shuffle, sort by attribute, then take evenly spaced ones."""
    num = min(max(round(fraction * len(members)), 1), len(members) - 1)
    if num < 1:
        return members[:0]
    shuffled = rng.permutation(members)
    ordered = shuffled[np.argsort(attributes[shuffled], kind="stable")]
    return ordered[((np.arange(num) + rng.random()) * len(members) / num).astype(np.int64)]


def fold_numbers(strata: np.ndarray, num_folds: int, rng: np.random.Generator, *, contents: np.ndarray) -> np.ndarray:
    """Return the fold of each image, int64 ``(N,)``, from 0 to ``num_folds - 1``, or -1 if it is never held out.

    Every stratum (class or group) is spread evenly over the folds. Duplicates share a fold, so that no image is judged
    by a model trained on its twin. A stratum with a single content is never held out, since training would have none of
    it.

    Args:
        strata: class or group of each image, shape ``(N,)``.
        num_folds: at least 2.
        rng: shuffles the images.
        contents: content number of each image, shape ``(N,)``, the same for duplicates.

    >>> rng, contents = np.random.default_rng(0), np.array([5, 5, 6, 7, 8])
    >>> fold_numbers(np.array([0, 0, 0, 0, 1]), 2, rng, contents=contents).tolist()
    [1, 1, 0, 0, -1]
    """
    dealt: dict[int, int] = {}
    start = 0
    for stratum in np.unique(strata):
        distinct = rng.permutation(np.unique(contents[strata == stratum]))
        if len(distinct) < 2:
            dealt |= {int(content): -1 for content in distinct}
            continue
        new = [int(content) for content in distinct if int(content) not in dealt]
        dealt |= {content: (start + position) % num_folds for position, content in enumerate(new)}
        start += len(new)  # keeps the images of small strata from piling up in the first folds
    return np.array([dealt[int(content)] for content in contents], np.int64)
