"""Mirrors of the paper's three data sets, made from Fashion-MNIST: long tail, sensitive and spurious attribute.

Each draws its training images from the 30,000 that the embedded generator never saw, and tests on the 10,000 test
images. The drawn images are fixed and do not depend on a run's seed: as with CIFAR100-LT, everybody trains on the same
images.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from synaug.data.benchmarks import fashion_mnist
from synaug.data.groups import class_counts, group_ids
from synaug.data.manifest import Manifest, from_arrays, joined, read_image
from synaug.data.subsets import longtail_counts
from synaug.errors import OptionError, unknown

LONG_TAIL_LARGEST = 2700  # of 3,000: the other 300 per class are for validation
FAIR_LARGEST, FAIR_IMBALANCE_FACTOR = 1500, 10
FAIR_SHARES = (0.70, 0.20, 0.07, 0.03)  # shares of the tints in class 0; each further class starts one tint later
SPURIOUS_CLASSES = ("dress", "coat")
SPURIOUS_COUNTS = ((1166, 61), (19, 352))  # class x (land, water): a third of those of Waterbirds
VALIDATION_PER_CLASS = 300
HELD_OUT = ("test", "validation")


@dataclass(frozen=True)
class Mirror:
    """Training and test images, and other real images that can fill up the training set."""

    data: Manifest
    others: Manifest


@dataclass(frozen=True)
class _Source:
    """Disjoint images to draw from, shuffled once."""

    train: fashion_mnist.FashionMnist
    test: fashion_mnist.FashionMnist
    validation: fashion_mnist.FashionMnist

    def part(self, split: str) -> fashion_mnist.FashionMnist:
        """Return the images of a split."""
        return {"train": self.train, "test": self.test, "validation": self.validation}[split]


def make_mirror(name: str, *, validation: bool = False, **options: float) -> Mirror:
    """Return the named mirror.

    Args:
        name: a key of ``MIRRORS``.
        validation: test on the validation split instead of the test images, to choose options. It has 300 real images
            per class that are in no training or test set and did not train the embedded generator.
        options: options of the mirror, such as ``imbalance_factor``.

    Raises:
        OptionError: unknown mirror, or unknown option of this mirror.
        DataError: Fashion-MNIST is not on this machine; the message explains how to get it.
    """
    if name not in MIRRORS:
        raise unknown("mirror", name, MIRRORS)
    known = list(inspect.signature(MIRRORS[name]).parameters)[1:]
    for option in options:
        if option not in known:
            raise OptionError(f"The mirror {name} has no option {option!r}; available: {', '.join(known) or 'none'}.")
    return _made(name, validation, tuple(sorted(options.items())))


@lru_cache(maxsize=4)
def _made(name: str, validation: bool, options: tuple[tuple[str, float], ...]) -> Mirror:
    source = _source()
    if validation:
        nothing = fashion_mnist.FashionMnist(source.validation.images[:0], source.validation.labels[:0])
        source = replace(source, test=source.validation, validation=nothing)
    return MIRRORS[name](source, **dict(options))


def deciding_options(name: str, options: Mapping[str, float]) -> dict[str, float]:
    """Return the options that determine a mirror's images, including defaults that have changed over time."""
    return ({"largest": LONG_TAIL_LARGEST} if name == "fashion_lt" else {}) | dict(options)


def fashion_lt(source: _Source, *, imbalance_factor: float = 100, largest: float = LONG_TAIL_LARGEST) -> Mirror:
    """Return ten classes of ``largest`` down to ``largest / imbalance_factor`` images, and others to fill them up.

    Classes are in label order; the images of a larger factor are a subset of those of a smaller one.
    """
    counts = longtail_counts(int(largest), imbalance_factor, len(fashion_mnist.CLASS_NAMES))
    taken = np.concatenate([_of_class(source.train, label)[:number] for label, number in enumerate(counts)])
    left = np.concatenate([_of_class(source.train, label)[number:] for label, number in enumerate(counts)])

    def images(rows: np.ndarray, split: str) -> Manifest:
        data = source.part(split)
        return from_arrays(data.images[rows], data.labels[rows], class_names=fashion_mnist.CLASS_NAMES, split=split)

    return _mirror(images, taken, left, held_out={name: np.arange(len(source.part(name).labels)) for name in HELD_OUT})


