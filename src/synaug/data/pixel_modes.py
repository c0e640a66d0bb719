"""Turn an image of any Pillow mode into 8-bit grey or RGB, as a person expects it to look."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageCms

from synaug.errors import DataError

_ALMOST_ONE = 1.05  # resampling a picture from 0 to 1 overshoots a little
_LEAST_EIGHT_BIT = 16  # floats between both may be radiance, or anything else
_SIXTEEN_BIT = 65535


def plain_mode(image: Image.Image) -> Image.Image:
    """Return the image as ``L`` or ``RGB``: transparent pixels become white, 16 bits and floats become 8 bits.

    Raises:
        DataError: the range of the pixels is not one that can be scaled without guessing.
    """
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        rgba = image.convert("RGBA")
        return _on_white(rgba, grey=image.mode in ("1", "L"))
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa"):
        straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
        return _on_white(straight.convert("RGBA"), grey=image.mode in ("LA", "La"))
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_to_rgb()) or image
    return image.convert("RGB")


def _on_white(rgba: Image.Image, *, grey: bool) -> Image.Image:
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("L" if grey else "RGB")


@functools.cache
def _lab_to_rgb() -> ImageCms.ImageCmsTransform:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, rgb, "LAB", "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale by the range that the values are of: 0 to 1 (floats), 0 to 255, or 0 to 65,535."""
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all():
        raise DataError("has pixels that are not numbers")
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > _SIXTEEN_BIT:
        raise DataError(f"has pixels from {low:g} to {high:g}; allowed are 0 to 1 (floats), 0 to 255 and 0 to 65,535")
    if image.mode.startswith("F") and _ALMOST_ONE < high < _LEAST_EIGHT_BIT:
        raise DataError(f"has floating-point pixels up to {high:g}, neither of the range 0 to 1 nor 0 to 255")
    scale = 1.0 if high <= 255 else 255 / _SIXTEEN_BIT
    if image.mode.startswith("F") and high <= _ALMOST_ONE:
        scale = 255.0
    grey = np.clip(values * scale, 0, 255).round().astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        grey[values == clear] = 255
    return Image.fromarray(grey)
