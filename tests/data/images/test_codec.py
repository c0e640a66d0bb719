"""Test images: decoding, rejections with reasons, and lossless properties of encoding."""

import contextlib
import io
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from synaug.data.images import codec
from synaug.data.images.codec import Encoding, decoded, encode, encoded, file_bytes, read_file
from synaug.data.images.pixel_modes import plain_mode
from synaug.data.manifest import from_arrays, read_image
from synaug.errors import DataError
from synaug.runtime.quiet import without_warnings

NOISE = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back_exactly(kind):
    assert (np.asarray(decoded(saved(Image.fromarray(NOISE), kind))) == NOISE).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_come_back_alike(kind):
    image = decoded(saved(Image.fromarray(NOISE // 4 + 96), kind))
    assert (image.mode, image.size) == ("RGB", (12, 16))
    assert np.abs(np.asarray(image, int) - (NOISE // 4 + 96)).mean() < 16


def test_the_suffix_does_not_matter(tmp_path):
    (tmp_path / "a.jpg").write_bytes(saved(Image.fromarray(NOISE), "PNG"))
    assert (np.asarray(read_file(tmp_path / "a.jpg")) == NOISE).all()


def test_cmyk_becomes_rgb():
    image = decoded(saved(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"))
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image)[0, 0].astype(int) - (255, 0, 0)).max() < 10


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (65535, 255), (257, 1), (128 * 257, 128)])
def test_sixteen_bits_become_eight(value, expected):
    image = decoded(saved(Image.fromarray(np.full((4, 4), value, np.uint16))))
    assert (image.mode, image.getpixel((0, 0))) == ("L", expected)


def test_transparent_pixels_become_white():
    clear, solid = Image.new("RGBA", (2, 2), (255, 0, 0, 0)), Image.new("LA", (2, 2), (7, 255))
    assert decoded(saved(clear)).getpixel((0, 0)) == (255, 255, 255)
    assert decoded(saved(Image.new("LA", (2, 2), (7, 0)))).getpixel((0, 0)) == 255
    assert (decoded(saved(solid)).mode, decoded(saved(solid)).getpixel((0, 0))) == ("L", 7)


def test_palette_with_transparency():
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 0)
    back = decoded(saved(image, transparency=0))
    assert [back.getpixel((0, 0)), back.getpixel((1, 1))] == [(255, 255, 255), (255, 0, 0)]


def test_black_and_white_becomes_gray():
    image = decoded(saved(Image.new("1", (2, 2), 1)))
    assert (image.mode, image.getpixel((0, 0))) == ("L", 255)


def test_of_an_animation_the_first_picture_is_taken():
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    image = decoded(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert image.getpixel((0, 0)) == (255, 0, 0)


def test_rotated_photos_become_upright():
    photo, exif = Image.new("RGB", (8, 4)), Image.Exif()
    exif[0x0112] = 6
    assert decoded(saved(photo, "JPEG", exif=exif)).size == (4, 8)


# ---------------------------------------------------------------- rejected


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_half_an_image_is_refused(kind):
    data = saved(Image.fromarray(NOISE), kind)
    with pytest.raises(DataError, match=r"cannot be decoded|is not an image"):
        decoded(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"\0", b"no image at all", b"%PDF-1.4", b"<svg/>"])
def test_bytes_that_are_not_an_image_are_refused(data):
    with pytest.raises(DataError, match=r"is not an image of the formats PNG, JPEG"):
        decoded(data)


def test_formats_that_are_not_on_the_list_are_refused():
    with pytest.raises(DataError, match=r"is not an image of the formats"):
        decoded(saved(Image.new("RGB", (16, 16)), "ICO"))


def test_too_many_pixels_are_an_error():
    with pytest.raises(DataError, match=r"10000.*5001.*50,000,000"):
        decoded(saved(Image.new("1", (10_000, 5_001))))


def test_a_bomb_is_an_error_without_being_inflated():
    with pytest.raises(DataError, match=r"decompression bomb"):
        decoded(saved(Image.new("1", (20_000, 20_000))))


def test_too_many_bytes_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(codec, "MAX_BYTES", 10)
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(NOISE)))
    for call in (lambda: read_file(tmp_path / "a.png"), lambda: decoded(b"x" * 11)):
        with pytest.raises(DataError, match=r"bytes; at most 10"):
            call()


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"P6 "])
)
def test_garbage_is_a_data_error_or_an_image(data, start):
    with contextlib.suppress(DataError):
        assert decoded(start + data).mode in ("L", "RGB")


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_a_data_error_or_an_image(position, value):
    data = bytearray(saved(Image.fromarray(NOISE), "PNG"))
    data[position % len(data)] = value
    with contextlib.suppress(DataError):
        assert decoded(bytes(data)).mode in ("L", "RGB")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"a.png cannot be read: No such file or directory"):
        read_file(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"is a folder, not a file"):
        file_bytes(tmp_path)


def test_a_broken_image_in_memory_is_named_by_its_id():
    manifest = from_arrays(NOISE[None], [0], class_names=["x"])
    manifest.frame["image"] = [b"broken"]
    with pytest.raises(DataError, match=r"The image image-0000000 is not an image"):
        read_image(manifest, 0)


# ---------------------------------------------------------------- encoding and warnings


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_encode_keeps_the_mode(mode):
    image = Image.fromarray(NOISE).convert(mode)
    assert decoded(encode(image, Encoding())).mode == mode


