"""Decode and encode single images, with limits on the input."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from synaug.data.images.pixel_budget import PixelBudget
from synaug.data.images.pixel_modes import plain_mode
from synaug.errors import ChangedFileError, DataError
from synaug.runtime import storage, without_warnings
from synaug.runtime.files import directories
from synaug.runtime.records import is_recorded, signature

FORMATS = (
    "PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "DIB", "PCX", "SGI", "QOI", "TGA", "HEIF",
)  # fmt: skip
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm",
    ".pfm", ".apng", ".mpo", ".avif", ".avifs", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".dib", ".pcx", ".sgi",
    ".qoi", ".tga", ".heic", ".heif", ".hif",
)  # fmt: skip
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TGA_FOOTER = b"TRUEVISION-XFILE."
_WITHOUT_MARK = ("DIB", "PCX", "SGI", "TGA", "HEIF")  # formats without a distinctive signature
_LONGEST_START = 64  # bytes of a file that suffice to recognize its format
MAX_PIXELS = 50_000_000
BUDGET = PixelBudget(MAX_PIXELS)  # of all threads together; memory of decoding thus stays below 1 GB
_POINTER = b"version https://git-lfs.github.com/spec/"
MAX_BYTES = 100_000_000


@dataclass(frozen=True)
class Encoding:
    """The encoding shared by the images of a set, so that synthetic images can be encoded alike.

    ``mode`` is ``"L"`` or ``"RGB"``; ``size`` is (width, height), or None if it varies; ``quality`` applies to JPEG and
    WebP, 1 to 100; ``subsampling`` is that of JPEG colors: 0 at full, 1 (4:2:2) at half and 2 (4:2:0) at a quarter of
    the resolution.
    """

    format: str = "PNG"
    mode: str = "RGB"
    size: tuple[int, int] | None = None
    quality: int = 95
    subsampling: int = 2


def decoded(data: bytes) -> Image.Image:
    """Decode an image fully, apply its EXIF orientation, and return it as gray (``L``) or ``RGB``.

    Raises:
        DataError: the bytes are too large, truncated, or not an image in an allowed format.
    """
    return _decoded(data, plain_mode)


def alpha_channel(data: bytes) -> Image.Image | None:
    """Return the opacity of each pixel of an encoded image, mode ``L``; None if the image has no transparency data.

    Raises:
        DataError: as in ``decoded``.
    """
    found = _decoded(data, _alpha)
    return found if found.size != (0, 0) else None


def _alpha(image: Image.Image) -> Image.Image:
    return image.convert("RGBA").getchannel("A") if image.has_transparency_data else Image.new("L", (0, 0))


def _decoded(data: bytes, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Decode an image fully, turn it upright, and return it converted."""
    if len(data) > MAX_BYTES:
        raise DataError(f"has {len(data):,} bytes; at most {MAX_BYTES:,} are allowed")
    try:
        with without_warnings():
            image = Image.open(io.BytesIO(data), formats=_formats_for(data))
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"has {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are allowed")
            with BUDGET.reserved(image.width * image.height):
                image.load()
                return convert(ImageOps.exif_transpose(image))
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise DataError(f"is not an image of the formats {', '.join(FORMATS)}{_what_it_is(data)}") from None
    except Exception as error:  # Pillow raises many types for damaged files
        raise DataError(f"cannot be decoded: {error}") from error


def _what_it_is(data: bytes) -> str:
    """Return why a file is not an image, if the user can repair that; otherwise an empty text."""
    if not data:
        return "; the file is empty"
    if data.startswith(_POINTER):
        return "; it is a Git LFS pointer: get the images with 'git lfs pull'"
    return ""


def is_image_start(start: bytes) -> bool:
    """Return whether a file with these first bytes is an image, judged by the signature of its format."""
    if len(start) < 16:
        return False
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return True
    accepts = [Image.OPEN[name][1] for name in _installed() if name not in _WITHOUT_MARK and name in Image.OPEN]
    return any(accept is not None and accept(start[:16]) is True for accept in accepts)


