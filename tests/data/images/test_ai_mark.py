"""Test the IPTC mark: in every format, readable by Pillow, inserted once, and without changing a pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from synaug.data.images.ai_mark import is_marked, marked
from synaug.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
FORMS = [
    ("PNG", "RGB", {}),
    ("PNG", "L", {}),
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"quality": 30}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGBA", {}),
    ("WEBP", "RGB", {"exif": Image.Exif()}),
]


def saved(kind, mode, options):
    buffer = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def xmp_of(image):
    return image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()


@pytest.mark.parametrize("form", FORMS, ids=lambda case: f"{case[0]}-{case[1]}-{'-'.join(case[2])}")
def test_the_mark_is_read_by_pillow_and_the_pixels_stay(form):
    before = saved(*form)
    after = marked(before)
    assert not is_marked(before)
    assert is_marked(after)
    with Image.open(io.BytesIO(before)) as plain, Image.open(io.BytesIO(after)) as image:
        assert (np.asarray(plain) == np.asarray(image)).all()
        assert (plain.mode, plain.size) == (image.mode, image.size)
        assert b"digitalsourcetype/trainedAlgorithmicMedia<" in xmp_of(image)


@pytest.mark.parametrize("form", FORMS[::2], ids=lambda case: f"{case[0]}-{case[1]}-{'-'.join(case[2])}")
def test_the_mark_of_image_to_image(form):
    with Image.open(io.BytesIO(marked(saved(*form), from_real=True))) as image:
        assert b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia<" in xmp_of(image)


def test_the_mark_is_put_in_once():
    once = marked(saved(*FORMS[0]))
    assert marked(once) == once
    assert len(once) - len(saved(*FORMS[0])) < 600


def test_exif_stays_before_the_mark():
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(marked(saved("JPEG", "RGB", {"exif": exif})))) as image:
        assert image.getexif()[0x0112] == 6


def test_other_formats_have_no_place_for_it():
    with pytest.raises(DataError, match="is not PNG, JPEG or WebP"):
        marked(saved("BMP", "RGB", {}))
