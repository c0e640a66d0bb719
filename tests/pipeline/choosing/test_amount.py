"""Test that ``plan.target: auto`` makes images in rounds, keeps them all, and stops when they do not help."""

import json
from dataclasses import replace

import numpy as np
import pytest

from synaug import experiment
from synaug.data.readers import read_data
from synaug.data.subsets import with_test_split
from synaug.errors import DataError, OptionError
from synaug.pipeline.choosing import amount
from synaug.pipeline.choosing.choose import Judged
from synaug.recipes import with_overrides
from synaug.report.choice import amount_sentence
from synaug.run_directory import Run, change_training
from synaug.runtime import storage
from synaug.runtime.records import read_sealed, write_sealed

METHODS = ("oversampling", "synaug")


@pytest.fixture
def auto(recipe):
    return with_overrides(recipe, {"plan.target": "auto", "choose.candidates": METHODS})


@pytest.fixture
def judges(monkeypatch):
    """Replace the trainings: the n-th judgment recognizes the given share of each class's images."""

    def given(*shares):
        coming = list(shares)

        def judgment(names, run, recipe, *, progress):
            labels = run.manifest.split("train").labels
            rank = np.concatenate([np.arange((labels == label).sum()) for label in np.unique(labels)])
            num = np.bincount(labels)[np.sort(labels)]
            recognized = [rank < coming.pop(0) * num for _ in names]
            right = np.column_stack(recognized)
            return Judged(np.where(right, np.sort(labels)[:, None], -1), np.sort(labels), np.sort(labels))

        monkeypatch.setattr(amount, "held_out_judgment", judgment)
        return coming

    return given


def planned(out):
    return {cell.name: cell.num_to_generate for cell in Run.open(out).plan.cells}


def class_gaps(out):
    return {cell.name: cell.target - cell.have for cell in Run.open(out).plan.cells}


def images(out):
    return {path.name: path.read_bytes() for path in (out / "synthetic").rglob("*.png")}


def test_images_are_made_as_long_as_they_help(photos, auto, tmp_path, judges):
    left = judges(0.3, 0.6, 0.9, 0.9)  # without, then a quarter, a half, all
    report = experiment.run(photos, tmp_path / "run", auto, methods=METHODS)
    assert left == []
    gaps = class_gaps(tmp_path / "run")
    assert planned(tmp_path / "run") == gaps
    assert len(images(tmp_path / "run")) == sum(gaps.values()) == report["amount"]["most"]
    assert [each["num_images"] for each in report["amount"]["rounds"]][-1] == sum(gaps.values())
    assert "right" not in report["amount"]


