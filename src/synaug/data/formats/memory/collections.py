"""Split the collections in which callers keep images and labels, and extend them by similar synthetic images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from synaug.data.formats.memory.image_kinds import ImageKind, from_pixels, to_pixels
from synaug.data.formats.tables import PATH_COLUMNS
from synaug.data.manifest import Manifest, read_image
from synaug.errors import DataError
from synaug.runtime import is_tensor


def _column_of(frame: pd.DataFrame) -> str:
    found = [name for name in PATH_COLUMNS if name in frame.columns]
    if not found:
        raise DataError(f"X has no column of images with one of the usual names: {', '.join(PATH_COLUMNS)}.")
    return found[0]


def num_images(X: Any) -> int:
    """Return the number of images in a collection.

    Raises:
        DataError: it is not a collection.
    """
    try:
        return len(X)
    except TypeError:
        raise DataError(f"X is {type(X).__name__}, not a collection of images.") from None


def image_column(X: Any) -> list[Any]:
    """Return the images of a collection as a list.

    Raises:
        DataError: it contains no images.
    """
    if isinstance(X, pd.DataFrame):
        return X[_column_of(X)].tolist()
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUT":
        if X.size != len(X):  # numbers stored as objects
            return [np.array(image.tolist()) for image in X]
        return X.reshape(len(X)).tolist()
    if getattr(X, "ndim", 3) < 3 and hasattr(X, "shape") and not isinstance(X, pd.Series):
        raise DataError(
            f"X is {X.dtype} of shape {tuple(X.shape)}; allowed: images of shape (N, H, W), (N, H, W, C) or "
            "(N, C, H, W), and lists or columns of paths, Pillow images, arrays or tensors."
        )
    return list(X)


def as_given(manifest: Manifest, images: Sequence[Any], kinds: Sequence[ImageKind]) -> list[Any]:
    """Return synthetic images in the form of the real ones, in color if any real image is."""
    if not kinds:
        return [_path_like(images[0], manifest.absolute_path(row)) for row in range(len(manifest))]
    kind = _richest(kinds)
    sizes = {each.size for each in kinds}
    pictures = (read_image(manifest, row) for row in range(len(manifest)))
    if len(sizes) == 1:
        size = sizes.pop()
        pictures = (p if p.size == size else ImageOps.fit(p, size, Image.Resampling.BICUBIC) for p in pictures)
    return [from_pixels(picture, kind) for picture in pictures]


def _richest(kinds: Sequence[ImageKind]) -> ImageKind:
    return max(kinds, key=lambda each: each.channels)


def in_one_mode(X: Any, kinds: Sequence[ImageKind | None]) -> Any:
    """Return the collection with gray images converted to color if others are color, so that it can be stacked.

    >>> from synaug.data.formats.memory.image_kinds import image_kinds
    >>> kinds = image_kinds(images := [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8)])
    >>> [image.shape for image in in_one_mode(images, kinds)]
    [(2, 2, 3), (2, 2, 3)]
    """
    known = [kind for kind in kinds if kind is not None]
    if len({kind.channels for kind in known}) < 2:
        return X
    target = _richest(known)
    images = [
        image if kind is None or kind.channels == target.channels else from_pixels(_picture(image, kind), target)
        for image, kind in zip(image_column(X), kinds, strict=True)
    ]
    if isinstance(X, pd.DataFrame):
        return X.assign(**{_column_of(X): pd.Series(images, X.index, dtype=object)})
    if isinstance(X, pd.Series):
        return pd.Series(images, X.index, dtype=object, name=X.name)
    return _object_rows(images, X) if isinstance(X, np.ndarray) else images


def _picture(image: Any, kind: ImageKind) -> Image.Image:
    return Image.fromarray(to_pixels(image, kind))


def _path_like(example: Any, path: Path) -> Any:
    """Return a path in the example's type."""
    if isinstance(example, bytes):
        return path.read_bytes()
    if isinstance(example, dict):
        return {"bytes": None, "path": str(path)} if example.get("path") else {"bytes": path.read_bytes(), "path": None}
    return type(example)(path)


def extended(X: Any, added: list[Any]) -> Any:
    """Return a collection of the same type with more images at the end."""
    if isinstance(X, pd.DataFrame):
        more = pd.DataFrame({_column_of(X): pd.Series(added, dtype=object)})
        return pd.concat([X, more], ignore_index=True) if added else X.reset_index(drop=True)
    if isinstance(X, pd.Series):
        return pd.Series([*X, *added], name=X.name)
    if isinstance(X, np.ndarray):
        if not added:
            return X.copy()
        if X.dtype.kind in "OU":
            return np.concatenate([X, _objects(added, X)])
        return np.concatenate([X, np.stack(added).reshape(-1, *X.shape[1:])])
    if is_tensor(X):
        import torch

        return torch.cat([X, torch.stack(added).reshape(-1, *X.shape[1:])]) if added else X.clone()
    return [*X, *added]


def _objects(added: list[Any], X: np.ndarray) -> np.ndarray:
    """Return synthetic images as rows for an array of strings or objects."""
    if X.dtype.kind == "U":
        return np.array(added).reshape(-1, *X.shape[1:])
    if X.size != len(X):
        return np.stack(added).astype(object).reshape(-1, *X.shape[1:])
    return _object_rows(added, X)


def _object_rows(images: list[Any], X: np.ndarray) -> np.ndarray:
    rows = np.empty(len(images), object)
    for place, image in enumerate(images):
        rows[place] = image
    return rows.reshape(-1, *X.shape[1:])


def extended_labels(y: Any, labels: np.ndarray, classes: np.ndarray) -> Any:
    """Return labels followed by more classes, both of shape ``(N,)``, in the type of ``y``."""
    both = np.concatenate([labels, classes])
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        return pd.DataFrame({y.columns[0]: both}).astype(y.dtypes.to_dict())
    if isinstance(y, pd.Series):
        return pd.Series(both, name=y.name).astype(y.dtype)
    if isinstance(y, list):
        return both.tolist()
    is_one_hot = getattr(y, "ndim", 1) == 2 and y.shape[1] > 1
    if is_one_hot:
        both = np.eye(y.shape[1])[both]
    if is_tensor(y):
        import torch

        return torch.from_numpy(both).to(y)
    return both.astype(y.dtype) if is_one_hot and isinstance(y, np.ndarray) else both
