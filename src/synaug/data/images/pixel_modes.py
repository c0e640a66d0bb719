"""Convert an image of any Pillow mode to 8-bit gray or RGB that looks as expected."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageCms

from synaug.data.images.pixel_range import white_level

_GRAY = ("1", "L", "LA", "La")
_ROWS = 64  # rows converted at once
_WIDE = ("I", "F")  # prefixes of the modes with more than 8 bits


def is_gray_mode(mode: str) -> bool:
    """Return whether ``plain_mode`` converts images of this mode to gray.

    >>> [is_gray_mode(mode) for mode in ("I;16", "LA", "P", "CMYK")]
    [True, True, False, False]
    """
    return mode in _GRAY or mode.startswith(_WIDE)


def is_wide_mode(mode: str) -> bool:
    """Return whether a mode has more than 8 bits per pixel value."""
    return mode.startswith(_WIDE)


def plain_mode(image: Image.Image, *, white: float | None = None) -> Image.Image:
    """Return the image as ``L`` or ``RGB``: transparent pixels become white; 16 bits and floats become 8 bits.

    Args:
        image: an image of any mode.
        white: value of full brightness in modes of more than 8 bits; default: inferred from the image's range.

    Raises:
        DataError: the pixel range cannot be scaled without guessing.
    """
    if is_wide_mode(image.mode):
        return _eight_bits(image, white)
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        rgba = image.convert("RGBA")
        return _on_white(rgba, gray=image.mode in ("1", "L"))
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa"):
        straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
        return _on_white(straight.convert("RGBA"), gray=image.mode in ("LA", "La"))
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_to_rgb()) or image
    return image.convert("RGB")


def _on_white(rgba: Image.Image, *, gray: bool) -> Image.Image:
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("L" if gray else "RGB")


@functools.cache
def _lab_to_rgb() -> ImageCms.ImageCmsTransform:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, rgb, "LAB", "RGB")


def _eight_bits(image: Image.Image, white: float | None) -> Image.Image:
    """Scale by the range the values appear to have: 0 to 1 (floats), 0 to 255, or 0 to 65,535."""
    values = np.asarray(image)
    if white is None:
        low, high = values.min(initial=0), values.max(initial=0)
        white = white_level(float(low), float(high), is_float=image.mode.startswith("F"))
    gray = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS):  # all at once, a huge image would take over 30 bytes per pixel
        strip = values[start : start + _ROWS].astype(np.float64)
        gray[start : start + _ROWS] = np.clip(strip * (255 / white), 0, 255).round().astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        gray[values == clear] = 255
    return Image.fromarray(gray)
