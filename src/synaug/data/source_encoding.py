"""Detect how the real images are encoded, so that synthetic ones can be encoded alike."""

from __future__ import annotations

import functools
import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from synaug.data.color_mode import color_mode
from synaug.data.images import Encoding, file_bytes
from synaug.data.manifest import Manifest, read_image
from synaug.errors import DataError
from synaug.runtime import without_warnings

SAMPLE = 500
_LOSSLESS = "PNG"


@dataclass(frozen=True)
class _Look:
    format: str
    size: tuple[int, int]
    quality: int | None = None
    subsampling: int | None = None


def detect_encoding(manifest: Manifest) -> Encoding:
    """Return the encoding of the training images, judged by at most ``SAMPLE`` evenly spaced ones.

    The format is the most frequent of PNG, JPEG and WebP; other formats and arrays in memory count as PNG. The mode is
    gray only if all training images are gray; the size is None if it varies; the JPEG quality is the median estimate
    from the quantization tables, and the color subsampling is the most frequent one.

    Raises:
        DataError: no training image can be read.
    """
    looks = _looks(manifest)
    real = manifest.split("train")
    kind = Counter(look.format for look in looks).most_common(1)[0][0]
    sizes = {look.size for look in looks}
    qualities = [look.quality for look in looks if look.format == kind and look.quality is not None]
    samplings = [look.subsampling for look in looks if look.format == kind and look.subsampling is not None]
    return Encoding(
        format=kind,
        mode=color_mode(real.rows(~real.is_synthetic)),
        size=sizes.pop() if len(sizes) == 1 else None,
        quality=int(np.median(qualities)) if qualities else Encoding.quality,
        subsampling=Counter(samplings).most_common(1)[0][0] if samplings else Encoding.subsampling,
    )


def median_size(manifest: Manifest) -> tuple[int, int]:
    """Return the median width and height of the training images, from the same sample.

    Raises:
        DataError: no training image can be read.
    """
    width, height = np.median([look.size for look in _looks(manifest)], axis=0)
    return round(float(width)), round(float(height))


def _looks(manifest: Manifest) -> list[_Look]:
    rows = np.flatnonzero((manifest.frame["split"] == "train").to_numpy(bool) & ~manifest.is_synthetic)
    if not len(rows):
        raise DataError("There are no real training images to take the encoding from.")
    spread = np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64))
    return [_look(manifest, int(row)) for row in rows[spread]]


def _look(manifest: Manifest, row: int) -> _Look:
    image = read_image(manifest, row)
    value = manifest.frame["image"].iat[row] if "image" in manifest.frame else None
    if isinstance(value, np.ndarray):
        return _Look(_LOSSLESS, image.size)
    data = value if isinstance(value, bytes) else file_bytes(manifest.absolute_path(row))
    with without_warnings(), Image.open(io.BytesIO(data)) as opened:
        kind = {"MPO": "JPEG"}.get(opened.format or "", opened.format)
        tables = getattr(opened, "quantization", None)
        sampling = get_sampling(opened) if isinstance(opened, JpegImageFile) and opened.mode == "RGB" else -1
    if kind == "JPEG" and tables:
        return _Look("JPEG", image.size, jpeg_quality(tables), sampling if sampling >= 0 else None)
    return _Look("WEBP" if kind == "WEBP" else _LOSSLESS, image.size)


def jpeg_quality(tables: dict[int, list[int]]) -> int:
    """Return the quality, 1 to 100, whose libjpeg luminance table is nearest to the given one."""
    distances = np.abs(_known_tables() - np.array(tables[0])).sum(axis=1)
    return int(distances.argmin()) + 1


@functools.cache
def _known_tables() -> np.ndarray:
    """Return the luminance tables of all qualities as Pillow writes them, shape ``(100, 64)``."""
    tables = []
    for quality in range(1, 101):
        buffer = io.BytesIO()
        Image.new("L", (8, 8)).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as image:
            tables.append(image.quantization[0])  # type: ignore[attr-defined]
    return np.array(tables)
