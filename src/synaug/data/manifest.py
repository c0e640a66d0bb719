"""The manifest: one row per image, whatever its source.

Columns of ``Manifest.frame``:

============  ==========================================================================
``id``        text, unique: name of the image in predictions and reports
``path``      text, relative to ``Manifest.root``; empty if the image is in memory
``label``     int64, position in ``class_names``
``attribute`` int64, position in ``attribute_names``; -1 if unknown
``split``     text: ``train``, ``validation`` or ``test``
``source``    text: ``real`` or ``synthetic``
``sha256``    text: digest of the encoded image (or of an array's pixels)
``cluster``   only after a search for duplicates: int64, equal for images that belong in one split
``image``     only for images in memory: encoded ``bytes`` or a uint8 array (H, W) or (H, W, 3)
``single: a`` only if several attributes were combined: text, the value of the attribute ``a``; empty if unknown
============  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from synaug.data.checks.whole_numbers import whole_numbers
from synaug.data.images import decoded, read_file
from synaug.data.labels import sorted_values
from synaug.errors import DataError
from synaug.runtime import is_tensor, storage

COLUMNS = ("id", "path", "label", "attribute", "split", "source", "sha256")
SPLITS = ("train", "validation", "test")
SINGLE_ATTRIBUTE = "single: "  # before the name of one of several attributes, in the name of its column


@dataclass(frozen=True)
class Quarantined:
    """An image that cannot be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """Files or rows of one kind that were skipped: reason, suffix (empty if none), number, and a few examples."""

    reason: str
    suffix: str
    number: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class DuplicatePair:
    """The ids of two images that are byte-identical or, if not ``is_equal``, nearly equal."""

    first: str
    second: str
    is_equal: bool


@dataclass(frozen=True)
class Duplicates:
    """Harmful duplicates: their number and a few examples, per kind."""

    num_leaked: int = 0  # held-out images with a duplicate in training
    leaked: tuple[DuplicatePair, ...] = ()
    num_two_labels: int = 0  # images with a duplicate in another class
    two_labels: tuple[DuplicatePair, ...] = ()
    num_split_groups: int = 0  # values of the group column both in training and held out


@dataclass(frozen=True, eq=False)
class Manifest:
    """Images with their labels, attributes and splits; columns as in the module docstring."""

    frame: pd.DataFrame
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...] = ()
    root: Path | None = None
    quarantined: tuple[Quarantined, ...] = field(default=())
    origin: str = ""  # the exact source, such as a Hub id with its commit
    layout: str = ""  # how the source was interpreted, in a sentence
    notes: tuple[str, ...] = ()  # warnings about the data for the user
    drew_test: bool = False  # whether the test split was drawn here, not given by the data
    left_out: tuple[LeftOut, ...] = ()  # skipped files and rows, apart from quarantined images
    duplicates: Duplicates = Duplicates()

    def __post_init__(self) -> None:
        if not isinstance(self.frame, pd.DataFrame):
            raise DataError(f"The rows of a manifest must be a data frame, got {type(self.frame).__name__}.")
        missing = [column for column in COLUMNS if column not in self.frame.columns]
        if missing:
            raise DataError(f"The manifest lacks the columns {', '.join(missing)}.")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_attributes(self) -> int:
        return len(self.attribute_names)

    @property
    def labels(self) -> np.ndarray:
        """Labels, int64 of shape ``(N,)``."""
        return self.frame["label"].to_numpy(np.int64)

    @property
    def attributes(self) -> np.ndarray:
        """Attributes, int64 of shape ``(N,)``; -1 if unknown."""
        return self.frame["attribute"].to_numpy(np.int64)

    @property
    def single_attributes(self) -> tuple[str, ...]:
        """The names of the attributes whose combinations ``attribute_names`` are; empty for a single attribute."""
        return tuple(
            str(name).removeprefix(SINGLE_ATTRIBUTE)
            for name in self.frame.columns
            if str(name).startswith(SINGLE_ATTRIBUTE)
        )

    def by_single_attribute(self, name: str) -> Manifest:
        """Return the manifest with one of its ``single_attributes`` in place of their combination."""
        texts = self.frame[SINGLE_ATTRIBUTE + name]
        names = sorted_values(set(texts) - {""})
        positions = texts.map({value: place for place, value in enumerate(names)}).fillna(-1).astype(np.int64)
        return replace(self, frame=self.frame.assign(attribute=positions), attribute_names=names)

    @property
    def is_synthetic(self) -> np.ndarray:
        """Whether each image is synthetic, bool of shape ``(N,)``."""
        return (self.frame["source"] == "synthetic").to_numpy(bool)

    def rows(self, chosen: np.ndarray) -> Manifest:
        """Return the rows at these positions, in this order, or under this mask."""
        picked = self.frame.loc[chosen] if chosen.dtype == bool else self.frame.iloc[chosen]
        return replace(
            self, frame=picked.reset_index(drop=True), quarantined=(), notes=(), left_out=(), duplicates=Duplicates()
        )

    def split(self, name: str) -> Manifest:
        """Return the rows of one split."""
        return self.rows((self.frame["split"] == name).to_numpy(bool))

    def absolute_path(self, row: int) -> Path:
        """Return the path of a row's file."""
        path = Path(str(self.frame["path"].iat[row]))
        return path if self.root is None else self.root / path


