"""Test the whole method on a few real images, with the embedded pipeline."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import synaug as package
from synaug import experiment, training
from synaug.data.groups import class_counts
from synaug.data.manifest import read_image
from synaug.data.manifest_file import read_manifest
from synaug.errors import IncompleteError, Interrupted, OptionError
from synaug.methods import DEFAULT_METHODS, METHODS, is_finished
from synaug.pipeline import generate as generate_stage
from synaug.pipeline import prepare as plan_stage
from synaug.pipeline.choosing import finalists
from synaug.pipeline.choosing.candidates import REAL
from synaug.pipeline.measure_gap import shortcuts
from synaug.pipeline.train import train
from synaug.recipes import make_recipe, with_overrides
from synaug.report.summary import summary
from synaug.run_directory import Run, RunPaths, locked_recipe
from synaug.runtime.records import write_sealed
from synaug.runtime.storage import digest, read_json
from synaug.synthesis.generators.models.model_sources import find_model
from synaug.training.checkpoint import FILE


def made_images(out):
    return {path.name: digest(path.read_bytes()) for path in (out / "synthetic").rglob("*.png")}


def scores(out):
    report = json.loads((out / "report.json").read_text())
    return [{k: v for k, v in result.items() if k != "seconds"} for result in report["results"]]


def test_a_run_leaves_the_files_that_the_design_promises(finished):
    for name in ("plan.json", "synthetic", "journal", "checkpoints", "predictions.csv", "report.json", "report.html",
                 "synaug.lock.json"):  # fmt: skip
        assert (finished / name).exists(), name


def test_the_report_has_the_promised_fields(finished):
    report = json.loads((finished / "report.json").read_text())
    assert report["schema_version"] == 1
    assert report["name"] == finished.name  # the recipe has none
    assert set(report["data"]["class_counts"]) == {"bag", "coat", "ankle boot"}
    assert set(report["plan"]["num_to_generate"]) == {"bag", "coat", "ankle boot"}
    assert {"requested", "accepted", "rejected", "seconds"} <= set(report["synthesis"])
    names = {result["method"] for result in report["results"]}
    assert names == {*DEFAULT_METHODS, *finalists(report["choice"])}
    for result in report["results"]:
        assert {"method", "seed", "accuracy", "many", "medium", "few", "worst_class", "per_class", "seconds"} <= set(
            result
        )
        table = pd.read_csv(RunPaths(finished).method_predictions(result["method"], result["seed"]))
        assert result["accuracy"] == pytest.approx((table["label"] == table["prediction"]).mean())
        assert result["many"] is None  # no class has more than 100 images: undefined, not 0


def test_without_synthetic_images_a_run_needs_no_model_and_chooses_among_real_only_methods(photos, recipe, tmp_path):
    alone = with_overrides(recipe, {"plan.target": "none", "plan.model": "no/model"})
    report = experiment.run(photos, tmp_path / "run", alone)
    real = [name for name in DEFAULT_METHODS if not METHODS[name].uses_synthetic]
    assert {result["method"] for result in report["results"]} == {*real, report["choice"]["chosen"]}
    judged = {row["method"] for row in report["choice"]["candidates"]}
    assert judged == set(REAL)
    assert report["synthesis"]["requested"] == 0
    assert "No synthetic images were requested." in summary(report)
    assert not any("missing" in warning for warning in report["warnings"])
    with pytest.raises(OptionError, match=r"synaug learns from synthetic images, and plan\.target is none"):
        experiment.run(photos, tmp_path / "other", alone, methods=["cross_entropy", "synaug"])
    assert not (tmp_path / "other").exists()


def test_the_best_candidate_of_the_other_kind_is_trained_and_compared(photos, recipe, tmp_path):
    asked = with_overrides(recipe, {"choose.candidates": ("cross_entropy_mixup", "synaug_stage1")})
    report = experiment.run(photos, tmp_path / "run", asked, methods=["synaug_stage1"])
    assert {result["method"] for result in report["results"]} == {"cross_entropy_mixup", "synaug_stage1"}
    assert {report["comparison"]["method"], report["comparison"]["other"]} == {"cross_entropy_mixup", "synaug_stage1"}


def test_every_class_is_filled_to_the_target(finished):
    report = json.loads((finished / "report.json").read_text())
    assert report["synthesis"]["accepted"] == report["synthesis"]["requested"] == len(made_images(finished))
    for name, count in report["data"]["class_counts"].items():
        assert count + report["plan"]["num_to_generate"][name] == 24


def test_synthetic_images_look_like_the_real_ones_to_a_file_reader(finished, photos):
    paths = [next((photos / "bag").iterdir()), *(finished / "synthetic").rglob("*.png")]
    seen = set()
    for path in paths:
        with Image.open(path) as image:
            seen.add((image.size, image.mode, image.format))
    assert seen == {((28, 28), "L", "PNG")}


def test_the_gap_is_measured_once_and_reported(finished, photos, recipe):
    report, gap = json.loads((finished / "report.json").read_text()), RunPaths(finished).gap
    assert (report["gap"], report["audit"]) == tuple(json.loads(gap.read_text())[name] for name in ("gap", "audit"))
    assert report["gap"]["features"] == "statistics of color, layout and spectrum"
    assert set(report["audit"]["per_class"]) == set(report["data"]["class_names"])
    assert report["gap"]["per_class"]["bag"]["num_synthetic"] == 24 - report["data"]["class_counts"]["bag"]
    assert report["gap"]["overall"]["probe_accuracy"] > 0.5
    assert any("Being synthetic is correlated with the class" in warning for warning in report["warnings"])
    assert "Gap between real and synthetic images" in (finished / "report.html").read_text()
    before = gap.stat().st_mtime_ns
    experiment.run(photos, finished, recipe, command="synaug run photos")
    assert gap.stat().st_mtime_ns == before


def test_a_gap_missing_from_an_earlier_call_is_measured_by_the_next(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    gap = RunPaths(run).gap
    before = gap.read_text()
    gap.unlink()
    train(Run.open(run), methods=["cross_entropy"])
    assert gap.read_text() == before


def test_a_gap_measured_by_an_earlier_version_is_measured_again(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    gap = RunPaths(run).gap
    before = read_json(gap)
    earlier = {name: value for name, value in before.items() if name not in ("seal", "revision")}
    write_sealed(gap, earlier | {"audit": before["audit"] | {"sentence": "Unusable.", "usable": False}})
    train(Run.open(run), methods=["cross_entropy"])
    assert read_json(gap) == before


def test_if_nothing_is_made_there_is_no_gap(photos, recipe, tmp_path):
    nothing = with_overrides(recipe, {"plan.target": 1})
    report = experiment.run(photos, tmp_path / "run", nothing, methods=("synaug_stage1",))
    assert report["gap"] == {}
    assert not any("synthetic tells" in warning for warning in report["warnings"])


def test_a_shortcut_between_groups_is_a_warning():
    images = np.zeros((40, 4, 4), np.uint8)
    data = package.from_arrays(
        images, np.repeat([0, 1], 20), class_names=["a", "b"],
        attributes=np.tile([0, 1], 20), attribute_names=["red", "blue"],
    )  # fmt: skip
    blue_a = (data.labels == 0) & (data.attributes == 1)
    frame = data.frame.assign(source=np.where(blue_a, "synthetic", "real"))
    said = shortcuts(replace(data, frame=frame))
    assert any("100 % of a x blue is synthetic" in line for line in said)
    assert said[-1] == "There is no real image of a x blue."


def test_predictions_are_of_real_test_images_only(finished):
    lines = (finished / "predictions.csv").read_text().splitlines()
    assert lines[0] == "id,label,prediction"
    report = json.loads((finished / "report.json").read_text())
    assert len(lines) - 1 == report["data"]["num_test_images"]


def test_the_same_command_again_repeats_nothing(photos, recipe, finished):
    images = made_images(finished)
    times = {path: path.stat().st_mtime_ns for path in (finished / "synthetic").rglob("*.png")}
    experiment.run(photos, finished, recipe, command="synaug run photos")
    assert made_images(finished) == images
    assert times == {path: path.stat().st_mtime_ns for path in times}


@pytest.mark.parametrize("call", [3, 8, 20])
def test_a_run_that_is_interrupted_and_repeated_equals_one_that_is_not(photos, recipe, finished, tmp_path, call):
    calls = iter(range(10_000))

    def stop(*_):
        if next(calls) == call:
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        experiment.run(photos, tmp_path / "run", recipe, progress=stop)
    experiment.run(photos, tmp_path / "run", recipe)
    assert made_images(tmp_path / "run") == made_images(finished)
    assert scores(tmp_path / "run") == scores(finished)


def test_a_signal_ends_a_real_process_with_75_and_it_can_resume(photos, recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    long = with_overrides(recipe, {"train.stage1.steps": 2000})
    path.write_text(long.model_dump_json())  # JSON is YAML
    command = [
        sys.executable,
        "-m",
        "synaug",
        "run",
        str(photos),
        "--out",
        str(tmp_path / "run"),
        "--recipe",
        str(path),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoints").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors.decode()
    assert b"rerun the same command" in errors
    assert list((tmp_path / "run" / "checkpoints").rglob(FILE))  # the state of the unfinished training


def test_a_folder_in_use_is_refused(photos, recipe, tmp_path):
    from synaug.runtime import storage

    with storage.lock(tmp_path / "run"), pytest.raises(OptionError, match="in use by another synaug process"):
        experiment.run(photos, tmp_path / "run", recipe)


def gray(prompts, *, seeds):
    """A stand-in for a model: one flat noise image per prompt."""
    return [
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (28, 28, 3), dtype=np.uint8)) for seed in seeds
    ]


def test_a_custom_callable_may_make_the_images(photos):
    evened_out = package.balance(photos, generator=gray, options={"quality.gates": []})
    counts = class_counts(evened_out.labels, evened_out.num_classes)
    assert len(set(counts.tolist())) == 1
    assert evened_out.is_synthetic.sum() > 0
    assert "" in set(evened_out.frame["path"])  # nothing remains on disk


def test_balance_keeps_its_images_in_the_given_folder(photos, tmp_path):
    evened_out = package.balance(photos, generator=gray, out=tmp_path / "run", options={"quality.gates": []})
    synthetic = evened_out.rows(evened_out.is_synthetic)
    assert all(synthetic.absolute_path(row).is_file() for row in range(len(synthetic)))


def test_images_accepted_by_an_earlier_shard_count_as_existing(photos, tmp_path):
    options = make_recipe({"plan": {"model": "embedded"}, "quality": {"gates": ["collapse"], "max_attempts": 1}})
    manifest = plan_stage.load_data(photos, options)
    plan_stage.write_run(manifest, plan_stage.drafted_plan(manifest, options), tmp_path, options, source="photos")

    def alike(prompts, *, seeds):
        return [Image.new("RGB", (28, 28), (120, 120, 120)) for _ in seeds]

    made = [generate_stage.generate(Run.open(tmp_path), generator=alike, shard=(part, 2)).accepted for part in range(2)]
    assert made == [1, 1]  # one per class that lacks images; a shard has whole classes


def black(prompts, *, seeds):
    return [Image.new("RGB", (28, 28)) for _ in seeds]


def test_images_that_are_all_rejected_are_a_clear_error(photos, tmp_path):
    with pytest.raises(IncompleteError, match=r"missing.*attempt.*rejected \(120 broken\)"):
        package.balance(photos, generator=black, out=tmp_path / "run", options={"quality.gates": ["broken"]})


def test_a_saved_classifier_gives_the_predictions_of_the_run(finished, photos):
    chosen = json.loads((finished / "choice.json").read_text())["chosen"]
    saved = package.load_classifier(finished / "checkpoints" / f"{chosen}-0")
    manifest = read_manifest(finished / "data.parquet").split("test")
    images = torch.stack([torch.from_numpy(np.array(read_image(manifest, i)))[None] for i in range(len(manifest))])
    predicted = [saved.class_names[k] for k in saved.logits(images).argmax(1)]
    assert predicted == pd.read_csv(finished / "predictions.csv")["prediction"].tolist()


def test_a_result_of_other_synthetic_images_is_not_kept(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    run, synthetic = RunPaths(copy), "another digest"
    assert is_finished(run, "cross_entropy", locked_recipe(run), synthetic)  # trained on real images only
    assert not is_finished(run, "synaug_stage1", locked_recipe(run), synthetic)
    assert not run.checkpoint("synaug_stage1", 0).exists()


def test_the_lock_file_records_the_model_and_its_license(finished):
    model = json.loads((finished / "synaug.lock.json").read_text())["model"]
    weights = find_model("embedded").weights
    assert weights is not None
    about = {"model": "embedded", "revision": None, "license": "apache-2.0", "path": None, "weights": weights}
    assert model == about


def test_the_report_warns_if_the_embedded_generator_does_not_know_the_classes(finished):
    from synaug.pipeline.reporting.notes import IN_DOMAIN, OUT_OF_DOMAIN, warnings
    from synaug.synthesis.planning.plan_file import read_plan

    plan = read_plan(RunPaths(finished).plan_file)
    made = {"missing": 0}
    assert warnings(plan, made) == [IN_DOMAIN]
    assert warnings(replace(plan, class_names=("one", "two", "three")), made) == [OUT_OF_DOMAIN]


def test_options_of_training_change_on_the_same_images(synaug, finished, photos, recipe, tmp_path):
    run, setting = tmp_path / "run", "train.stage1.learning_rate=0.01"
    shutil.copytree(finished, run)
    made = made_images(run)
    changed = with_overrides(recipe, {"train.stage1.learning_rate": 0.01})
    with pytest.raises(OptionError) as raised:
        experiment.run(photos, run, changed)
    assert "train.stage1.learning_rate was 0.1, now 0.01" in str(raised.value)
    assert f"synaug train {run} --set={setting}" in str(raised.value)
    assert synaug("train", run, "--methods", "cross_entropy", "--set", setting).code == 0
    assert made_images(run) == made
    report = json.loads(synaug("report", run, "--json").out)  # results with the old options are not mixed in
    assert [(each["method"], each["options"]["train"]["stage1"]["learning_rate"]) for each in report["results"]] == [
        ("cross_entropy", 0.01)
    ]


def test_options_of_the_images_do_not_change_by_training(synaug, finished):
    before = (finished / "synaug.lock.json").read_text()
    for setting in (
        "plan.target=30",
        "quality.max_attempts=1",
        "seed=3",
        "train.stage1.mixing=mixpu",
        "train.epochs=2",
    ):
        assert synaug("train", finished, "--set", setting).code == 2
    assert synaug("train", finished, "--set", "train.stage1.steps=2", "--dry-run").code == 0
    assert (finished / "synaug.lock.json").read_text() == before


def test_the_command_line_sets_any_option(synaug, photos, tmp_path):
    out = tmp_path / "run"
    options = ("--set", "plan.model=embedded", "--set", "plan.target=9", "--test-fraction", "0.5")
    done = synaug("plan", photos, "--out", out, *options, "--json")
    assert done.code == 0
    assert json.loads(done.out)["test_images"] == 21
    lock = json.loads((out / "synaug.lock.json").read_text())
    assert (lock["recipe"]["plan"]["target"], lock["recipe"]["data"]["test_fraction"]) == (9, 0.5)


def test_one_run_reads_the_real_images_twice_and_the_synthetic_ones_once(photos, recipe, tmp_path, monkeypatch):
    loaded = []
    load = training.load_training_set

    def noted(manifest, **options):
        loaded.append((len(manifest), int(manifest.is_synthetic.sum())))
        return load(manifest, **options)

    monkeypatch.setattr(training, "load_training_set", noted)
    experiment.run(photos, tmp_path / "run", recipe, methods=("cross_entropy", "synaug"))
    num_real = len(Run.open(tmp_path / "run").manifest.split("train"))
    num_tested = len(Run.open(tmp_path / "run").manifest.split("test"))
    num_synthetic = len(made_images(tmp_path / "run"))
    before = [(num_real, 0), (num_tested, 0)]
    assert loaded == [*before, (num_real + num_synthetic, num_synthetic), (num_tested, 0)]