def test_a_round_that_does_not_help_is_the_last_one(photos, auto, tmp_path, judges):
    judges(0.3, 0.3)
    out = tmp_path / "run"
    report = experiment.run(photos, out, auto, methods=METHODS)
    gaps = class_gaps(out)
    assert planned(out) == {name: -(-gap // 4) for name, gap in gaps.items()}
    assert report["amount"]["is_final"]
    assert "Therefore the others were not generated" in amount_sentence(report)
    before = images(out)
    experiment.run(photos, out, auto, methods=METHODS)  # the judges have nothing left: nothing is judged again
    assert images(out) == before


def test_a_harmful_round_is_undone_and_its_images_stay_unused(photos, auto, tmp_path, judges):
    judges(0.3, 0.9, 0.2)
    out = tmp_path / "run"
    report = experiment.run(photos, out, auto, methods=METHODS)
    quarter = {name: -(-gap // 4) for name, gap in class_gaps(out).items()}
    assert planned(out) == quarter
    assert len(images(out)) > sum(quarter.values()) == report["synthesis"]["accepted"]
    assert f"went back to {sum(quarter.values())}" in amount_sentence(report)


def test_an_interruption_between_decision_and_plan_is_recovered_from(photos, auto, tmp_path, judges, monkeypatch):
    judges(0.3, 0.6, 0.6)
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(amount, "replace_plan", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            experiment.run(photos, out, auto, methods=METHODS)
    first = images(out)
    report = experiment.run(photos, out, auto, methods=METHODS)
    assert first.items() <= images(out).items()
    assert len(report["amount"]["rounds"]) == 2


def test_a_removed_decision_is_made_again_and_no_image_is_lost(photos, auto, tmp_path, judges):
    judges(0.3, 0.6, 0.6)
    out = tmp_path / "run"
    experiment.run(photos, out, auto, methods=METHODS)
    before = images(out)
    content = json.loads((out / "amount.json").read_text())
    storage.write_json(out / "amount.json", content | {"is_final": False})
    with pytest.raises(DataError, match=r"amount\.json changed since synaug wrote it"):
        experiment.run(photos, out, auto, methods=METHODS)
    (out / "amount.json").unlink()
    judges(0.3, 0.6, 0.6)
    experiment.run(photos, out, auto, methods=METHODS)
    assert images(out) == before


def test_classes_that_lose_recall_get_no_more_images():
    rows = np.repeat([0, 1], 50)
    differences = np.where(rows == 0, 1.0, -0.2 * (np.arange(100) % 5 == 0))
    differences[:5] = 0
    found = amount.gains(differences, rows, ["few"] * 50 + ["many"] * 50)
    assert found["all"]["gain"] == pytest.approx((0.9 - 0.04) / 2)
    assert found["bins"]["many"]["gain"] == pytest.approx(-0.04)
    grown = amount.next_shares({"a": 0.25, "b": 0.25}, {"a": "few", "b": "many"}, found)
    assert grown == {"a": 0.5, "b": 0.25}


def test_no_image_to_judge_on_ends_the_rounds():
    found = amount.gains(np.zeros(0), np.zeros(0, int), [])
    assert found == {"all": {"gain": None, "error": None}, "bins": {}}
    assert amount.next_shares({"a": 0.25}, {"a": "few"}, found) == {"a": 0.25}


def test_no_change_has_no_sign_of_its_own():
    first = {"num_images": 5, "shares": {}, "bins": {}, "all": {"gain": -0.0001, "error": 0.01}}
    said = amount_sentence({"amount": {"most": 5, "rounds": [first], "is_final": True, "shares": {}}})
    assert "by +0.0 ± 1.0 points" in said


def test_only_a_run_can_decide(photos, auto):
    with pytest.raises(OptionError, match="'synaug run'"):
        experiment.balance(photos, model="embedded", target="auto")


@pytest.mark.parametrize(
    "forged",
    [{"shares": {"coat": 1e30}}, {"shares": []}, {"right": "2"}, {"rounds": [1]}, {"is_final": "x"}, {"right": ""}],
)
def test_a_forged_decision_is_refused(photos, auto, tmp_path, judges, forged):
    judges(0.3, 0.6, 0.6)
    out = tmp_path / "run"
    experiment.run(photos, out, auto, methods=METHODS)
    write_sealed(out / "amount.json", read_sealed(out / "amount.json", way_out="") | {"is_final": False} | forged)
    judges(0.6)
    with pytest.raises(DataError, match=r"amount\.json is damaged.*Remove it"):
        experiment.run(photos, out, auto, methods=METHODS)


def test_other_training_options_are_judged_again_and_no_image_is_made_twice(photos, auto, tmp_path, judges):
    judges(0.3, 0.6, 0.6)
    out = tmp_path / "run"
    experiment.run(photos, out, auto, methods=METHODS)
    before = images(out)
    run, change = Run.open(out), {"train.stage1.learning_rate": 0.01}
    change_training(run, with_overrides(run.recipe, change))
    left = judges(0.3, 0.3)
    report = experiment.run(photos, out, with_overrides(auto, change), methods=METHODS)
    assert (left, images(out)) == ([], before)
    assert [each["num_images"] for each in report["amount"]["rounds"]] == [len(before)]


@pytest.mark.parametrize("validation", [False, True])
def test_the_first_round_is_really_judged_on_networks(photos, auto, tmp_path, validation):
    data = with_test_split(read_data(photos, auto.data), 0.3, 0)
    if validation:
        splits = data.frame["split"].to_numpy(object).copy()
        splits[np.flatnonzero(splits == "train")[::2]] = "validation"
        data = replace(data, frame=data.frame.assign(split=splits.astype(str)))
    out = tmp_path / "run"
    report = experiment.run(data, out, auto, methods=METHODS)
    first = report["amount"]["rounds"][0]
    assert first["all"]["gain"] is not None
    assert set(first["bins"]) <= {"many", "medium", "few"}
    num_judged = len(json.loads((out / "amount.json").read_text())["right"])
    held_out = Run.open(out).manifest.split("validation" if validation else "train")
    assert num_judged == len(held_out)
    assert not (out / "choice").exists()