def read_image(manifest: Manifest, row: int) -> Image.Image:
    """Return the image of a row as gray or RGB.

    Raises:
        DataError: it cannot be read; the message contains its path or id.
        ChangedFileError: the file is missing or does not match the digest in the manifest.
    """
    value = manifest.frame["image"].iat[row] if "image" in manifest.frame else None
    if isinstance(value, np.ndarray):
        return Image.fromarray(value)
    if not isinstance(value, bytes):
        return read_file(manifest.absolute_path(row), sha256=str(manifest.frame["sha256"].iat[row] or ""))
    try:
        return decoded(value)
    except DataError as error:
        raise DataError(f"The image {manifest.frame['id'].iat[row]} {error}.") from error


def joined(first: Manifest, *others: Manifest) -> Manifest:
    """Return one manifest with the rows of several manifests of the same classes, and with absolute paths.

    Raises:
        DataError: the manifests have different classes or attributes.
    """
    frames = []
    for part in (first, *others):
        if part.class_names != first.class_names or part.attribute_names != first.attribute_names:
            raise DataError(
                f"Manifests of different classes cannot be joined: {first.class_names} and {part.class_names}."
            )
        paths = part.frame["path"]
        if part.root is not None:
            paths = paths.map(lambda path, root=part.root: str(root / path) if path else "")
        extra = [name for name in part.frame.columns if name not in (*COLUMNS, "image")]
        frames.append(part.frame.drop(columns=extra).assign(path=paths))
    frame = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    return replace(first, frame=frame, root=None)


def from_arrays(
    images: np.ndarray | Sequence[np.ndarray],
    labels: Sequence[int] | np.ndarray,
    *,
    class_names: Sequence[str],
    attributes: Sequence[int] | np.ndarray | None = None,
    attribute_names: Sequence[str] = (),
    split: str | Sequence[str] = "train",
) -> Manifest:
    """Return a manifest of images in memory.

    Args:
        images: uint8 of shape ``(N, H, W)`` or ``(N, H, W, 3)``, or a sequence of such single images.
        labels: shape ``(N,)``, positions in ``class_names``.
        class_names: one name per class.
        attributes: shape ``(N,)``, positions in ``attribute_names``; None if unknown.
        attribute_names: one name per attribute value.
        split: one name for all, or one per image.

    Raises:
        DataError: lengths differ, a label is out of range, or an image has another type or shape.
    """
    label_array = whole_numbers(labels, kind="label").astype(np.int64)
    if isinstance(class_names, str) or not isinstance(class_names, Iterable) or getattr(class_names, "ndim", 1) == 0:
        raise DataError(f"class_names must be a list of names, got {class_names!r:.80}.")
    if (
        isinstance(attribute_names, str)
        or not isinstance(attribute_names, Iterable)
        or getattr(attribute_names, "ndim", 1) == 0
    ):
        raise DataError(f"attribute_names must be a list of names, got {attribute_names!r:.80}.")
    class_names, attribute_names = list(map(str, class_names)), list(map(str, attribute_names))
    if not isinstance(images, Iterable) or not hasattr(images, "__len__") or getattr(images, "ndim", 1) == 0:
        raise DataError(f"The images are {type(images).__name__}; give an array or a list of arrays.")
    if len(images) != len(label_array):
        raise DataError(f"There are {len(images)} images but {len(label_array)} labels.")
    _check_range("label", label_array, 0, len(class_names))
    if attributes is None:
        attribute_array = np.full(len(label_array), -1)
    else:
        attribute_array = whole_numbers(attributes, kind="attribute").astype(np.int64)
        if len(attribute_array) != len(label_array):
            raise DataError(f"There are {len(label_array)} images but {len(attribute_array)} attributes.")
        _check_range("attribute", attribute_array, -1, len(attribute_names))
    if not isinstance(split, Iterable) or getattr(split, "ndim", 1) == 0:
        raise DataError(f"split must be a name or one name per image, got {split!r:.80}.")
    splits = [split] * len(label_array) if isinstance(split, str) else list(map(str, split))
    _check_splits(splits, len(label_array))
    try:
        arrays = [np.ascontiguousarray(image.detach() if is_tensor(image) else image) for image in images]
    except (TypeError, ValueError) as error:
        raise DataError(f"An image is not an array: {error}. Allowed: uint8 of shape (H, W) or (H, W, 3).") from error
    for position, array in enumerate(arrays):
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
            raise DataError(
                f"Image {position} is {array.dtype} of shape {array.shape}; "
                "allowed: uint8 of shape (H, W) or (H, W, 3)."
            )
    frame = pd.DataFrame(
        {
            "id": [f"image-{position:07d}" for position in range(len(arrays))],
            "path": "",
            "label": label_array,
            "attribute": attribute_array,
            "split": splits,
            "source": "real",
            "sha256": [storage.digest(array.tobytes()) for array in arrays],
            "image": arrays,
        }
    )
    return Manifest(frame=frame, class_names=tuple(class_names), attribute_names=tuple(attribute_names))


def _check_splits(splits: list[str], num: int) -> None:
    if len(splits) != num:
        raise DataError(f"There are {num} images but {len(splits)} splits.")
    for name in set(splits) - set(SPLITS):
        raise DataError(f"A split is {name!r}; allowed: {', '.join(SPLITS)}.")


def _check_range(kind: str, values: np.ndarray, low: int, end: int) -> None:
    outside = values[(values < low) | (values >= end)]
    if len(outside):
        raise DataError(f"The {kind} {outside[0]} is out of range; allowed: {low} to {end - 1}.")
