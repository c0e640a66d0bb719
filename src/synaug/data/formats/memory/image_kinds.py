"""Recognize the pixel format of images in memory, and convert to 8 bits and back.

A set shares one scale per type: whether floats run from 0 to 1 or to 255 is decided by all images together, so that a
dark image is read like the others. Layouts are recognized per image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from synaug.data.images import EIGHT_BIT, is_gray_mode, is_wide_mode, plain_mode, white_level
from synaug.errors import DataError
from synaug.runtime import is_tensor

Layout = Literal["HW", "HWC", "CHW", "pillow"]
SHAPES = "(H, W), (H, W, C) and (C, H, W) with 1, 3 or 4 channels"


@dataclass(frozen=True, eq=False)
class ImageKind:
    """The pixel format of an image in memory.

    ``example`` is one such image: an array, a tensor, nested lists or a Pillow image; ``white`` is the value of full
    brightness: 1, 255 or 65,535; ``channels`` is 1 for gray, 3 for color and 4 for color with opacity.
    """

    example: Any
    layout: Layout
    channels: int
    white: float

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the example."""
        if isinstance(self.example, Image.Image):
            return self.example.size
        shape = np.shape(self.example)
        return (shape[2], shape[1]) if self.layout == "CHW" else (shape[1], shape[0])


def image_kinds(images: Sequence[Any], *, channels_last: bool = False) -> list[ImageKind | None]:
    """Return the kind of each image; None for paths, encoded bytes and dicts of them.

    Args:
        images: images of one set.
        channels_last: tensors have their channels last, unlike torch's usual images.

    Raises:
        DataError: an image has an impossible shape, type or range of values.
    """
    ranges: dict[str, tuple[float, float]] = {}
    found: list[tuple[Any, Layout, int, str] | None] = []
    for position, image in enumerate(images):
        if image is None or isinstance(image, str | os.PathLike | bytes | dict):
            found.append(None)
            continue
        try:
            layout, channels = _layout(image, channels_last=channels_last)
            key = _number_type(image)
        except DataError as error:
            raise DataError(f"Image {position} {error}.") from error
        if key:
            values = plain_array(image)
            low, high = ranges.get(key, (0.0, 0.0))
            ranges[key] = float(np.minimum(low, values.min())), float(np.maximum(high, values.max()))
        found.append((image, layout, channels, key))
    whites = {"": EIGHT_BIT}
    for key, (low, high) in ranges.items():
        try:
            whites[key] = white_level(low, high, is_float="float" in key)
        except DataError as error:
            raise DataError(f"The set of {key} images {error}.") from error
    return [None if each is None else ImageKind(*each[:3], whites[each[3]]) for each in found]


def eight_bit_image(image: Any) -> Image.Image:
    """Return a single array, tensor or Pillow image as gray (``L``) or ``RGB``, scaled by its own range.

    Raises:
        DataError: it has an impossible shape, type or range of values; the message lacks its subject.
    """
    layout, channels = _layout(image, channels_last=False)
    key, white = _number_type(image), EIGHT_BIT
    if key:
        values = plain_array(image)
        white = white_level(float(values.min()), float(values.max()), is_float="float" in key)
    return Image.fromarray(to_pixels(image, ImageKind(image, layout, channels, white)))


def plain_array(image: Any) -> np.ndarray:
    """Return an array, tensor, Pillow image or nested lists as a numpy array."""
    if is_tensor(image):
        image = image.detach().cpu()
        if image.dtype.is_floating_point and image.dtype.itemsize < 4:  # numpy has no bfloat16
            image = image.float()
        return np.asarray(image.numpy())
    if isinstance(image, np.ma.MaskedArray) and np.ma.is_masked(
        image
    ):  # as an array, it would show the values that the mask hides
        raise DataError("has masked pixels; fill them first, such as with array.filled(0)")
    try:
        array = np.asarray(image)
    except ValueError as error:  # nested lists of different lengths
        raise DataError(f"is {type(image).__name__}, not an array: {error}") from error
    if array.ndim == 0:
        raise DataError(f"is {type(image).__name__}; allowed: paths, encoded bytes, Pillow images, arrays and tensors")
    return array


