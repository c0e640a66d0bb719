"""Decode and encode single images, with limits on what is accepted."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from synaug.errors import ChangedFileError, DataError
from synaug.runtime import storage
from synaug.runtime.quiet import without_warnings
from synaug.runtime.recorded import is_recorded, signature

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
MAX_PIXELS = 50_000_000
MAX_BYTES = 100_000_000


@dataclass(frozen=True)
class Encoding:
    """How images of a set are encoded, so that synthetic ones can be made alike.

    ``mode`` is ``"L"`` or ``"RGB"``; ``size`` is (width, height), or None where the set has several;
    ``quality`` is for JPEG and WebP, 1 to 100; ``subsampling`` is how JPEG stores colours: 0 in full, 1 (4:2:2) at half
    and 2 (4:2:0) at a quarter of the resolution.
    """

    format: str = "PNG"
    mode: str = "RGB"
    size: tuple[int, int] | None = None
    quality: int = 95
    subsampling: int = 2


def decoded(data: bytes) -> Image.Image:
    """Decode an image fully, turn it upright, and return it as grey (``L``) or ``RGB``.

    Raises:
        DataError: the bytes are no image of an allowed format, are too large, or are cut short.
    """
    if len(data) > MAX_BYTES:
        raise DataError(f"has {len(data):,} bytes; allowed are {MAX_BYTES:,}")
    try:
        with without_warnings():
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"has {image.width} x {image.height} pixels; allowed are {MAX_PIXELS:,} in all")
            image.load()
            upright = ImageOps.exif_transpose(image)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"is not an image of the formats {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise DataError(f"cannot be decoded: {error}") from error
    return plain_mode(upright)


def plain_mode(image: Image.Image) -> Image.Image:
    """Return the image as ``L`` or ``RGB``; what is transparent becomes white, 16 bits become 8."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa"):
        straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)
        rgba = image.convert(straight).convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("L" if straight == "LA" else "RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, np.float64))
    is_wide = image.mode.startswith("I;16") or values.max(initial=0) > 255
    return Image.fromarray(np.clip(values / (257 if is_wide else 1), 0, 255).round().astype(np.uint8))


def encoded(value: bytes | np.ndarray) -> bytes:
    """Return encoded bytes: as they are, or an array as PNG."""
    if isinstance(value, bytes):
        return value
    return encode(Image.fromarray(value), Encoding())


def encode(image: Image.Image, encoding: Encoding) -> bytes:
    """Encode an image in the format, quality and colour mode of a set, without changing its size."""
    buffer = io.BytesIO()
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    options = {"quality": encoding.quality} if encoding.format in ("JPEG", "WEBP") else {}
    if encoding.format == "JPEG" and image.mode == "RGB":
        options["subsampling"] = encoding.subsampling
    image.save(buffer, format=encoding.format, **options)
    return buffer.getvalue()


def read_file(path: Path, *, sha256: str = "") -> Image.Image:
    """Decode an image file; errors name it.

    Args:
        path: of the file.
        sha256: the digest that was recorded of it; without one, any content is accepted.

    Raises:
        DataError: the file cannot be read or decoded.
        ChangedFileError: its digest is another, or it is missing.
    """
    try:
        return decoded(recorded_bytes(path, sha256) if sha256 else file_bytes(path))
    except ChangedFileError:
        raise
    except DataError as error:
        raise DataError(f"{path} {error}.") from error


def recorded_bytes(path: Path, sha256: str) -> bytes:
    """Return the bytes of an image file whose digest was recorded.

    Raises:
        DataError: it is no regular file, or too large to be looked at.
        ChangedFileError: its digest is another, or it cannot be read.
    """
    try:
        before = os.stat(path)
        data = file_bytes(path)
        is_steady = signature(os.stat(path)) == signature(before)
    except OSError as error:
        raise ChangedFileError(f"{path} cannot be read: {error.strerror}. Restore it, or plan again.", path) from error
    # a file that changes while it is read has no signature that the cache could know it by
    is_right = is_recorded(path, before, sha256, data) if is_steady else storage.digest(data) == sha256
    if not is_right:
        raise ChangedFileError(
            f"{path} changed: it is not what was recorded. Restore it, or plan again with the data as they are.",
            path,
        )
    return data


def file_bytes(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        DataError: it is missing, no regular file, or too large to be looked at.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise DataError("is not a file")
        if about.st_size > MAX_BYTES:
            raise DataError(f"has {about.st_size:,} bytes; allowed are {MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
