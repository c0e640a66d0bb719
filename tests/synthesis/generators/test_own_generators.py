"""Generators that a recipe names: run only if trusted, part of the plan, and named in every error and image."""

import json

import numpy as np
import pytest
import yaml

from synaug.errors import OptionError
from synaug.runtime import storage
from synaug.runtime.security import own_code
from synaug.runtime.security.trust import trusting
from synaug.synthesis.generators.own_generators import load_own_generator

DRAW = """
from pathlib import Path
import numpy as np
from PIL import Image

Path("{mark}").write_text("ran")


def draw(prompts, *, seeds):
    for seed in seeds:
        yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (28, 28), np.uint8))


class Painter:
    batch_size = 3
    about = {{"license": "mit"}}

    def __init__(self, image_size):
        self.size = image_size

    def __call__(self, prompts, *, seeds, negative_prompts=None):
        return [Image.new("L", self.size, len(text)) for text in negative_prompts or prompts]


def factory(class_names):
    return draw if class_names else None


def broken(prompts, *, seeds):
    raise ValueError("no ink")


word = "text"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "draw.py"
    path.write_text(DRAW.format(mark=tmp_path / "mark"))
    own_code._run.cache_clear()
    return path


@pytest.fixture
def recipe(file, tmp_path):
    path = tmp_path / "recipe.yaml"
    options = {
        "generate": {"generator": f"{file}:draw"}, "plan": {"target": 10}, "quality": {"gates": ["broken"]},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(options))
    return path


def loaded(file, name, **settings):
    with trusting(str(file)):
        return load_own_generator(f"{file}:{name}", **settings)


def test_functions_classes_and_factories_make_generators(file):
    assert len(loaded(file, "draw")(["a"], seeds=[1])) == 1
    painter = loaded(file, "Painter", image_size=(5, 4), class_names=("a",))
    (image,) = painter(["abc"], seeds=[0])
    assert (image.size, painter.batch_size, painter.about["license"]) == ((5, 4), 3, "mit")
    assert painter.about["weights"] == storage.file_digest(file)
    first, second = (loaded(file, name, class_names=("a",))(["a"], seeds=[7])[0] for name in ("draw", "factory"))
    assert np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("drwa", "Did you mean 'draw'"),
        ("word", "must be a class or function"),
        ("Painter", "cannot be created"),
        ("factory", "must be a function"),
    ],
)
def test_code_that_makes_no_generator_is_named(file, name, words):
    with pytest.raises(OptionError, match=words):
        loaded(file, name, **({} if name == "Painter" else {"class_names": ()}))


def test_an_error_of_the_code_names_it(file):
    with pytest.raises(OptionError, match=r"draw\.py:broken failed: ValueError: no ink"):
        loaded(file, "broken")(["a"], seeds=[1])


def test_code_of_a_recipe_is_not_run_until_it_is_confirmed(synaug, photos, file, recipe, tmp_path):
    mark, out = tmp_path / "mark", tmp_path / "run"
    refused = synaug("plan", photos, "--recipe", recipe, "--out", out)
    assert (refused.code, mark.exists(), out.exists()) == (2, False, False)
    assert f"--trust {storage.file_digest(file)}" in refused.err
    assert synaug("run", photos, "--recipe", recipe, "--out", out).code == 2
    planned = synaug("plan", photos, "--recipe", recipe, "--out", out, "--trust", file)
    assert planned.code == 0, planned.err
    assert "draw.py:draw" in planned.out
    assert str(tmp_path) not in json.loads((out / "plan.json").read_text())["cells"][0]["prompts"]
    assert synaug("generate", out).code == 2
    assert not mark.exists()
    done = synaug("generate", out, "--trust", storage.file_digest(file))
    assert (done.code, mark.exists()) == (0, True), done.err
    run, *attempts = map(json.loads, next((out / "journal").glob("worker*")).read_text().splitlines())
    assert (run["about"]["model"], run["about"]["weights"]) == ("draw.py:draw", storage.file_digest(file))
    assert {each["verdict"] for each in attempts} == {"accepted"}


def test_changed_code_does_not_continue_the_images_of_the_old_one(synaug, photos, file, recipe, tmp_path):
    out = tmp_path / "run"
    assert synaug("plan", photos, "--out", out, "--recipe", recipe, "--generator", f"{file}:draw").code == 0
    assert synaug("generate", out, "--generator", f"{file}:draw").code == 0
    journal = next((out / "journal").glob("worker*"))
    journal.write_text("".join(line + "\n" for line in journal.read_text().splitlines()[:5]))
    file.write_text(file.read_text() + "\n# another version\n")
    again = synaug("generate", out, "--generator", f"{file}:draw")
    assert again.code == 4
    assert "are not those" in again.err


def test_the_code_can_be_named_for_a_planned_run_before_its_first_image(synaug, photos, file, tmp_path):
    out = tmp_path / "run"
    assert synaug("plan", photos, "--model", "embedded", "--out", out, "--set", "quality.gates=[broken]").code == 0
    done = synaug("generate", out, "--generator", f"{file}:draw")
    assert done.code == 0, done.err
    assert synaug("generate", out, "--model", "other/model").code == 2
    other = synaug("generate", out, "--set", "train.network=resnet8")
    assert "cannot be changed by 'synaug generate'" in other.err
    assert synaug("generate", out, "--set", "quality.max_missing=0.5", "--trust", file).code == 0