def _layout(image: Any, *, channels_last: bool) -> tuple[Layout, int]:
    if isinstance(image, Image.Image):
        _check_not_empty(image.size)
        return "pillow", 1 if is_gray_mode(image.mode) else 3
    shape = np.shape(image) if hasattr(image, "shape") else plain_array(image).shape
    _check_not_empty(shape)
    if len(shape) == 2:
        return "HW", 1
    if len(shape) == 3:
        first, last = (shape[0], "CHW"), (shape[2], "HWC")
        is_first = is_tensor(image) and not channels_last
        for allowed in ((1, 3), (4,)):  # three channels are likelier than four
            for channels, layout in (first, last) if is_first else (last, first):
                if channels in allowed:
                    return layout, int(channels)  # type: ignore[return-value]
    raise DataError(f"has the shape {tuple(shape)}; allowed: {SHAPES}")


def _check_not_empty(shape: Sequence[int]) -> None:
    if 0 in shape:
        raise DataError(f"has no pixels: its shape is {tuple(shape)}")


def _number_type(image: Any) -> str:
    """Return the name of the pixel type if the value range decides its scale, otherwise an empty string."""
    if isinstance(image, Image.Image):
        if not is_wide_mode(image.mode):
            return ""
        return f"{'float ' if image.mode == 'F' else ''}Pillow {image.mode}"
    dtype = plain_array(image).dtype
    if dtype.kind not in "biuf":
        raise DataError(f"is {dtype}; allowed: truth values, whole numbers and floating-point numbers")
    return "" if dtype.kind == "b" or dtype == np.uint8 else dtype.name


def to_pixels(image: Any, kind: ImageKind) -> np.ndarray:
    """Return an image as uint8, ``(H, W)`` or ``(H, W, 3)``, in EXIF orientation; transparent pixels become white.

    Raises:
        DataError: a Pillow image cannot be decoded.
    """
    if isinstance(image, Image.Image):
        try:
            return np.array(plain_mode(ImageOps.exif_transpose(image), white=kind.white))
        except DataError:
            raise
        except (OSError, SyntaxError, ValueError) as error:  # of a damaged file that was opened but not yet decoded
            raise DataError(f"cannot be decoded: {error}") from error
    array = plain_array(image)
    if kind.layout == "CHW":
        array = array.transpose(1, 2, 0)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        array = np.clip(array * (255 / kind.white), 0, 255).round().astype(np.uint8)
    if kind.channels == 4:
        return np.array(plain_mode(Image.fromarray(np.ascontiguousarray(array))))
    return np.ascontiguousarray(array.reshape(array.shape[:2]) if kind.channels == 1 else array)


def from_pixels(image: Image.Image, kind: ImageKind) -> Any:
    """Return a gray or RGB Pillow image in the type, scale and layout of the example in ``kind``.

    >>> kind = image_kinds([np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)])[0]
    >>> from_pixels(Image.new("L", (2, 2), 51), kind)
    array([[0.2, 0.2],
           [0.2, 0.2]], dtype=float32)
    """
    if isinstance(kind.example, Image.Image):
        return _as_pillow(image, kind)
    pixels = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[kind.channels]))
    values = _scaled(pixels, plain_array(kind.example).dtype, kind.white)
    if kind.layout != "HW":
        values = values.reshape(*values.shape[:2], kind.channels)
    if kind.layout == "CHW":
        values = np.ascontiguousarray(values.transpose(2, 0, 1))
    if is_tensor(kind.example):
        import torch

        return torch.from_numpy(values).to(kind.example)
    return values.tolist() if isinstance(kind.example, list | tuple) else values


def _scaled(pixels: np.ndarray, dtype: np.dtype[Any], white: float) -> np.ndarray:
    if dtype.kind == "b":
        return pixels >= 128
    scaled = pixels * (white / 255)
    return (scaled if dtype.kind == "f" else scaled.round()).astype(dtype)


def _as_pillow(image: Image.Image, kind: ImageKind) -> Image.Image:
    mode = kind.example.mode
    if is_wide_mode(mode):
        gray = _scaled(np.asarray(image.convert("L")), np.asarray(kind.example).dtype, kind.white)
        return Image.fromarray(gray)
    through = {"PA": "P", "La": "LA", "RGBa": "RGBA", "LAB": "RGB", "HSV": "RGB"}.get(mode)  # Pillow needs two steps
    return (image.convert(through) if through else image).convert(mode)
