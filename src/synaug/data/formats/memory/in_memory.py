"""Tables of data already in memory: data frames, torch and ``datasets`` data sets, images with labels.

Each source becomes a ``Table`` with the columns ``image``, ``label`` and, if there are several, ``split``; a frame
keeps its own columns. Images in files stay there and are referenced by path; all others are kept as encoded bytes or
uint8 arrays, so that no pixel changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from PIL import Image

from synaug.data.formats.memory.image_kinds import ImageKind, image_kinds, to_pixels
from synaug.data.formats.tables import LABEL_COLUMNS, Table
from synaug.data.labels import flat_labels
from synaug.data.manifest import Manifest
from synaug.errors import DataError

SOURCES = (
    "a path, a data frame or pyarrow table, a torch or torchvision data set of (image, label), a datasets.Dataset or "
    "stream, a pair (images, labels), or a dict of split names and any of these"
)


class MapStyle(Protocol):
    """A torch or ``datasets`` data set, or any sequence, of items (image, label)."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Any: ...


Source = str | os.PathLike[str] | Manifest | pd.DataFrame | Mapping[Any, Any] | tuple[Any, Any] | MapStyle
_IN_MEMORY = (bytes, dict, Image.Image, os.PathLike)
Content = bytes | np.ndarray | None  # of an image in memory; None for a file


def table_in_memory(source: Any) -> Table:
    """Return the table of a source that is not a path.

    Raises:
        DataError: it does not contain images with labels, or one of its images cannot be used.
    """
    if isinstance(source, pd.DataFrame):
        return _of_frame(source)
    if isinstance(source, Mapping):
        return _of_splits(source)
    if isinstance(source, tuple) and len(source) == 2:
        return _of_images(*source)
    if type(source).__module__.partition(".")[0] == "datasets" and hasattr(source, "features"):
        return _of_dataset(source)
    if hasattr(source, "to_pandas") and hasattr(source, "columns"):  # a table of pyarrow or polars
        return _of_frame(source.to_pandas())
    if getattr(source, "ndim", 1) == 0 or not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        raise DataError(f"Images cannot be read from {type(source).__name__}. Give {SOURCES}.")
    return _of_map_style(source)


def _of_images(
    images: Sequence[Any] | np.ndarray,
    labels: Sequence[Any] | np.ndarray | pd.Series[Any],
    *,
    channels_last: bool = False,
) -> Table:
    """Return the table of an image array, or of a sequence of paths, Pillow images, arrays and tensors."""
    labels = flat_labels(labels, where="The label column")
    if not hasattr(images, "__len__") or getattr(images, "ndim", 1) == 0:
        raise DataError(f"The images are of type {type(images).__name__}; give an array, or a list of images or paths.")
    if len(images) != len(labels):
        raise DataError(f"There are {len(images)} images but {len(labels)} labels.")
    return _with_images(pd.DataFrame({"label": labels}), "image", images, channels_last=channels_last)


def _of_frame(frame: pd.DataFrame) -> Table:
    """Extract the columns that contain images; categorical labels become their values."""
    columns = {str(name): _plain(values) for name, values in frame.reset_index(drop=True).items()}
    table = Table(pd.DataFrame(columns))
    for name, values in columns.items():
        if pd.api.types.is_object_dtype(values) and any(_is_image(value) for value in values):
            found = _with_images(table.frame, name, values.tolist())
            table = Table(found.frame, {}, table.contents | found.contents)
    return table


def _is_image(value: Any) -> bool:
    """Return whether a cell contains an image; one-dimensional arrays may be one-hot labels."""
    return isinstance(value, _IN_MEMORY) or getattr(value, "ndim", 0) > 1


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(column.cat.categories.dtype if column.notna().all() else object)
    return column


def _of_splits(parts: Mapping[Any, Any]) -> Table:
    """Join the tables of several splits, which must have the same classes."""
    if not parts:
        raise DataError(f"The dictionary contains no splits. Give {SOURCES}.")
    if columns := [repr(name) for name in parts if str(name).casefold() in LABEL_COLUMNS]:
        raise DataError(
            f"The dictionary has the key {columns[0]}, which names a column, not a split. Pass pd.DataFrame(...) of "
            "the dictionary, or a pair (images, labels)."
        )
    tables = {str(name): table_in_memory(part) for name, part in parts.items()}
    split = {name: Table(t.frame.assign(split=name), t.class_names, t.contents) for name, t in tables.items()}
    return _joined(list(split.values()), f"The splits {', '.join(tables)}")


def _joined(tables: Sequence[Table], where: str) -> Table:
    """Return the rows of all tables.

    Raises:
        DataError: they name different classes, so a number would stand for two of them.
    """
    named = [table.class_names for table in tables]
    if any(names != named[0] for names in named):
        raise DataError(f"{where} name different classes: {'; '.join(map(str, named))}.")
    contents = {
        name: [value for table in tables for value in table.contents.get(name, [None] * len(table.frame))]
        for name in {name for table in tables for name in table.contents}
    }
    return Table(pd.concat([table.frame for table in tables], ignore_index=True), named[0], contents)


