"""Decide whether a set of images is gray or color, once for everything that needs a single mode."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from synaug.data.images import decoded, file_bytes, is_gray_mode
from synaug.data.manifest import Manifest
from synaug.errors import DataError
from synaug.runtime import without_warnings

MOST = 20_000  # images that are examined


def color_mode(manifest: Manifest) -> str:
    """Return ``"L"`` if all images are gray, otherwise (or if there are none) ``"RGB"``.

    Only file headers are read. In larger sets, ``MOST`` evenly spaced images decide. Unreadable images are ignored.
    """
    rows = np.unique(np.linspace(0, len(manifest) - 1, min(MOST, len(manifest))).astype(np.int64))
    grays = (_is_gray(manifest, int(row)) for row in rows)
    known = False
    for gray in grays:
        if gray is False:  # in most color sets the first image decides
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
    except Exception:  # Pillow cannot open it by itself: decode it the usual way
        return _decoded_is_gray(data)


def _decoded_is_gray(data: bytes) -> bool | None:
    try:
        return decoded(data).mode == "L"
    except DataError:
        return None
