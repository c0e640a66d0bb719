import base64
import io
import math

import numpy as np
import pytest
from PIL import Image

from synaug.report.svg import MAX_SIDE, confused_pairs, count_bar, curve, data_uri, recall_track


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_a_small_image_is_embedded_exactly():
    values = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    assert (np.asarray(opened(data_uri(Image.fromarray(values)))) == values).all()


def test_a_large_image_is_embedded_small_and_stays_as_it_was():
    image = Image.new("RGB", (900, 600), "teal")
    assert opened(data_uri(image)).size == (MAX_SIDE, 128)
    assert image.size == (900, 600)


def test_an_image_with_transparency_can_be_embedded():
    assert data_uri(Image.new("RGBA", (4, 4))).startswith("data:image/png;base64,")


def test_a_track_has_a_description_in_words():
    assert 'aria-label="before 56 %, after 88 %"' in recall_track(0.56, 0.88)


def test_undefined_recall_is_not_drawn():
    picture = recall_track(math.nan, 0.5)
    assert "before not measured" in picture
    assert 'class="before"' not in picture


def test_a_loss_is_drawn_as_one():
    assert "change loss" in recall_track(0.9, 0.8)
    assert "change gain" in recall_track(0.8, 0.9)


def test_an_interval_is_drawn_if_it_is_known():
    assert 'class="interval"' in recall_track(0.5, 0.6, interval=[0.5, 0.7])
    assert 'class="interval"' not in recall_track(0.5, 0.6, interval=[None, 0.7])


def test_bars_share_the_scale_of_the_table():
    picture = count_bar(10, 40, 100)
    assert 'width="10.00%"' in picture
    assert 'x="10.00%"' in picture
    assert 'width="40.00%"' in picture


def test_a_table_of_empty_classes_can_be_drawn():
    assert 'width="0.00%"' in count_bar(0, 0, 0)


def test_curves_leave_out_values_that_are_not_finite_and_escape_their_title():
    picture = curve({"a": [1.0, math.nan, 0.0]}, title='<b>"loss"')
    assert 'points="0.00,0.00 100.00,40.00"' in picture
    assert "<b>" not in picture


def test_the_most_frequent_mistakes_come_first():
    matrix = np.array([[8, 2, 0], [0, 9, 1], [5, 0, 5]])
    assert confused_pairs(matrix, ["a", "b", "c"], limit=2) == [("c", "a", 5, 0.5), ("a", "b", 2, 0.2)]


def test_without_mistakes_there_are_no_pairs():
    assert confused_pairs(np.eye(3, dtype=int), ["a", "b", "c"]) == []


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "LA"])
def test_images_of_any_mode_can_be_embedded(mode):
    assert opened(data_uri(Image.new(mode, (3, 3)))).mode == "RGB"
