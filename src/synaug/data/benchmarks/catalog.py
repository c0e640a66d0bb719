"""The paper's data sets and related ones: source, license, and expected number of images.

Files are read in their published form, and compared with the expected numbers before anything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from synaug.config import DataOptions
from synaug.data.benchmarks.celeba import list_celeba
from synaug.data.benchmarks.cifar import CIFAR10, CIFAR100, Archive, list_cifar, tail_counts
from synaug.data.benchmarks.fairface import list_fairface
from synaug.data.benchmarks.imagenet_lt import list_list_files
from synaug.data.benchmarks.utkface import list_faces
from synaug.data.formats import Listing, is_hub_id
from synaug.data.formats.tables import list_table
from synaug.errors import DataError, OptionError, unknown
from synaug.runtime import agreeing


@dataclass(frozen=True)
class Expected:
    """Expected number of images by split and, for training images, by class or by class and attribute."""

    splits: Mapping[str, int]
    class_counts: tuple[int, ...] = ()  # in label order
    group_counts: Mapping[tuple[str, str], int] | None = None
    tolerance: float = 0.0  # allowed relative deviation of the split sizes


@dataclass(frozen=True)
class Benchmark:
    """A known data set."""

    problem: str
    source: str
    license: str
    give: str
    read: Callable[[Path, DataOptions], Listing]
    expected: Callable[[DataOptions], Expected]
    label: str | None = None  # default if the options name none
    attribute: str | None = None
    has_tail: bool = False
    on_hub: bool = False


def _cifar(archive: Archive, source: str) -> Benchmark:
    def expected(options: DataOptions) -> Expected:
        counts = tail_counts(archive, options)
        return Expected({"train": int(counts.sum()), "test": 10_000}, tuple(counts.tolist()))

    return Benchmark(
        problem="long tail",
        source=f"{archive.url}, or {source}",
        license="none stated; for research",
        give=f"{archive.file}, its folder, or {source}",
        read=lambda place, options: list_cifar(place, archive, options),
        expected=expected,
        has_tail=True,
        on_hub=True,
    )


def _imagenet(lists: str, files: dict[str, str], splits: dict[str, int]) -> Benchmark:
    return Benchmark(
        problem="long tail",
        source=f"https://www.image-net.org, with the list files of {lists}",
        license="ImageNet's terms: non-commercial research",
        give=f"the folder with train/ and val/ by class; data.lists: the folder with {', '.join(files.values())}",
        read=lambda root, options: list_list_files(root, files, options),
        expected=lambda _: Expected(splits),
    )


BENCHMARKS = {
    "cifar100_lt": _cifar(CIFAR100, "hf:uoft-cs/cifar100"),
    "cifar10_lt": _cifar(CIFAR10, "hf:uoft-cs/cifar10"),
    "imagenet_lt": _imagenet(
        "Liu et al. 2019 (https://github.com/zhmiao/OpenLongTailRecognition-OLTR)",
        {"train": "ImageNet_LT_train.txt", "validation": "ImageNet_LT_val.txt", "test": "ImageNet_LT_test.txt"},
        {"train": 115_846, "validation": 20_000, "test": 50_000},
    ),
    "imagenet100_lt": _imagenet(
        "Jiang et al. 2021 (https://github.com/VITA-Group/SDCLR, split/imagenet-100)",
        {
            "train": "imageNet_100_LT_train.txt",
            "validation": "ImageNet_100_val.txt",
            "test": "ImageNet_100_test.txt",
        },
        {"train": 12_205, "validation": 2_000, "test": 5_000},
    ),
    "utkface": Benchmark(
        problem="fairness",
        source="https://susanqq.github.io/UTKFace/ (aligned and cropped)",
        license="non-commercial research",
        give="the folder of images",
        read=list_faces,
        expected=lambda _: Expected({"train": 23_700}, tolerance=0.01),
        label="gender",
        attribute="race",
    ),
    "fairface": Benchmark(
        problem="fairness",
        source="https://github.com/joojs/fairface",
        license="CC BY 4.0",
        give="the folder with train/, val/, fairface_label_train.csv and fairface_label_val.csv",
        read=list_fairface,
        expected=lambda _: Expected({"train": 86_744, "test": 10_954}),
        label="gender",
        attribute="race",
    ),
    "celeba": Benchmark(
        problem="spurious correlation",
        source="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        license="non-commercial research",
        give="the folder with img_align_celeba/, list_attr_celeba and list_eval_partition (.csv or .txt)",
        read=list_celeba,
        expected=lambda _: Expected({"train": 162_770, "validation": 19_867, "test": 19_962}),
        label="Blond_Hair",
        attribute="Male",
    ),
    "waterbirds": Benchmark(
        problem="spurious correlation",
        source="https://github.com/kohpangwei/group_DRO, or the package wilds",
        license="none stated; made of CUB-200-2011 and Places, both for non-commercial research",
        give="the folder with metadata.csv",
        read=lambda root, options: list_table(root / "metadata.csv", options),
        expected=lambda _: Expected(
            {"train": 4_795, "validation": 1_199, "test": 5_794},
            group_counts={
                ("landbird", "land"): 3_498,
                ("landbird", "water"): 184,
                ("waterbird", "land"): 56,
                ("waterbird", "water"): 1_057,
            },
        ),
    ),
}


def benchmark_named(name: str) -> tuple[str, Benchmark]:
    """Return the name and entry of a known data set; hyphens in the name count as underscores.

    Raises:
        OptionError: the name is unknown.
    """
    key = name.replace("-", "_")
    if key not in BENCHMARKS:
        raise unknown("data set", name, BENCHMARKS)
    return key, BENCHMARKS[key]


def list_benchmark(place: Path, options: DataOptions) -> Listing:
    """List the images of the known data set in the options, and compare them with the expected numbers.

    Raises:
        OptionError: the name is unknown, or an option does not apply to it.
        DataError: something is missing or different; the message gives details.
    """
    name, benchmark = benchmark_named(options.benchmark or "")
    if options.imbalance_factor is not None and not benchmark.has_tail:
        raise OptionError(f"data.imbalance_factor: {name} has a fixed imbalance factor; remove the option.")
    if is_hub_id(place):
        if not benchmark.on_hub:
            raise OptionError(f"{name} is not read from the Hub. Give {benchmark.give}; it is available from "
                              f"{benchmark.source}.")  # fmt: skip
    elif not place.exists():
        raise DataError(f"{place} does not exist. Give {benchmark.give}; it is available from {benchmark.source}.")
    if options.label is None:
        attribute = options.attribute or benchmark.attribute
        options = options.model_copy(update={"label": benchmark.label, "attribute": attribute})
    listing = _without_missing_files(benchmark.read(place, options), options, place)
    if not options.partial:
        _check_expected(listing, benchmark.expected(options), f"{place} is not the complete {name}", benchmark)
    return listing


def _without_missing_files(listing: Listing, options: DataOptions, place: Path) -> Listing:
    """Return the listing without missing images, if ``partial`` allows that.

    Raises:
        DataError: files are missing and ``partial`` is not set, or all are missing.
    """
    if "image" in listing.frame:
        return listing
    there = np.array([os.path.isfile(listing.root / path) for path in listing.frame["path"]], bool)
    lost = listing.frame.loc[~there]
    if len(lost) and (not options.partial or not there.any()):
        counts = ", ".join(f"{number:,} of {split}" for split, number in lost["split"].value_counts().items())
        raise DataError(
            f"{len(lost):,} of {len(there):,} images that {place} should have "
            f"{agreeing(len(lost), 'is', 'are')} missing ({counts}); first: "
            f"{', '.join(lost['path'][:3])}. Get the missing images, or set data.partial to accept "
            "an incomplete data set."
        )
    frame = listing.frame.loc[there].reset_index(drop=True)
    trained = set(frame.loc[frame["split"] == "train", "label"])
    frame = frame[frame["label"].isin(trained)].reset_index(drop=True)
    names = tuple(name for name in listing.class_names if name in trained)
    return replace(listing, frame=frame, class_names=names) if len(lost) else listing


def _check_expected(listing: Listing, expected: Expected, complaint: str, benchmark: Benchmark) -> None:
    frame = listing.frame
    splits, training = frame["split"].value_counts(), frame[frame["split"] == "train"]
    wrong = []
    for split, number in expected.splits.items():
        found = int(splits.get(split, 0))
        if abs(found - number) > expected.tolerance * number:
            kind = {"train": "training"}.get(split, split)
            wrong.append(f"expected {'about ' * bool(expected.tolerance)}{number:,} {kind} images, found {found:,}")
    by_class = training["label"].value_counts()
    for name, number in zip(listing.class_names, expected.class_counts, strict=False):
        if (found := int(by_class.get(name, 0))) != number:
            wrong.append(f"class {name!r} has {found:,} training images, expected {number:,}")
    by_group = training.groupby(["label", "attribute"]).size().to_dict()
    for group, number in (expected.group_counts or {}).items():
        if (found := int(by_group.get(group, 0))) != number:
            wrong.append(f"the group {' x '.join(group)} has {found:,} training images, expected {number:,}")
    if wrong:
        more = f"; and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise DataError(
            f"{complaint}: {'; '.join(wrong[:8])}{more}. Get it from {benchmark.source}, or set "
            "data.partial to accept an incomplete data set."
        )


class KnownDataset(TypedDict):
    """A data set that synaug can read by name; ``data`` describes the path or id to give for it."""

    name: str
    problem: str
    images: dict[str, int]
    license: str
    source: str
    data: str


def known_datasets() -> list[KnownDataset]:
    """Return the content of ``synaug datasets --json``: one row per data set."""
    rows: list[KnownDataset] = []
    for name, benchmark in BENCHMARKS.items():
        splits = benchmark.expected(DataOptions()).splits
        rows.append(
            {
                "name": name,
                "problem": benchmark.problem,
                "images": dict(splits),
                "license": benchmark.license,
                "source": benchmark.source,
                "data": benchmark.give,
            }
        )
    return rows
