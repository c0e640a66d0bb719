"""CIFAR-10 and CIFAR-100 with a long tail, from the official Python archives or from the Hub.

The archives are pickles. They are opened only after their MD5 has been verified, in memory, and by an unpickler
restricted to arrays.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from synaug.config import DataOptions
from synaug.data.formats import Listing, is_hub_id, list_hub
from synaug.data.groups import class_counts
from synaug.data.images import Encoding, encode
from synaug.data.subsets import longtail_counts
from synaug.errors import DataError
from synaug.runtime.files import directories

IMBALANCE_FACTOR = 100.0
MAX_MEMBER = 200_000_000  # bytes; the largest official member has 155,249,918
SIDE = 32


@dataclass(frozen=True)
class Archive:
    """One of the two data sets: its files, their MD5 digests, and the keys in them."""

    file: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    names: str
    labels: str
    num_classes: int
    largest: int  # training images per class; the test set has a fifth as many
    md5: dict[str, str]

    @property
    def url(self) -> str:
        return f"https://www.cs.toronto.edu/~kriz/{self.file}"


CIFAR10 = Archive(
    file="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    names="label_names",
    labels="labels",
    num_classes=10,
    largest=5000,
    md5={
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
)
CIFAR100 = Archive(
    file="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    train=("train",),
    test="test",
    meta="meta",
    names="fine_label_names",
    labels="fine_labels",
    num_classes=100,
    largest=500,
    md5={
        "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
)


def tail_counts(archive: Archive, options: DataOptions) -> np.ndarray:
    """Return the number of training images per class of the long tail, shape ``(C,)``."""
    return longtail_counts(archive.largest, options.imbalance_factor or IMBALANCE_FACTOR, archive.num_classes)


def list_cifar(place: Path, archive: Archive, options: DataOptions) -> Listing:
    """List the long-tailed training images and all test images.

    Args:
        place: the archive, its folder, its unpacked folder or the folder above that; or ``hf:ID``.
        archive: which of the two data sets.
        options: ``imbalance_factor``; with ``partial``, the tail starts at the size of the smallest class found.

    Raises:
        DataError: it is missing, not the official file, or lacks images.
    """
    if is_hub_id(place):
        listing = list_hub(place, options)
        numbers = {name: number for number, name in enumerate(listing.class_names)}
        labels = listing.frame["label"].map(numbers).to_numpy(np.int64)
        is_train = (listing.frame["split"] == "train").to_numpy()
        rows = _long_tail(labels, is_train, listing.class_names, archive, options, place)
        return replace(listing, frame=listing.frame.iloc[rows].reset_index(drop=True))
    files = _contents(place, archive)
    listed = _unpickled(files[archive.meta], archive.meta).get(archive.names, ())
    names = tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()
    parts = [_images(files[name], name, archive, len(names)) for name in (*archive.train, archive.test)]
    pixels, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    num_train = len(labels) - len(parts[-1][1])
    rows = _long_tail(labels, np.arange(len(labels)) < num_train, names, archive, options, place)
    frame = pd.DataFrame(
        {
            "id": [f"train-{row:05d}" if row < num_train else f"test-{row - num_train:05d}" for row in rows],
            "path": "",
            "label": [names[label] for label in labels[rows]],
            "attribute": "",
            "split": np.where(rows < num_train, "train", "test"),
            "image": [encode(Image.fromarray(pixels[row]), Encoding()) for row in rows],
        }
    )
    return Listing(frame=frame, class_names=names, attribute_names=(), root=place)


def _long_tail(
    labels: np.ndarray,
    is_train: np.ndarray,
    names: tuple[str, ...],
    archive: Archive,
    options: DataOptions,
    place: Path,
) -> np.ndarray:
    """Return the rows of the long tail, followed by those of the test images.

    The training images are those drawn by LDAM-DRW (Cao et al. 2019) and by most work since: each class is shuffled by
    NumPy's legacy generator with seed 0, and its first n images are kept. So everybody trains on the same images, and
    those of a larger imbalance factor are a subset of those of a smaller one.
    """
    have = class_counts(labels[is_train], len(names))
    factor, largest = options.imbalance_factor or IMBALANCE_FACTOR, archive.largest
    if options.partial:
        largest = int(have.min())
    elif (have != largest).any() or len(names) != archive.num_classes:
        wrong = [f"class {names[i]!r} has {have[i]:,}" for i in np.flatnonzero(have != largest)]
        raise DataError(
            f"{place}: expected {archive.num_classes} classes of {largest:,} training images, found "
            f"{have.sum():,} images in {len(names)} classes: {', '.join(wrong[:5])}. Get the complete data set from "
            f"{archive.url}, or set data.partial to accept an incomplete data set."
        )
    drawing = np.random.RandomState(0)
    drawn = []
    for label, number in enumerate(longtail_counts(largest, factor, len(names))):
        mine = np.flatnonzero(is_train & (labels == label))
        drawing.shuffle(mine)
        drawn.append(np.sort(mine[:number]))
    return np.concatenate([*drawn, np.flatnonzero(~is_train)])


def _contents(place: Path, archive: Archive) -> dict[str, bytes]:
    """Return the required files; each is read only if its MD5, or that of the whole archive, is correct."""
    wanted = (*archive.train, archive.test, archive.meta)
    packed = place if place.is_file() else place / archive.file
    if packed.is_file():
        with directories.opened_file(packed) as handle, open(handle, "rb", closefd=False) as file:
            _check_md5(hashlib.file_digest(file, _md5).hexdigest(), packed, archive.file, archive)
        return _members(packed, [f"{archive.folder}/{name}" for name in wanted])
    folder = place / archive.folder if (place / archive.folder).is_dir() else place
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{place} has neither {archive.file} nor the folder {archive.folder} with {', '.join(wanted)} (missing: "
            f"{', '.join(missing)}). Get {archive.url} and give its path or its folder."
        )
    contents = {name: directories.read_bytes(folder / name) for name in wanted}
    for name, data in contents.items():
        _check_md5(_md5(data).hexdigest(), folder / name, name, archive)
    return contents


def _md5(data: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)


def _check_md5(found: str, path: Path, name: str, archive: Archive) -> None:
    if found != archive.md5[name]:
        raise DataError(
            f"{path} is not the official file: its MD5 is {found}, expected {archive.md5[name]}. It "
            f"was not opened. Download it again from {archive.url}."
        )


def _members(packed: Path, names: list[str]) -> dict[str, bytes]:
    """Return the content of regular files in the archive; nothing is unpacked to disk."""
    contents = {}
    try:
        with tarfile.open(packed, "r:gz") as tar:
            for name in names:
                member = tar.getmember(name)
                file = tar.extractfile(member) if member.isreg() and member.size <= MAX_MEMBER else None
                if file is None:
                    raise DataError(f"{packed}: {name} is not a regular file of at most {MAX_MEMBER:,} bytes.")
                contents[name.rsplit("/", 1)[-1]] = file.read()
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{packed} cannot be unpacked: {error}.") from error
    return contents


class _ArraysOnly(pickle.Unpickler):
    """Unpickles containers, text, numbers and NumPy arrays; any other global is rejected."""

    def find_class(self, module: str, name: str) -> object:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _unpickled(data: bytes, name: str) -> dict[str, object]:
    try:
        content = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # damaged pickles raise many types
        raise DataError(f"The CIFAR file {name} was rejected: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"The CIFAR file {name} contains {type(content).__name__}, not a dict.")
    return content


def _images(data: bytes, name: str, archive: Archive, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels, uint8 of shape ``(N, 32, 32, 3)``, and labels, int64 of shape ``(N,)``."""
    content = _unpickled(data, name)
    pixels, labels = content.get("data"), np.asarray(content.get(archive.labels, ()))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * SIDE**2):
        raise DataError(f"The CIFAR file {name} has no uint8 images of {SIDE} x {SIDE} with as many labels.")
    if labels.dtype.kind not in "iu" or labels.min(initial=0) < 0 or labels.max(initial=0) >= num_classes:
        raise DataError(f"The CIFAR file {name} has labels that are not in 0 to {num_classes - 1}.")
    return pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels.astype(np.int64)
