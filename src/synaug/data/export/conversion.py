"""Convert a manifest for other libraries: a data frame, arrays, a torch or a ``datasets`` data set."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from synaug.data.color_mode import color_mode
from synaug.data.images import encoded
from synaug.data.manifest import Manifest, read_image
from synaug.errors import DataError, OptionError
from synaug.runtime import FUNCTION, TRUTH, check_arguments, missing_library, needs_libraries

if TYPE_CHECKING:
    import datasets

    from synaug.data.export.torch_dataset import ImageDataset


class ImageArrays(NamedTuple):
    """Images uint8 ``(N, H, W)`` or ``(N, H, W, 3)``, labels int64 ``(N,)``, and whether synthetic, bool ``(N,)``."""

    images: np.ndarray
    labels: np.ndarray
    is_synthetic: np.ndarray


def _check_manifest(data: object, name: str) -> None:
    if not isinstance(data, Manifest):
        raise DataError(f"{name} takes a manifest, as read_data and balance return it, got {type(data).__name__}.")


def to_frame(data: Manifest) -> pd.DataFrame:
    """Return one row per image, with names instead of numbers; ``read_data`` reads it back.

    Columns: ``id``, ``image`` (a path, or the bytes of an image in memory, which Parquet can store), ``label``,
    ``attribute`` (if any are known; missing values otherwise), ``split`` and ``is_synthetic``.
    """
    _check_manifest(data, "to_frame")
    columns: dict[str, pd.Series | np.ndarray] = {
        "id": data.frame["id"].to_numpy(),
        "image": pd.Series([_place(data, row) for row in range(len(data))], dtype=object),
        "label": np.array(data.class_names, dtype=object)[data.labels],
    }
    if data.attribute_names:
        columns["attribute"] = np.array([*data.attribute_names, None], dtype=object)[data.attributes]
    return pd.DataFrame(columns | {"split": data.frame["split"].to_numpy(), "is_synthetic": data.is_synthetic})


def _place(data: Manifest, row: int) -> str | bytes:
    value = data.frame["image"].iat[row] if "image" in data.frame else None
    return encoded(value) if isinstance(value, bytes | np.ndarray) else str(data.absolute_path(row))


def to_arrays(data: Manifest, *, size: tuple[int, int] | None = None) -> ImageArrays:
    """Return all images as one array, with their labels and origins.

    Args:
        data: the images; the array is gray if all of them are.
        size: (width, height) to scale and crop to; required if the images differ in size.

    Raises:
        DataError: the images differ in size and no size is given, or one cannot be read.
    """
    _check_manifest(data, "to_arrays")
    is_pair = isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(each, Integral) for each in size)
    if size is not None and not (is_pair and min(size) > 0):
        raise OptionError(f"size must be (width, height) in pixels, got {size!r:.80}.")
    images = [read_image(data, row) for row in range(len(data))]
    sizes = {image.size for image in images}
    if size is None and len(sizes) > 1:
        shown = ", ".join(f"{width} x {height}" for width, height in sorted(sizes)[:3])
        raise DataError(
            f"The images have {len(sizes):,} sizes ({shown}, ...), so they cannot form one array. "
            "Give the size to scale and crop them to: to_arrays(data, size=(width, height))."
        )
    mode = color_mode(data)
    fitted = [np.asarray(_fitted(image.convert(mode), size)) for image in images]
    return ImageArrays(np.stack(fitted) if fitted else np.empty((0, 0, 0), np.uint8), data.labels, data.is_synthetic)


def _fitted(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    if size is None or image.size == size:
        return image
    return ImageOps.fit(image, size, Image.Resampling.BICUBIC)


@needs_libraries
def to_torch(
    data: Manifest, *, transform: Callable[[Image.Image], object] | None = None, pairs: bool = False
) -> ImageDataset:
    """Return a map-style torch data set of ``Sample(image, label, is_synthetic)``, decoded on access.

    Args:
        data: the images.
        transform: called with each Pillow image (``L`` if all are gray, otherwise ``RGB``); default: float32 of shape
            ``(C, H, W)`` in [0, 1].
        pairs: return plain ``(image, label)`` pairs, as expected by loops written for torchvision.

    The data set has ``classes``, ``class_to_idx`` and ``targets`` like torchvision's, and the arrays ``is_synthetic``
    and ``attributes``.
    """
    _check_manifest(data, "to_torch")
    check_arguments("to_torch", transform=(transform, FUNCTION.or_none), pairs=(pairs, TRUTH))
    from synaug.data.export.torch_dataset import ImageDataset

    return ImageDataset(data, transform=transform, pairs=pairs)


def to_datasets(data: Manifest) -> datasets.Dataset:
    """Return a ``datasets.Dataset`` of all rows; files are referenced, not copied.

    Columns: ``id``, ``image``, ``label`` (a ClassLabel), ``attribute`` (likewise, if any is known), ``split`` and
    ``is_synthetic``. For one split: ``to_datasets(data.split("train"))``.

    Raises:
        MissingLibraryError: the package ``datasets`` is not installed.
    """
    _check_manifest(data, "to_datasets")
    try:
        import datasets
    except ImportError as error:
        raise missing_library(error, "to_datasets()") or error from error
    features: dict[str, object] = {
        "id": datasets.Value("string"),
        "image": datasets.Image(mode=color_mode(data)),  # one mode for all, so that images can be stacked
        "label": datasets.ClassLabel(names=list(data.class_names)),
    }
    columns: dict[str, list[object]] = {
        "id": data.frame["id"].tolist(),
        "image": [_path_or_bytes(_place(data, row)) for row in range(len(data))],
        "label": data.labels.tolist(),
    }
    if data.attribute_names:
        features["attribute"] = datasets.ClassLabel(names=list(data.attribute_names))
        columns["attribute"] = [None if number < 0 else number for number in data.attributes.tolist()]
    features |= {"split": datasets.Value("string"), "is_synthetic": datasets.Value("bool")}
    columns |= {"split": data.frame["split"].tolist(), "is_synthetic": data.is_synthetic.tolist()}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def _path_or_bytes(image: str | bytes) -> dict[str, str | bytes | None]:
    if isinstance(image, str):
        return {"bytes": None, "path": image}
    return {"bytes": image, "path": None}
