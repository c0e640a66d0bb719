"""Test a few images per class before the cost of hundreds."""

import numpy as np
import pytest
from PIL import Image

from synaug.errors import OptionError
from synaug.pipeline.preview.try_model import PER_CLASS, traffic_light, try_model
from synaug.runtime import storage


@pytest.fixture
def colors(tmp_path):
    """Thirty red and thirty blue images, and four green ones."""
    rng = np.random.default_rng(0)
    for name, color, number in (("red", (200, 60, 60), 30), ("blue", (60, 60, 200), 30), ("green", (60, 200, 60), 4)):
        storage.make_folder(tmp_path / "data" / name)
        for image in range(number):
            values = np.clip(rng.normal(color, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(values).save(tmp_path / "data" / name / f"{image}.png")
    return tmp_path / "data"


def always_red(prompts, *, seeds):
    """A stand-in for a model that draws one class for every prompt."""
    rng = np.random.default_rng(1)
    values = np.clip(rng.normal((200, 60, 60), 30, (len(prompts), 16, 16, 3)), 0, 255).astype(np.uint8)
    return [Image.fromarray(each) for each in values]


def test_each_class_gets_a_light_and_a_page(colors, recipe, tmp_path):
    content = try_model(colors, recipe, tmp_path / "try", generator=always_red)
    assert {name: row["light"] for name, row in content["classes"].items()} == {
        "red": "green", "blue": "red", "green": "unknown",
    }  # fmt: skip
    assert all(row["of"] == PER_CLASS for row in content["classes"].values())
    assert "red" in content["classes"]["red"]["best_prompt"]
    assert len(list((tmp_path / "try").glob("class-*.html"))) == 3


def test_a_folder_that_holds_something_is_left_alone(colors, recipe, tmp_path):
    storage.make_folder(tmp_path / "try" / "mine")
    with pytest.raises(OptionError):
        try_model(colors, recipe, tmp_path / "try", generator=always_red)


def test_the_light_follows_the_share_that_is_recognized():
    lights = [traffic_light(number, 4, num_real=40, recall=0.9) for number in range(5)]
    assert lights == ["red", "red", "yellow", "green", "green"]
    assert traffic_light(4, 4, num_real=40, recall=0.3) == "unknown"


def test_the_command_tries_the_embedded_model(photos, synaug, tmp_path):
    printed = synaug("try", photos, "--model", "embedded", "--out", tmp_path / "try")
    assert printed.code == 0, printed.err
    assert "ankle boot" in printed.out
    assert (tmp_path / "try" / "index.html").is_file()
