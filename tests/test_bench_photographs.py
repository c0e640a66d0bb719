"""Test that stamps have a fixed split, composed images follow from their seeds, and the table is complete."""

import math

import numpy as np
import pytest
from PIL import Image

from synaug.bench.cutouts import CutoutGenerator
from synaug.bench.photographs import COLUMNS, ROWS, markdown_of, run_photographs
from synaug.data.benchmarks.stamps import CLASSES, FOLDER, is_cutout, read_stamps
from synaug.errors import EnvironmentFault

installed = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the Debian package tuxpaint-stamps-default is not installed"
)


@pytest.fixture
def folder(tmp_path):
    """A small version of the package's folder: six birds, three of them drawn, and four trees."""
    rng = np.random.default_rng(0)
    for place, number in (("animals/birds", 6), ("animals/birds/cartoon", 3), ("plants/trees", 4)):
        (tmp_path / place).mkdir(parents=True)
        for position in range(number):
            pixels = rng.integers(0, 256, (30, 20, 4), dtype=np.uint8)
            pixels[..., 3] = 0
            pixels[5:25, 5:15, 3] = 255
            Image.fromarray(pixels).save(tmp_path / place / f"{position}.png")
    return tmp_path


def test_each_third_image_of_a_class_and_kind_is_for_testing(folder):
    stamps = read_stamps(folder, side=32)
    birds = stamps.data.labels == list(CLASSES).index("bird")
    assert (birds.sum(), len(stamps.data), len(stamps.cutouts)) == (9, 13, 13)
    assert stamps.data.attributes[birds].sum() == 3
    assert (stamps.data.frame["split"] == "test").sum() == 2 + 1 + 1
    assert {cutout.size for cutout in stamps.cutouts} == {(16, 32)}  # without the empty border, as large as possible


def test_a_missing_package_is_named(tmp_path):
    with pytest.raises(EnvironmentFault, match="tuxpaint-stamps-default"):
        read_stamps(tmp_path / "absent")


def test_a_composed_image_follows_from_class_and_seed(folder):
    stamps = read_stamps(folder, side=32)
    known = {"bird": stamps.cutouts[:6], "tree": stamps.cutouts[9:]}
    make = CutoutGenerator(known, side=48)
    first, again = (make(["bird", "tree"], seeds=[3, 4]) for _ in range(2))
    assert [image.tobytes() for image in first] == [image.tobytes() for image in again]
    assert first[1].tobytes() == make(["tree"], seeds=[4])[0].tobytes()
    assert first[0].size == (48, 48)
    assert first[0].tobytes() != make(["bird"], seeds=[5])[0].tobytes()


def test_an_opaque_picture_is_not_a_cutout(folder):
    assert not is_cutout(Image.new("RGBA", (8, 8), "red"))
    assert is_cutout(Image.new("RGBA", (8, 8)))


@installed
def test_the_package_has_fifteen_classes_and_more_from_thirty_images_down_to_four():
    stamps = read_stamps()
    counts = np.bincount(stamps.data.labels)
    assert len(counts) >= 15
    assert counts.max() > 30
    assert counts.min() == 4
    assert (np.bincount(stamps.data.split("test").labels, minlength=len(counts)) > 0).all()


@installed
@pytest.mark.long
def test_pretrained_features_beat_pixels_and_every_row_is_in_the_table():
    content = run_photographs(seeds=1)
    rows = {row["row"]: row for row in content["table"]}
    assert tuple(rows) == ROWS
    assert rows["linear_probe"]["accuracy"] > rows["pixels"]["accuracy"] + 0.2
    assert rows["fine_tuned"]["accuracy"] > rows["pixels"]["accuracy"] + 0.2
    assert 0.5 < content["accepted"] <= 1
    assert all(not math.isnan(rows["linear_probe"][column]) for column in COLUMNS)
    assert markdown_of(content).count("\n| ") == len(ROWS)