def starts_like_an_image(path: Path) -> bool:
    """Return whether a file's content is an image, whatever its name; False if it cannot be read."""
    try:
        with directories.opened_file(path) as handle:
            return is_image_start(os.read(handle, _LONGEST_START))
    except (OSError, DataError):
        return False


@functools.cache
def _installed() -> tuple[str, ...]:
    """Return the allowed formats that the installed Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN and (name != "AVIF" or features.check("avif")))


def _formats_for(data: bytes) -> tuple[str, ...]:
    """Return the formats that the encoded bytes may have.

    Raises:
        DataError: the format is HEIC and the package that reads it is missing.
    """
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        _register_heif()
        return ("HEIF",)
    # TGA has no signature at its start, so almost anything can pass for it: require the one in its footer
    return tuple(name for name in _installed() if name != "TGA" or data[-18:].startswith(_TGA_FOOTER))


@functools.cache
def _register_heif() -> None:
    try:
        import pillow_heif
    except ModuleNotFoundError:
        raise DataError("is a HEIC image; to read it, install pillow-heif with: pip install 'synaug[heic]'") from None
    pillow_heif.register_heif_opener(thumbnails=False)


def encoded(value: bytes | np.ndarray) -> bytes:
    """Return encoded bytes unchanged, and an array as PNG."""
    if isinstance(value, bytes):
        return value
    return encode(Image.fromarray(value), Encoding())


def suffix_of(image_format: str) -> str:
    """Return the file suffix of a format.

    >>> suffix_of("JPEG"), suffix_of("PNG")
    ('.jpg', '.png')
    """
    return {"JPEG": ".jpg", "TIFF": ".tif"}.get(image_format, f".{image_format.lower()}")


def encode(image: Image.Image, encoding: Encoding) -> bytes:
    """Encode an image in the format, quality and color mode of ``encoding``, without resizing it."""
    buffer = io.BytesIO()
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    options = {"quality": encoding.quality} if encoding.format in ("JPEG", "WEBP") else {}
    if encoding.format == "JPEG" and image.mode == "RGB":
        options["subsampling"] = encoding.subsampling
    image.save(buffer, format=encoding.format, **options)
    return buffer.getvalue()


def read_file(path: Path, *, sha256: str = "") -> Image.Image:
    """Return the decoded image of a file; errors contain its path.

    Args:
        path: path of the file.
        sha256: its recorded digest; if empty, any content is accepted.

    Raises:
        DataError: the file cannot be read or decoded.
        ChangedFileError: the file is missing or does not match the digest.
    """
    try:
        return decoded(recorded_bytes(path, sha256) if sha256 else file_bytes(path))
    except ChangedFileError:
        raise
    except DataError as error:
        raise DataError(f"{path} {error}.") from error


def recorded_bytes(path: Path, sha256: str) -> bytes:
    """Return the bytes of an image file after comparing them with the recorded digest.

    Raises:
        DataError: the file is not a regular file, or is larger than ``MAX_BYTES``.
        ChangedFileError: it does not match the digest or cannot be read.
    """
    try:
        before = os.stat(path)
        data = file_bytes(path)
        is_steady = signature(os.stat(path)) == signature(before)
    except OSError as error:
        raise ChangedFileError(f"{path} cannot be read: {error.strerror}. Restore it, or plan again.", path) from error
    # a file that changes while being read has no signature to cache its digest under
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
        DataError: it is missing, not a regular file, or larger than ``MAX_BYTES``.
    """
    try:
        with directories.opened_file(path) as handle, open(handle, "rb", closefd=False) as file:
            size = os.fstat(handle).st_size
            data = b"" if size > MAX_BYTES else file.read(MAX_BYTES + 1)  # files in /proc report size 0, may be endless
    except DataError as error:
        raise DataError(str(error).removeprefix(f"{path} ").rstrip(".")) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
    if max(size, len(data)) > MAX_BYTES:
        raise DataError(f"has {max(size, len(data)):,} bytes; at most {MAX_BYTES:,} are allowed")
    return data