def _of_dataset(dataset: Any) -> Table:
    """Return the table of a ``datasets.Dataset`` or stream, with its images still encoded."""
    import datasets

    if isinstance(dataset, datasets.IterableDataset):
        return _of_stream(dataset)
    images = [name for name, kind in dataset.features.items() if isinstance(kind, datasets.Image)]
    others = dataset.remove_columns(images).with_format(None)
    table = Table(others.to_pandas() if others.column_names else pd.DataFrame(index=range(len(dataset))))
    for name in images:
        values = dataset.with_format(None).cast_column(name, datasets.Image(decode=False))[name]
        found = _with_images(table.frame, name, list(values))
        table = Table(found.frame, {}, table.contents | found.contents)
    return Table(table.frame, _names_of_classes(dataset.features), table.contents)


def _of_stream(dataset: Any) -> Table:
    """Return the table of a ``datasets.IterableDataset``, read once: a second pass may yield other rows.

    The types of a stream's columns need not be known; its cells show which of them contain images.
    """
    import datasets

    features = dataset.features or {}
    for name in [name for name, kind in features.items() if isinstance(kind, datasets.Image)]:
        dataset = dataset.cast_column(name, datasets.Image(decode=False))
    rows = list(dataset.with_format(None))
    if not rows:
        raise DataError("The stream yields no rows.")
    table = _of_frame(pd.DataFrame(rows))
    return Table(table.frame, _names_of_classes(features), table.contents)


def _names_of_classes(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    import datasets

    return {name: tuple(kind.names) for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)}


def _of_map_style(dataset: Any) -> Table:
    """Return the table of a torch data set; for torchvision's, use the files or arrays behind it, untransformed."""
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):  # torch.utils.data.Subset
        return _rows(table_in_memory(dataset.dataset), list(dataset.indices))
    if hasattr(dataset, "datasets") and hasattr(dataset, "cumulative_sizes"):  # torch.utils.data.ConcatDataset
        return _joined([table_in_memory(part) for part in dataset.datasets], "The concatenated data sets")
    samples, data = getattr(dataset, "samples", None), getattr(dataset, "data", None)
    if isinstance(samples, list) and len(samples) == len(dataset) and isinstance(samples[0], tuple):
        table = _of_images([Path(path) for path, _ in samples], [label for _, label in samples])
    elif data is not None and hasattr(dataset, "targets") and len(data) == len(dataset):
        table = _of_images(data, _numbers(dataset.targets), channels_last=True)
    else:
        table = _of_items(dataset)
    names = getattr(dataset, "classes", None)
    numbered = pd.api.types.is_integer_dtype(table.frame["label"])
    return Table(table.frame, {"label": tuple(map(str, names))} if names and numbered else {}, table.contents)


def _of_items(dataset: Any) -> Table:
    images, labels = [], []
    for position in range(len(dataset)):
        item = dataset[position]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise DataError(
                f"Item {position} of {type(dataset).__name__} is {type(item).__name__}, not (image, "
                "label). Pass separate images and labels as a pair (images, labels)."
            )
        images.append(item[0])
        labels.append(item[1])
    return _of_images(images, _numbers(labels))


def _numbers(labels: Any) -> list[Any]:
    """Return labels as plain values, converting tensors."""
    return [label.item() if hasattr(label, "item") else label for label in labels]


def _rows(table: Table, chosen: Sequence[int]) -> Table:
    contents = {name: [values[row] for row in chosen] for name, values in table.contents.items()}
    return Table(table.frame.iloc[list(chosen)].reset_index(drop=True), table.class_names, contents)


def _with_images(frame: pd.DataFrame, name: str, images: Iterable[Any], *, channels_last: bool = False) -> Table:
    """Return the frame with a column of images: paths for files, contents for everything else."""
    images = list(images)
    kinds = image_kinds(images, channels_last=channels_last)
    found = [_content(image, kind, position) for position, (image, kind) in enumerate(zip(images, kinds, strict=True))]
    frame = frame.assign(**{name: [path for path, _ in found]})
    contents = [content for _, content in found]
    return Table(frame, {}, {} if all(content is None for content in contents) else {name: contents})


def _content(image: Any, kind: ImageKind | None, position: int) -> tuple[str, Content]:
    """Return an image's path (empty if it is in memory) and its content (None if it is in a file)."""
    if kind is not None:
        try:
            return "", to_pixels(image, kind)
        except DataError as error:
            raise DataError(f"Image {position} {error}.") from error
    if isinstance(image, str | os.PathLike):
        return os.fspath(image), None
    if isinstance(image, dict):  # as encoded by datasets
        data = image.get("bytes")
        return ("", data) if isinstance(data, bytes) else (str(image.get("path") or ""), None)
    if image is None:
        raise DataError(f"Image {position} is missing: it is None. Remove the row or fill it in.")
    return "", image