def test_lower_quality_is_smaller():
    image = Image.fromarray(NOISE)
    sizes = [len(encode(image, Encoding(format=kind, quality=q))) for kind in ("JPEG", "WEBP") for q in (95, 10)]
    assert sizes[0] > sizes[1]
    assert sizes[2] > sizes[3]


def test_arrays_are_encoded_and_bytes_stay():
    assert (np.asarray(decoded(encoded(NOISE))) == NOISE).all()
    assert encoded(b"as it is") == b"as it is"


def test_overlapping_threads_leave_the_warnings_as_they_were():
    before, inside = list(warnings.filters), threading.Barrier(2)

    def first():
        with without_warnings():
            inside.wait()
        inside.wait()

    def second():
        inside.wait()
        with without_warnings():
            inside.wait()

    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


@pytest.mark.parametrize("height", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(("mode", "most"), [("I;16", 65535), ("I", 65535), ("I", 255), ("F", 1.0)])
def test_wide_values_are_converted_by_strips_as_if_at_once(height, mode, most):
    values = np.random.default_rng(height).random((height, 5)) * most
    values[-1, -1] = most  # occurs only in the last strip
    image = Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    whole = np.asarray(image, np.float64) * (255 / most)
    assert np.array_equal(np.asarray(plain_mode(image)), np.clip(whole, 0, 255).round().astype(np.uint8))


# ---------------------------------------------------------------- every mode and format

GRADIENT = np.linspace(0, 255, 256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (GRADIENT.astype(np.float32) / 255, "TIFF"),
        (GRADIENT.astype(np.float32), "TIFF"),
        (GRADIENT.astype(np.float32) * 257, "TIFF"),
        (GRADIENT.astype(np.int32), "TIFF"),
        (GRADIENT.astype(np.int32) * 257, "TIFF"),
        (GRADIENT.astype(np.uint16) * 257, "TIFF"),
        (GRADIENT.astype(np.uint16) * 257, "PNG"),
        (GRADIENT.astype(np.uint16), "PNG"),  # eight bits in a file of sixteen
    ],
)
def test_other_ranges_are_scaled_to_eight_bits(values, kind):
    image = decoded(saved(Image.fromarray(values), kind))
    assert image.mode == "L"
    assert np.abs(np.asarray(image, int) - GRADIENT).max() <= 1


@pytest.mark.parametrize("values", [[-1.0, 1.0], [0.0, np.nan], [0.0, np.inf], [0.0, 4.0], [0.0, 1e6]])
def test_ranges_that_would_have_to_be_guessed_are_refused(values):
    with pytest.raises(DataError, match="pixels"):
        decoded(saved(Image.fromarray(np.array([values], np.float32)), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "LA", "PA", "I", "F", "I;16"])
def test_every_mode_that_a_file_can_have_looks_right(mode):
    gray = Image.fromarray(np.where(GRADIENT > 127, 255, 0).astype(np.uint8))
    if mode == "LAB":
        image = Image.merge("LAB", [gray, Image.new("L", (16, 16), 128), Image.new("L", (16, 16), 128)])
    else:
        image = gray.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else gray.convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(gray, np.uint16) * 257)
    back = (
        decoded(saved(image, "PNG" if mode in ("1", "P", "LA", "I;16") else "TIFF"))
        if mode != "PA"
        else plain_mode(image)
    )
    assert back.mode in ("L", "RGB")
    assert np.abs(np.asarray(back.convert("L"), int) - np.asarray(gray)).max() <= 2


@pytest.mark.parametrize(("mode", "clear"), [("L", 7), ("RGB", (7, 7, 7)), ("I;16", 7)])
def test_a_color_key_is_transparent(mode, clear):
    values = np.full((2, 2) if mode != "RGB" else (2, 2, 3), 7, np.uint16 if mode == "I;16" else np.uint8)
    values[0, 0] = 100
    back = decoded(saved(Image.fromarray(values), transparency=clear))
    assert np.asarray(back.convert("L")).tolist() == [[100, 255], [255, 255]]


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PCX", "SGI", "QOI", "TGA", "DIB", "MPO"])
def test_further_formats_are_read(kind):
    smooth = Image.fromarray(np.repeat(GRADIENT[..., None], 3, 2))
    image = decoded(saved(smooth, kind))
    assert (image.mode, image.size) == ("RGB", (16, 16))
    assert np.abs(np.asarray(image, int) - np.asarray(smooth)).mean() < 8


def heic():
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(NOISE // 4 + 96).resize((64, 64))).save(buffer)
    return buffer.getvalue()


def test_photos_of_phones_are_read():
    image = decoded(heic())
    assert (image.mode, image.size) == ("RGB", (64, 64))


def test_photos_of_phones_name_the_extra_that_reads_them(monkeypatch):
    data = heic()
    codec._register_heif.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DataError, match=r"synaug\[heic\]"):
        decoded(data)
    codec._register_heif.cache_clear()


def test_images_are_recognized_by_content(tmp_path):
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI"):
        assert codec.is_image_start(saved(Image.fromarray(NOISE), kind)[:64])
    for data in (b"", b"text", b"%PDF-1.4", b"PK\3\4", b"<html>", b"\0" * 64):
        assert not codec.is_image_start(data)
