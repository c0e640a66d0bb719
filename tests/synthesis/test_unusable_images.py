"""Test that a run with useless images warns, ends with exit code 3, and chooses a real-only model."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from synaug.errors import IncompleteError
from synaug.experiment import run
from synaug.pipeline.generate import check_complete
from synaug.recipes import make_recipe
from synaug.report.summary import summary
from synaug.run_directory import Run
from synaug.runtime import storage

RECIPE = {
    "plan": {"target": 28},
    "quality": {"max_attempts": 1, "max_missing": 1.0, "gates": ["broken", "copy", "leak"]},
    "cross_validate": {"folds": 0},
    "train": {"network": "resnet8", "image_size": 16, "stage1": {"steps": 4, "batch_size": 16}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixteen training photographs of each of four classes: enough for a judgment."""
    from photographs import write_photographs

    sizes = dict.fromkeys(("cat", "temple", "flower", "coffee"), 20)
    return write_photographs(tmp_path_factory.mktemp("few"), sizes=sizes, side=48)


def test_a_random_pipeline_ends_with_the_warning_and_the_real_only_model(folder, stable_diffusion, tmp_path, synaug):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    out = tmp_path / "run"
    done = synaug(
        "run", folder, "--model", stable_diffusion, "--recipe", tmp_path / "recipe.yaml", "--out", out,
        "--methods", "cross_entropy,synaug_stage1,synaug",
    )  # fmt: skip
    assert done.code == 3, done.err
    report = json.loads((out / "report.json").read_text())
    assert report["synthesis"]["accepted"] > 20  # the gates selected here accept them
    assert not report["audit"]["usable"]
    assert report["classifier"] == "cross_entropy"
    page, printed = (out / "report.html").read_text(), " ".join(done.out.split())
    assert printed.startswith("Warning:")
    for place in (page[: page.index("<nav")], printed):
        assert "Warning: The synthetic images are unusable" in place
        assert "hands over cross-entropy" in place
    table = (out / "predictions.csv").read_text()
    assert table == (out / "checkpoints" / "cross_entropy-0" / "predictions.csv").read_text()
    assert "light-red" in page
    status = synaug("predict", out, next((folder / "cat").iterdir()))
    assert "cross_entropy" in status.out
    assert storage.read_json(out / "gap.json")["audit"]["overall"]["color"] == "red"


class Noise:
    """Independent pixels, which the gate ``noise`` rejects."""

    def __call__(self, prompts, *, seeds):
        for seed in seeds:
            yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 48, 3), np.uint8))


def test_a_generator_whose_images_are_all_rejected_gives_the_same_warning_and_model(folder, tmp_path, synaug):
    recipe = make_recipe(RECIPE | {"quality": {"gates": ["broken", "noise"], "max_attempts": 1}})
    report = run(folder, tmp_path / "run", recipe, generator=Noise(), methods=("cross_entropy", "synaug_stage1"))
    assert report["synthesis"]["accepted"] == 0
    assert not report["audit"]["usable"]
    assert report["classifier"] == "cross_entropy"
    said = summary(report)[0]
    assert said.startswith(
        "Warning: The synthetic images are unusable: the gates rejected 48 of 48 generated images, most often as noise."
    )
    assert 'class="lead alarm"' in (tmp_path / "run" / "report.html").read_text()
    with pytest.raises(IncompleteError):
        check_complete(Run.open(tmp_path / "run"))


def test_the_plan_names_classes_that_cannot_be_judged(tmp_path, synaug):
    from photographs import write_photographs

    data = write_photographs(tmp_path / "data", sizes={"cat": 14, "temple": 14, "motorcycle": 5}, side=48)
    done = synaug("plan", data, "--out", tmp_path / "run", "--model", "embedded")
    assert "Cannot judge motorcycle (4 images)" in " ".join(done.out.split())
    as_json = synaug("plan", data, "--out", tmp_path / "other", "--model", "embedded", "--json")
    assert json.loads(as_json.out)["cannot_judge"] == {"motorcycle": 4}
