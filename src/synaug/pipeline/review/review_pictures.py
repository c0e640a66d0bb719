"""Encode images for a browser."""

from __future__ import annotations

import io

from PIL import Image

from synaug.data.images import Encoding, encode

THUMBNAIL = 256  # pixels a side


def encoded_for_browser(image: Image.Image, *, whole: bool) -> tuple[str, bytes]:
    """Return the media type and the bytes of an image, at most ``THUMBNAIL`` pixels a side unless ``whole``."""
    if max(image.size) > THUMBNAIL and not whole:
        image = image.copy()
        image.thumbnail((THUMBNAIL, THUMBNAIL))
    if max(image.size) <= THUMBNAIL // 2:  # small images stay exact
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", compress_level=1)
        return "image/png", buffer.getvalue()
    return "image/jpeg", encode(image, Encoding(format="JPEG", quality=90))
