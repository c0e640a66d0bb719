"""Images passed by a caller: one or many paths, Pillow images, arrays or tensors, decoded one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from synaug.data.formats.memory.image_kinds import eight_bit_image
from synaug.data.images import decoded, read_file
from synaug.errors import DataError
from synaug.runtime import is_tensor


class ArrayLike(Protocol):
    """A numpy array, a torch tensor, or anything with a shape that numpy can read."""

    @property
    def shape(self) -> Any: ...

    def __array__(self, *arguments: Any) -> Any: ...


OneImage = str | os.PathLike[str] | bytes | Image.Image | ArrayLike
ImageInputs = OneImage | Iterable[OneImage]

_CHANNELS = (1, 3)
ALLOWED = (
    "a path, a Pillow image, encoded bytes, an array (H, W), (H, W, 1) or (H, W, 3), a tensor (C, H, W), "
    "or several of these"
)


def iterate_images(images: ImageInputs, *, channels: int = 3) -> Iterator[Image.Image]:
    """Yield each image as gray (``L``) or ``RGB``, holding only one at a time.

    Args:
        images: one image or an iterable of them; an array ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` counts as
            many. See ``image_kinds`` for types, scales and layouts.
        channels: 1 or 3, the number expected. It decides whether an array ``(3, H, W)`` is one color image (3) or three
            gray ones (1).

    Raises:
        DataError: an image cannot be read, or its shape or type is not allowed; the message identifies it.
    """
    for position, image in enumerate(_several(images, channels)):
        yield open_image(image, where=f"Image {position}")


def open_image(image: Any, *, where: str = "The image") -> Image.Image:
    """Return one image as gray (``L``) or ``RGB``; see ``iterate_images`` for the allowed types.

    Raises:
        DataError: it cannot be used; the message starts with ``where`` or the path.
    """
    if isinstance(image, str | os.PathLike):
        return read_file(Path(image))
    try:
        if isinstance(image, Mapping) and isinstance(image.get("bytes"), bytes):  # as encoded by ``datasets``
            image = image["bytes"]
        if isinstance(image, bytes):
            return decoded(image)
        if not isinstance(image, Image.Image) and not _has_shape(image):
            raise DataError(f"is {type(image).__name__}; allowed: {ALLOWED}")
        return eight_bit_image(image)
    except DataError as error:
        raise DataError(f"{where} {error}.") from error


def _several(images: Any, channels: int) -> Iterable[Any]:
    """Return an iterable of images, given one or many."""
    if isinstance(images, str | os.PathLike | bytes | Image.Image | Mapping):
        return [images]
    if _has_shape(images) and len(images.shape) != 1:
        return [images] if _is_one(images, channels) else images
    if not isinstance(images, Iterable):
        raise DataError(f"Images cannot be read from {type(images).__name__}. Give {ALLOWED}.")
    return images


def _is_one(array: Any, channels: int) -> bool:
    """Return whether an array is a single image."""
    shape = tuple(array.shape)
    if len(shape) == 3:
        first, last = shape[0] in _CHANNELS, shape[2] in _CHANNELS
        if is_tensor(array):
            return first and (shape[0] == 1 or channels == 3)
        return last or (first and (shape[0] == 1 or channels == 3))
    return len(shape) != 4  # reject other shapes with the message for a single image


def _has_shape(image: Any) -> bool:
    return hasattr(image, "shape") and hasattr(image, "__array__")
