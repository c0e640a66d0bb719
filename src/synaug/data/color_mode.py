"""Decide once whether a set of images is gray or color, for everything that needs all images in one mode."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from synaug.data.codec import decoded, file_bytes
from synaug.data.manifest import Manifest
from synaug.data.pixel_modes import is_gray_mode
from synaug.errors import DataError
from synaug.runtime.quiet import without_warnings

MOST = 20_000  # images that are looked at


def color_mode(manifest: Manifest) -> str:
    """Return ``"L"`` if all images are gray and ``"RGB"`` if one is not, or if there are none.

    Files are not decoded; their headers suffice. Of larger sets, ``MOST`` evenly spaced images decide. An image that
    cannot be read does not count.
    """
    rows = np.unique(np.linspace(0, len(manifest) - 1, min(MOST, len(manifest))).astype(np.int64))
    grays = (_is_gray(manifest, int(row)) for row in rows)
    known = False
    for gray in grays:
        if gray is False:  # a color set is recognized by its first image
            return "RGB"
        known |= gray is True
    return "L" if known else "RGB"


def _is_gray(manifest: Manifest, row: int) -> bool | None:
    value = manifest.frame["image"].iat[row] if "image" in manifest.frame else None
    if isinstance(value, np.ndarray):
        return value.ndim == 2
    try:
        data = value if isinstance(value, bytes) else file_bytes(manifest.absolute_path(row))
        with without_warnings(), Image.open(io.BytesIO(data)) as image:
            return is_gray_mode(image.mode)
    except DataError:
        return None
    except Exception:  # not a format that Pillow opens by itself: decode it in the usual way
        return _decoded_is_gray(data)


def _decoded_is_gray(data: bytes) -> bool | None:
    try:
        return decoded(data).mode == "L"
    except DataError:
        return None