def fashion_fair(source: _Source) -> Mirror:
    """Return ten classes whose items have one of four tints: the sensitive attribute.

    There are 1,500 down to 150 images per class. In training, 70 % of a class have its usual tint and 3 % its rarest
    one, and these tints rotate with the class; in the test set all tints are equally frequent.
    """
    num_tints = len(fashion_mnist.TINTS)
    counts = longtail_counts(FAIR_LARGEST, FAIR_IMBALANCE_FACTOR, len(fashion_mnist.CLASS_NAMES))
    tints = np.zeros(len(source.train.labels), np.int64)
    taken, left = [], []
    for label, number in enumerate(counts):
        mine = _of_class(source.train, label)
        shares = np.roll(FAIR_SHARES, label % num_tints)
        ends = np.round(np.cumsum(shares) * number).astype(int)
        tints[mine[:number]] = np.searchsorted(ends, np.arange(number), side="right")
        tints[mine[number:]] = np.arange(len(mine) - number) % num_tints
        taken.append(mine[:number])
        left.append(mine[number:])
    tints_of = {"train": tints} | {name: _in_turn(source.part(name).labels, num_tints) for name in HELD_OUT}

    def images(rows: np.ndarray, split: str) -> Manifest:
        data, attributes = source.part(split), tints_of[split][rows]
        plain = np.zeros(len(rows), np.int64)
        rendered = fashion_mnist.render(
            data.images[rows], tints=attributes, backgrounds=plain, rng=np.random.default_rng(0)
        )
        return from_arrays(
            rendered,
            data.labels[rows],
            class_names=fashion_mnist.CLASS_NAMES,
            attributes=attributes,
            attribute_names=tuple(fashion_mnist.TINTS),
            split=split,
        )

    held_out = {name: np.arange(len(source.part(name).labels)) for name in HELD_OUT}
    return _mirror(images, np.concatenate(taken), np.concatenate(left), held_out=held_out)


def fashion_spurious(source: _Source) -> Mirror:
    """Return dresses on land and coats on water, 95 % of each: the background is the spurious attribute.

    Made like Waterbirds (Sagawa et al. 2020): a real item on another background, with groups as unequal in training and
    equally frequent in the test set.
    """
    numbers = [fashion_mnist.CLASS_NAMES.index(name) for name in SPURIOUS_CLASSES]
    places = np.zeros(len(source.train.labels), np.int64)  # 0 land, 1 water
    taken, left = [], []
    for number, (on_land, on_water) in zip(numbers, SPURIOUS_COUNTS, strict=True):
        mine = _of_class(source.train, number)
        places[mine[on_land : on_land + on_water]] = 1
        lacking_on_land = max(map(max, SPURIOUS_COUNTS)) - on_land
        places[mine[on_land + on_water + lacking_on_land :]] = 1  # the rest, except as many as fill the group on land
        taken.append(mine[: on_land + on_water])
        left.append(mine[on_land + on_water :])
    places_of = {"train": places} | {name: _in_turn(source.part(name).labels, 2) for name in HELD_OUT}

    def images(rows: np.ndarray, split: str) -> Manifest:
        data, attributes = source.part(split), places_of[split][rows]
        rendered = fashion_mnist.render(
            data.images[rows],
            tints=np.zeros(len(rows), np.int64),
            backgrounds=attributes + 1,
            rng=np.random.default_rng(["train", "test", "validation"].index(split)),
        )
        return from_arrays(
            rendered,
            np.searchsorted(numbers, data.labels[rows]),
            class_names=SPURIOUS_CLASSES,
            attributes=attributes,
            attribute_names=("land", "water"),
            split=split,
        )

    held_out = {name: np.flatnonzero(np.isin(source.part(name).labels, numbers)) for name in HELD_OUT}
    return _mirror(images, np.concatenate(taken), np.concatenate(left), held_out=held_out)


MIRRORS: dict[str, Callable[..., Mirror]] = {
    "fashion_lt": fashion_lt,
    "fashion_fair": fashion_fair,
    "fashion_spurious": fashion_spurious,
}


