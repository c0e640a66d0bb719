"""Test that a run with useless images warns, ends with exit code 3, and chooses a real-only model."""

import json

import pytest
import yaml

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
    run = tmp_path / "run"
    done = synaug(
        "run", folder, "--model", stable_diffusion, "--recipe", tmp_path / "recipe.yaml", "--out", run,
        "--methods", "cross_entropy,synaug_stage1,synaug",
    )  # fmt: skip
    assert done.code == 3, done.err
    report = json.loads((run / "report.json").read_text())
    assert report["synthesis"]["accepted"] > 20  # the gates selected here accept them
    assert not report["audit"]["usable"]
    assert report["classifier"] == "cross_entropy"
    page, printed = (run / "report.html").read_text(), " ".join(done.out.split())
    for place in (page[: page.index("<nav")], printed):
        assert "Warning: The synthetic images are unusable" in place
        assert "hands over cross-entropy" in place
    table = (run / "predictions.csv").read_text()
    assert table == (run / "checkpoints" / "cross_entropy-0" / "predictions.csv").read_text()
    assert "light-red" in page
    status = synaug("predict", run, next((folder / "cat").iterdir()))
    assert "cross_entropy" in status.out
    assert storage.read_json(run / "gap.json")["audit"]["overall"]["color"] == "red"


def test_the_plan_names_classes_that_cannot_be_judged(tmp_path, synaug):
    from photographs import write_photographs

    data = write_photographs(tmp_path / "data", sizes={"cat": 14, "temple": 14, "motorcycle": 5}, side=48)
    done = synaug("plan", data, "--out", tmp_path / "run", "--model", "embedded")
    assert "Cannot judge motorcycle (4 images)" in " ".join(done.out.split())
    as_json = synaug("plan", data, "--out", tmp_path / "other", "--model", "embedded", "--json")
    assert json.loads(as_json.out)["cannot_judge"] == {"motorcycle": 4}
