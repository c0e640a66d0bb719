"""Test that the encoding is detected from files written with a known one."""

import numpy as np
import pytest
from PIL import Image

from synaug.data.images.codec import Encoding, encode
from synaug.data.manifest import from_arrays
from synaug.data.source_encoding import detect_encoding, median_size
from synaug.errors import DataError


def manifest_of(*images):
    """Return a manifest of (mode, size, encoding) or of arrays."""
    values = [np.zeros((2, 2), np.uint8)] * len(images)
    manifest = from_arrays(values, [0] * len(images), class_names=["x"])
    manifest.frame["image"] = [_content(image) for image in images]
    return manifest


def _content(image):
    if isinstance(image, np.ndarray):
        return image
    mode, size, encoding = image
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encode(Image.fromarray(noise).convert(mode), encoding)


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_quality_is_found_exactly(quality, mode):
    given = Encoding(format="JPEG", mode=mode, size=(8, 6), quality=quality)
    assert detect_encoding(manifest_of((mode, (8, 6), given))) == given


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_subsampling_is_found(subsampling):
    given = Encoding(format="JPEG", size=(16, 16), quality=80, subsampling=subsampling)
    assert detect_encoding(manifest_of(("RGB", (16, 16), given))) == given


@pytest.mark.parametrize(
    ("kind", "found"), [("PNG", "PNG"), ("WEBP", "WEBP"), ("BMP", "PNG"), ("GIF", "PNG"), ("TIFF", "PNG")]
)
def test_formats(kind, found):
    assert detect_encoding(manifest_of(("RGB", (8, 8), Encoding(format=kind)))).format == found


def test_arrays_count_as_png():
    gray = np.zeros((4, 6), np.uint8)
    assert detect_encoding(manifest_of(gray)) == Encoding(format="PNG", mode="L", size=(6, 4))


def test_the_majority_decides_the_format():
    jpeg, png = Encoding(format="JPEG", quality=80), Encoding()
    manifest = manifest_of(("RGB", (8, 8), png), ("RGB", (8, 8), jpeg), ("RGB", (8, 8), jpeg))
    assert detect_encoding(manifest) == Encoding(format="JPEG", mode="RGB", size=(8, 8), quality=80)


def test_one_image_in_color_makes_it_color():
    manifest = manifest_of(("L", (8, 8), Encoding()), ("RGB", (8, 8), Encoding()))
    assert detect_encoding(manifest).mode == "RGB"


def test_several_sizes_have_a_median():
    manifest = manifest_of(*(("RGB", size, Encoding()) for size in ((8, 8), (10, 40), (12, 20))))
    assert detect_encoding(manifest).size is None
    assert median_size(manifest) == (10, 20)


def test_only_training_images_are_read():
    manifest = manifest_of(("L", (8, 8), Encoding()), ("RGB", (9, 9), Encoding()))
    manifest.frame["split"] = ["train", "test"]
    assert detect_encoding(manifest) == Encoding(format="PNG", mode="L", size=(8, 8))


def test_without_training_images_there_is_no_encoding():
    manifest = manifest_of(np.zeros((2, 2), np.uint8))
    manifest.frame["split"] = "test"
    with pytest.raises(DataError, match="no real training images"):
        median_size(manifest)