def filled(mirror: Mirror, *, by: str, target: float | str = "uniform") -> Manifest:
    """Return the mirror's images filled up with other real ones: the result of a perfect generator.

    Args:
        mirror: the images.
        by: fill up each ``class`` or each ``group``.
        target: images wanted per class or group, or ``"uniform"``: as many as in the largest. If too few others exist,
            all of them are added.
    """
    data, others = mirror.data.split("train"), mirror.others
    cells, other_cells, number = (
        (data.labels, others.labels, data.num_classes)
        if by == "class"
        else (_groups(data), _groups(others), data.num_classes * data.num_attributes)
    )
    counts = class_counts(cells, number)
    wanted = counts.max() if target == "uniform" else int(target)
    chosen = [np.flatnonzero(other_cells == cell)[: max(0, wanted - have)] for cell, have in enumerate(counts)]
    return joined(mirror.data, others.rows(np.sort(np.concatenate(chosen))))


def filled_with_fashion(manifest: Manifest) -> Manifest:
    """Return the demo's data filled up to the largest class with other real images unseen by the generator."""
    train, test = fashion_mnist.read_archive("train"), fashion_mnist.read_archive("test")
    held_out = fashion_mnist.split_positions(train, test).held_out
    known = {np.asarray(read_image(manifest, row)).tobytes() for row in range(len(manifest))}
    counts = class_counts(manifest.split("train").labels, manifest.num_classes)
    chosen: list[int] = []
    for label, number in enumerate(counts.max() - counts):
        taken = 0
        for position in held_out[train.labels[held_out] == label]:
            if taken == number:
                break
            if train.images[position].tobytes() not in known:
                chosen.append(int(position))
                taken += 1
    others = from_arrays(train.images[chosen], train.labels[chosen], class_names=manifest.class_names)
    others = replace(others, frame=others.frame.assign(id=[f"archive-{position:05d}" for position in chosen]))
    return joined(manifest, others)


def _groups(data: Manifest) -> np.ndarray:
    return group_ids(labels=data.labels, attributes=data.attributes, num_attributes=data.num_attributes)


def _mirror(
    images: Callable[[np.ndarray, str], Manifest],
    taken: np.ndarray,
    left: np.ndarray,
    *,
    held_out: Mapping[str, np.ndarray],
) -> Mirror:
    data = _numbered(images(taken, "train"), "train", taken)
    for name, rows in held_out.items():
        data = joined(data, _numbered(images(rows, name), name, rows)) if len(rows) else data
    return Mirror(data=data, others=_numbered(images(left, "train"), "other", left))


def _numbered(data: Manifest, kind: str, rows: np.ndarray) -> Manifest:
    """Return the images with ids that give their position in the archive."""
    return replace(data, frame=data.frame.assign(id=[f"{kind}-{row:05d}" for row in rows]))


@lru_cache(maxsize=1)
def _source() -> _Source:
    train, test = fashion_mnist.read_archive("train"), fashion_mnist.read_archive("test")
    parts = fashion_mnist.split_positions(train, test)
    order = np.random.default_rng(0).permutation(parts.held_out)
    is_validation = np.zeros(len(order), bool)
    for label in range(len(fashion_mnist.CLASS_NAMES)):
        is_validation[np.flatnonzero(train.labels[order] == label)[-VALIDATION_PER_CLASS:]] = True
    mine, held_out = order[~is_validation], order[is_validation]
    return _Source(
        train=fashion_mnist.FashionMnist(train.images[mine], train.labels[mine]),
        test=test,
        validation=fashion_mnist.FashionMnist(train.images[held_out], train.labels[held_out]),
    )


def _of_class(data: fashion_mnist.FashionMnist, label: int) -> np.ndarray:
    return np.flatnonzero(data.labels == label)


def _in_turn(labels: np.ndarray, number: int) -> np.ndarray:
    """Return 0, 1, ..., ``number`` - 1, 0, 1, ... within each class, shape ``(N,)``."""
    turns = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        mine = labels == label
        turns[mine] = np.arange(mine.sum()) % number
    return turns
