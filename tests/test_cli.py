"""Test the commands: their output, rejected input, and exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from synaug import experiment
from synaug.cli import COMMANDS, session
from synaug.cli.printing import console
from synaug.errors import DataError, Interrupted
from synaug.methods import DEFAULT_METHODS
from synaug.methods.results import read_result
from synaug.pipeline.train import train
from synaug.recipes import read_recipe
from synaug.run_directory import Run, RunPaths
from synaug.runtime import demo_recipe, signals, storage


@pytest.fixture
def tree(tmp_path, save_image):
    """Three cats, two dogs."""
    root = tmp_path / "pets"
    for name, number in (("cat", 5), ("dog", 3)):
        for i in range(number):
            save_image(root / name / f"{i}.png", seed=i + 10 * number)
    return root


def test_count_prints_the_data(synaug, photos):
    done = synaug("count", photos, "--json")
    content = json.loads(done.out)
    assert done.code == 0
    assert set(content) == {
        "num_images", "class_counts", "group_counts", "group_counts_by_attribute", "num_without_attribute",
        "imbalance_factor", "many", "medium", "few", "layout", "splits", "synthetic", "left_out", "duplicates", "notes",
    }  # fmt: skip
    assert list(content["class_counts"]) == ["ankle boot", "bag", "coat"]


def test_count_draws_bars(synaug, photos):
    done = synaug("count", photos)
    assert "█" in done.out
    assert "ankle boot" in done.out


def test_a_missing_folder_is_bad_data(synaug, tmp_path):
    done = synaug("count", tmp_path / "nowhere")
    assert done.code == 4
    assert "nowhere" in done.err
    assert "Traceback" not in done.err


def test_a_misspelled_folder_gets_the_nearest_as_a_hint(synaug, tree):
    assert f"Did you mean {str(tree)!r}?" in synaug("count", tree.with_name("pest")).err


def test_count_prints_the_next_command(synaug, tree):
    assert synaug("count", tree).out.endswith(f"Next: synaug run {tree} --dry-run\n")


def test_an_empty_class_is_left_out_with_a_note(synaug, tree):
    (tree / "fish").mkdir()
    content = json.loads(synaug("count", tree, "--json").out)
    assert set(content["class_counts"]) == {"cat", "dog"}
    assert any("fish" in note for note in content["notes"])


def test_one_class_only_is_refused(synaug, tmp_path, save_image):
    save_image(tmp_path / "one" / "cat" / "1.png")
    done = synaug("plan", tmp_path / "one", "--out", tmp_path / "run")
    assert done.code == 4
    assert not (tmp_path / "run").exists()


def test_many_unreadable_images_are_an_error_that_names_them(synaug, tree):
    (tree / "cat" / "broken.png").write_bytes(b"not an image")
    done = synaug("count", tree)
    assert (done.code, "broken.png" in done.err) == (4, True)


def test_few_unreadable_images_are_quarantined_and_named(synaug, tree, tmp_path):
    (tree / "cat" / "broken.png").write_bytes(b"not an image")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {max_unreadable: 0.5}\n")
    done = synaug("count", tree, "--recipe", recipe)
    assert (done.code, "broken.png" in done.out) == (0, True)


def test_an_absent_label_column_names_the_existing_columns(synaug, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("path,kind\na.png,cat\n")
    done = synaug("count", table, "--label", "knd")
    assert done.code == 4
    assert "kind" in done.err


def test_class_names_that_collide_are_refused(synaug, tree, save_image):
    save_image(tree / "Cat" / "1.png", seed=99)
    done = synaug("count", tree)
    assert (done.code, "Cat" in done.err) == (4, True)


def test_an_unknown_option_in_yaml_names_the_nearest(synaug, tree, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("plan: {modle: embedded}\n")
    done = synaug("plan", tree, "--out", tmp_path / "run", "--recipe", recipe)
    assert done.code == 2
    assert "Did you mean 'plan.model'?" in done.err
    assert not (tmp_path / "run").exists()


def test_plan_shows_numbers_and_prompts_and_needs_no_model(synaug, photos, tmp_path):
    done = synaug("plan", photos, "--out", tmp_path / "run", "--json")
    content = json.loads(done.out)
    assert done.code == 0
    assert content["model"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert content["num_to_generate"]["bag"] == 0
    assert content["num_to_generate"]["ankle boot"] > content["num_to_generate"]["coat"] > 0
    assert all(prompt.startswith("a photo of a") for prompt in content["prompts"]["ankle boot"])
    assert (tmp_path / "run" / "plan.json").is_file()


def test_plan_shows_the_names_of_synsets_and_notes_doubtful_ones(synaug, tmp_path, save_image):
    for name, number in (("n02012849", 5), ("n01440764", 4), ("mouse", 4)):
        for i in range(number):
            save_image(tmp_path / "photos" / name / f"{i}.png", seed=i + 10 * number)
    done = synaug("plan", tmp_path / "photos", "--out", tmp_path / "run", "--model", "embedded", "--json")
    content = json.loads(done.out)
    assert content["called"] == {"mouse": "mouse", "n01440764": "tench", "n02012849": "crane"}
    assert content["license"] == "apache-2.0"
    assert all(prompt.endswith(" tench") for prompt in content["prompts"]["n01440764"])
    assert [said.split()[0] for said in content["doubtful_names"]] == ["'mouse'", "'crane'"]
    (tmp_path / "a.csv").write_text("class,name\nmouse,computer mouse\nn02012849,crane bird\n")
    aliases = ("--aliases", tmp_path / "a.csv")
    done = synaug("plan", tmp_path / "photos", "--out", tmp_path / "other", "--model", "embedded", *aliases)
    assert not [name for name in ("'mouse'", "'crane'") if f"Note: {name}" in done.out]
    assert "computer mouse" in done.out


def test_unknown_synsets_are_an_error_with_the_classes_that_need_an_alias(synaug, tmp_path, save_image):
    for name in ("n99999999", "bag"):
        for i in range(3):
            save_image(tmp_path / "photos" / name / f"{i}.png", seed=i + len(name))
    done = synaug("plan", tmp_path / "photos", "--out", tmp_path / "run", "--model", "embedded")
    assert (done.code, "n99999999. Give each an alias: --aliases" in done.err) == (2, True)


def test_the_folder_of_another_plan_is_refused_and_kept(synaug, photos, tmp_path):
    assert synaug("plan", photos, "--out", tmp_path / "run").code == 0
    before = (tmp_path / "run" / "plan.json").read_bytes()
    done = synaug("plan", photos, "--out", tmp_path / "run", "--target", "100")
    assert done.code == 2
    assert "plan.target was 'uniform', now 100" in done.err
    assert (tmp_path / "run" / "plan.json").read_bytes() == before


def test_the_same_plan_again_is_fine(synaug, photos, tmp_path):
    for _ in range(2):
        assert synaug("plan", photos, "--out", tmp_path / "run").code == 0


def test_a_model_folder_without_a_pipeline_names_the_ways_out(synaug, photos, tmp_path):
    (tmp_path / "model").mkdir()
    synaug("plan", photos, "--out", tmp_path / "run", "--model", tmp_path / "model")
    done = synaug("generate", tmp_path / "run")
    assert done.code == 5
    assert "model_index.json" in done.err


def test_an_unavailable_hub_model_names_the_ways_out_and_leaves_nothing(synaug, photos, tmp_path):
    done = synaug("run", photos, "--out", tmp_path / "run")
    assert done.code == 5
    assert "stable-diffusion-v1-5" in done.err
    assert "--model embedded" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("train: {network: resnet9}", "Did you mean 'resnet8'"),
        ("train: {stage1: {mixing: mixpu}}", "Did you mean 'mixup'"),
        ("train: {retrain: {method: logstic}}", "Did you mean 'logistic'"),
        ("quality: {gates: [brokn]}", "Did you mean 'broken'"),
        ("methods: {synag: {}}", "Did you mean 'synaug'"),
        ("methods: {synaug: {stage1: {weight_decy: 1}}}", "Did you mean 'stage1.weight_decay'"),
    ],
)
def test_a_misspelled_name_in_a_recipe_is_found_before_anything_is_made(synaug, photos, tmp_path, text, hint):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    done = synaug("run", photos, "--out", tmp_path / "run", "--model", "embedded", "--recipe", recipe)
    assert done.code == 2
    assert hint in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "typed", [("--test-fraction", "1"), ("--test-fraction", "1.5"), ("--target", "-3"), ("--by", "nope")]
)
def test_a_refused_value_is_named_by_the_option_that_was_typed(synaug, photos, tmp_path, typed):
    done = synaug("plan", photos, "--out", tmp_path / "run", *typed)
    assert done.code == 2
    assert f"synaug: {typed[0]}: " in done.err
    assert typed[1] in done.err


def test_a_run_whose_images_are_all_rejected_ends_with_3_and_a_warning_in_the_report(
    synaug, photos, recipe, tmp_path, monkeypatch
):
    from synaug.synthesis.quality import gates

    monkeypatch.setitem(
        gates.GATES, "broken", lambda _: lambda batch: [gates.Verdict(ok=False, reason="broken") for _ in batch]
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.model_dump_json())
    done = synaug("run", photos, "--out", tmp_path / "run", "--recipe", path, "--methods", "cross_entropy")
    assert done.code == 3
    assert "missing because every attempt was rejected" in done.err
    left = json.loads(synaug("generate", tmp_path / "run", "--dry-run", "--json").out)
    assert (left["to_make"], left["given_up"]) == (0, left["planned"])
    assert "less balanced than planned" in json.loads((tmp_path / "run" / "report.json").read_text())["warnings"][-1]


def test_training_waits_for_all_images(synaug, photos, recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.model_dump_json())
    synaug("plan", photos, "--out", tmp_path / "run", "--recipe", path)
    done = synaug("train", tmp_path / "run")
    assert (done.code, "not been generated yet" in done.err) == (4, True)


def test_a_run_folder_without_a_plan_is_an_error_with_the_command_that_makes_one(synaug, tmp_path):
    done = synaug("generate", tmp_path)
    assert (done.code, "synaug plan DATA" in done.err) == (4, True)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "a/b", "1"])
def test_a_shard_out_of_range_is_a_usage_error(synaug, tmp_path, shard):
    done = synaug("generate", tmp_path, "--shard", shard)
    assert (done.code, "--shard must be auto, or i/n" in done.err) == (2, True)


def test_an_unknown_method_is_a_usage_error(synaug, photos, tmp_path):
    done = synaug("run", photos, "--out", tmp_path / "run", "--model", "embedded", "--methods", "synag")
    assert (done.code, "Did you mean 'synaug'" in done.err) == (2, True)


def test_evaluate_scores_anyones_predictions(synaug, tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("label,prediction,gender\ncat,cat,f\ncat,dog,m\ndog,dog,f\ndog,dog,m\n")
    done = synaug("evaluate", table, "--attribute", "gender", "--json")
    content = json.loads(done.out)
    assert done.code == 0
    assert content["accuracy"] == 0.75


def test_report_prints_the_table_again_and_keeps_the_command(synaug, finished):
    done = synaug("report", finished)
    assert done.code == 0
    assert "synaug_stage1" in done.out
    assert json.loads((finished / "report.json").read_text())["command"] == "synaug run photos"


def test_status_shows_the_progress_of_a_run_and_its_processes(synaug, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    content = json.loads(synaug("status", run, "--json").out)
    assert (content["stage"], content["held_by"]) == ("done", {})
    assert content["images"]["accepted"] == content["images"]["planned"] > 0
    assert content["images"]["seconds_left"] == 0
    assert "cross_entropy" in content["results"]
    with storage.lock(run):
        held = synaug("status", run)
    assert f"process {os.getpid()} (run)" in held.out
    assert "images per second" in held.out


def test_status_names_the_seeds_of_a_run(synaug, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    assert json.loads(synaug("status", run, "--json").out)["seeds"] == [0]
    train(Run.open(run), methods=["focal"], seeds=[0, 2])
    content = json.loads(synaug("status", run, "--json").out)
    assert content["seeds"] == [0, 2]
    shown = synaug("status", run).out
    assert re.search(r"^seeds +0, 2 *$", shown, re.M)
    assert re.search(r"^results of seed 0 ", shown, re.M)


def test_status_of_a_run_that_is_only_planned(synaug, photos, tmp_path):
    synaug("plan", photos, "--out", tmp_path / "run")
    content = json.loads(synaug("status", tmp_path / "run", "--json").out)
    assert (content["stage"], content["images"]["per_second"], content["report"]) == ("generate", None, None)
    shown = synaug("status", tmp_path / "run").out
    assert "none yet" in shown
    assert shown.endswith(f"or synaug generate {tmp_path / 'run'}\n")


def test_status_of_a_run_without_synthetic_images(synaug, photos, tmp_path):
    synaug("plan", photos, "--target", "none", "--out", tmp_path / "run")
    said = synaug("status", tmp_path / "run").out
    assert re.search(r"^stage +train *$", said, re.M)
    assert "no synthetic images planned" in said
    assert json.loads(synaug("status", tmp_path / "run", "--json").out)["images"]["planned"] == 0


def test_status_shows_the_time_left_of_a_training(synaug, finished, tmp_path, monkeypatch):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "report.html").unlink()
    steps = []

    def stop():
        if steps:
            raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(signals, "is_requested", lambda: steps.append(1) or True)
        patch.setattr(signals, "stop_here", stop)
        with pytest.raises(Interrupted):
            train(Run.open(run), methods=["focal"], retrain=True)
    content = json.loads(synaug("status", run, "--json").out)
    training = content["training"]
    assert (content["stage"], training["method"], training["seed"]) == ("train", "focal", 0)
    assert (training["done"], training["steps"]) == (1, 3)
    assert training["seconds_left"] == pytest.approx(2 / training["per_second"])
    assert "focal, seed 0, 1 of 3 steps" in synaug("status", run).out
    with storage.lock(run):  # a process holds the run, so the time since the checkpoint counts
        for path in run.rglob("training.safetensors"):
            os.utime(path, (0, 9 if "focal-0" in path.parts else 0))
        assert json.loads(synaug("status", run, "--json").out)["training"]["seconds_left"] == 0
    shutil.rmtree(run / "journal")  # as before the first image, while 'run' trains on the real ones
    assert json.loads(synaug("status", run, "--json").out)["stage"] == "generate"
    with storage.lock(run):
        assert json.loads(synaug("status", run, "--json").out)["stage"] == "train"
        with storage.lock(run, name="worker-0-of-1"):
            assert json.loads(synaug("status", run, "--json").out)["stage"] == "generate"


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_shows_the_amount_and_writes_nothing(synaug, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("plan", "run"):
        done = synaug(command, photos, "--dry-run", "--json")
        assert json.loads(done.out)["num_to_generate"]["ankle boot"] > 0
        assert "Nothing was written" in synaug(command, photos, "--dry-run").out
    alone = synaug("run", photos, "--dry-run", "--target", "none").out
    assert "No synthetic images will be generated." in alone
    assert "balanced_mixup_retrained" in alone
    assert "synaug_stage1" not in alone
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_shows_existing_images_and_describes_the_training(synaug, photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    patient = ("--set", "cross_validate.minutes=1e6")  # however slow this machine is
    done = json.loads(synaug("run", photos, "--dry-run", "--json", *patient).out)
    assert done["have"]["bag"] == done["have"]["coat"] + done["num_to_generate"]["coat"]
    assert (
        sum(done["have"].values()) + done["test_images"]
        == json.loads(synaug("count", photos, "--json").out)["num_images"]
    )
    assert (done["network"], done["image_size"], done["length"]) == ("resnet32", 28, "60 epochs")
    shown = " ".join(synaug("run", photos, "--dry-run", "--image-size", 96, "--no-pretrained").out.split())
    assert re.search(
        r"resnet18, images of 96 pixels, 60 epochs each; about [\d a-z.]+ of training on this machine", shown
    )
    assert re.search(
        r"chosen among 9 candidates in 2 folds of the training images; about [\d a-z.]+ on this machine", shown
    )
    assert done["cross_validation"]["folds"] == 5  # few images were held out
    longer = ("--folds", 0, "--set", "train.stage1.epochs=6000")
    other = json.loads(synaug("run", photos, "--dry-run", "--json", *longer).out)
    assert other["cross_validation"]["folds"] == 0
    assert other["training_seconds"] > 10 * done["training_seconds"]  # 100 times the epochs


@pytest.mark.parametrize("side", [32, 96])
def test_a_dry_run_without_a_gpu_warns_of_long_training_and_names_what_is_faster(synaug, photos, monkeypatch, side):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    shown = " ".join(synaug("run", photos, "--dry-run", "--image-size", side, "--no-pretrained").out.split())
    assert ("no GPU was found" in shown) == ("--image-size 32 is faster" in shown) == (side == 96)


def test_a_dry_run_in_a_run_folder_lists_the_missing_work(synaug, finished, tmp_path):
    before = files_of(finished)
    assert json.loads(synaug("generate", finished, "--dry-run", "--json").out)["to_make"] == 0
    content = json.loads(synaug("train", finished, "--methods", "focal,synaug", "--dry-run", "--json").out)
    assert (content["to_train"], content["there"]) == (["focal"], ["synaug"])
    content = json.loads(synaug("export", finished, "--out", tmp_path / "set", "--dry-run", "--json").out)
    assert sum(content["training_images"].values()) == content["synthetic_images"] + real_images(finished)
    assert not (tmp_path / "set").exists()
    assert files_of(finished) == before


def real_images(run):
    return json.loads((run / "report.json").read_text())["data"]["num_images"]


def test_a_run_needs_no_out_and_prints_its_folder(synaug, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = synaug("plan", photos)
    assert (done.code, f"Run directory: runs/{photos.name}" in done.err) == (0, True)
    assert (tmp_path / "runs" / photos.name / "plan.json").is_file()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(synaug, name):
    assert f"synaug {name}" in synaug(name, "--help").out.split("Example:", 1)[1]


@pytest.mark.parametrize("name", sorted(COMMANDS.keys()))
def test_every_command_takes_json(synaug, name):
    assert "--json" in synaug(name, "--help").out


def test_the_help_shows_the_defaults_that_a_recipe_may_change(synaug, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = synaug("run", "--help").out
    assert "[default: runs/photos for photos/]" in text
    assert "[default: Stable Diffusion 1.5]" in text


def test_the_help_of_run_sorts_its_options_under_headings(synaug, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    _, *parts = re.split(r"╭─ (.+?) ─+╮", synaug("run", "--help").out)
    options = {
        heading: re.findall(r"^│ (--[a-z-]+)", text, re.M)
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }
    assert list(options) == [
        "Arguments",
        "Options",
        "Synthetic images",
        "Data",
        "Training",
        "Testing",
        "Several machines",
    ]
    assert max(map(len, options.values())) <= 12
    assert options["Testing"] == ["--seeds", "--test-fraction", "--folds"]


def test_the_help_fits_its_paragraphs_to_the_terminal_and_each_command_to_a_line(synaug, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    overview = synaug("--help").out
    assert all(len(re.findall(rf"^│ {name} +\w.*\.? +│$", overview, re.M)) == 1 for name in COMMANDS)
    assert not re.search(r"^│ {11}\w", overview, re.M)
    assert "replaces rejected images" in " ".join(synaug("review", "--help").out.split())
    assert not re.search(r"^ .{1,60}\n [a-z]", synaug("review", "--help").out, re.M)


def test_the_help_of_generate_does_not_name_a_model_that_the_plan_may_not_have(synaug):
    assert "Stable Diffusion" not in synaug("generate", "--help").out


def test_the_version_is_printed(synaug):
    assert synaug("--version").out == f"synaug {metadata.version('synaug')}\n"


def test_a_misspelled_command_or_option_names_the_nearest(synaug):
    done = synaug("coutn", "photos")
    assert (done.code, "Did you mean 'count'" in done.err) == (2, True)
    done = synaug("count", "photos", "--jsn")
    assert (done.code, "--json" in done.err) == (2, True)


def test_no_color_is_respected(synaug, photos, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m" in synaug("count", photos).out or "\x1b[31m" in synaug("count", photos).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in synaug("count", photos).out


def test_evaluate_of_a_folder_names_the_file_that_it_wants(synaug, tmp_path):
    done = synaug("evaluate", tmp_path)
    assert (done.code, f"is a folder. Give the table of predictions, such as {tmp_path}/" in done.err) == (4, True)


def test_evaluate_prints_fairness_as_tables(synaug, tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("label,prediction,gender\n0,0,f\n1,1,f\n0,1,m\n1,1,m\n")
    lines = [line.split() for line in synaug("evaluate", table, "--attribute", "gender").out.splitlines()]
    assert ["accuracy", "on", "images", "all", "0", "1"] in lines
    assert ["m", "2", "50.0", "[9,", "91]", "0.0", "[0,", "79]", "100.0", "[21,", "100]"] in lines
    assert ["demographic", "parity", "50.0", "[50,", "50]", "50.0", "[50,", "50]"] in lines
    assert ["equal", "opportunity", "0.0", "[0,", "0]", "100.0", "[100,", "100]"] in lines
    assert "add --attribute COLUMN" in synaug("evaluate", table).out


def test_evaluate_leaves_intervals_out_of_a_table_that_is_too_wide(synaug, tmp_path, monkeypatch):
    table = tmp_path / "predictions.csv"
    table.write_text("y_true,y_pred,region\n" + "".join(f"{c},{c},region {a}\n" for c in range(6) for a in range(6)))
    narrow, wide = "100.0  100.0", "100.0 [21, 100]  100.0 [21, 100]"
    monkeypatch.setenv("COLUMNS", "80")
    assert [text in synaug("evaluate", table, "--attribute", "region").out for text in (narrow, wide)] == [True, False]
    monkeypatch.setenv("COLUMNS", "200")
    assert [text in synaug("evaluate", table, "--attribute", "region").out for text in (narrow, wide)] == [False, True]


def test_evaluate_takes_columns_of_any_name(synaug, tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("truth;guess\ncat;cat\ncat;dog\n")
    done = synaug("evaluate", table, "--label", "truth", "--prediction", "guess", "--json")
    assert json.loads(done.out)["accuracy"] == 0.5
    done = synaug("evaluate", table, "--label", "truht")
    assert (done.code, "Did you mean 'truth'?" in done.err) == (4, True)


def test_export_and_verify(synaug, finished, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert synaug("export", finished, "--out", tmp_path / "set").code == 0
    assert synaug("verify", tmp_path / "set").code == 0
    next((tmp_path / "set" / "train" / "bag").iterdir()).write_bytes(b"other")
    done = synaug("verify", tmp_path / "set", "--json")
    assert done.code == 4
    assert json.loads(done.out)["problems"]


def test_evaluate_reads_the_predictions_of_a_run(synaug, finished):
    done = synaug("evaluate", finished / "predictions.csv", "--json")
    report = json.loads((finished / "report.json").read_text())
    final = next(result for result in report["results"] if result["method"] == "synaug")
    assert json.loads(done.out)["accuracy"] == pytest.approx(final["accuracy"])


def test_plan_measures_the_time_on_request(synaug, photos, tmp_path):
    done = synaug("plan", photos, "--out", tmp_path / "run", "--model", "embedded", "--measure", "--json")
    estimate = json.loads(done.out)["estimate"]
    shown = synaug("plan", photos, "--out", tmp_path / "run", "--model", "embedded", "--measure").out
    assert re.search(r"MB on disk; about [\d:]+ on this machine \([\d.,]+ images per second\)", " ".join(shown.split()))
    assert estimate["images_per_second"] == pytest.approx(estimate["images"] / estimate["seconds"])
    fitted = ["--variant", "fitted", "--cap", "2", "--measure", "--json"]
    done = synaug("plan", photos, "--out", tmp_path / "fitted", "--model", "embedded", *fitted)
    estimate = json.loads(done.out)["estimate"]
    assert estimate["seconds"] == pytest.approx(estimate["images"] / estimate["images_per_second"])
    assert not list((tmp_path / "fitted").glob("fitted-model*"))


def test_gpu_hours_are_shown_if_a_gpu_was_timed(capsys):
    from synaug.cli.printing import console

    plan = {"by": "class", "num_to_generate": {}, "doubtful_names": [], "model": "m", "license": "x", "prompts": {}}
    plan |= {"have": {}, "test_images": 0, "model_note": "", "amount_note": "", "cost": None}
    plan["data"] = {"layout": "", "splits": {}, "synthetic": {}, "left_out": [], "notes": []}
    estimate = {"images": 7200, "disk_bytes": 10**9, "seconds": 3600.0, "images_per_second": 2.0, "gpu_hours": 1.0}
    console.show_plan(plan | {"estimate": estimate}, None)
    assert "(2.0 images per second, 1.00 GPU hours)" in " ".join(capsys.readouterr().out.split())


def test_another_model_may_be_named_until_images_are_there(synaug, photos, finished, tmp_path):
    synaug("plan", photos, "--out", tmp_path / "run")
    assert synaug("generate", tmp_path / "run", "--model", "embedded", "--shard", "1/50").code in (0, 3)
    done = synaug("generate", finished, "--model", "another/model")
    assert done.code == 2
    assert "Plan into another directory" in done.err


def test_methods_are_listed_with_descriptions(synaug):
    from synaug.methods import METHODS

    shown = synaug("methods").out
    assert all(name in shown for name in METHODS)
    assert "Without --methods: cross_entropy, " in shown
    assert json.loads(synaug("methods", "--json").out)["synaug_focal"] == METHODS["synaug_focal"].description


def test_train_takes_any_method_by_name(synaug, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    done = synaug("train", run, "--methods", "focal,synaug_tau_norm", "--json")
    assert [result["method"] for result in json.loads(done.out)] == ["focal", "synaug_tau_norm"]


def test_a_method_that_needs_groups_is_refused_before_anything_is_made(synaug, photos, tmp_path):
    done = synaug("run", photos, "--out", tmp_path / "run", "--model", "embedded", "--methods", "group_dro")
    assert (done.code, "--attribute" in done.err) == (2, True)
    assert not (tmp_path / "run").exists()


def test_two_processes_train_a_run_together_and_the_first_one_writes(finished, tmp_path, monkeypatch):
    run = shutil.copytree(finished, tmp_path / "run")
    names = "cutmix,synaug_glmc,lws"
    launch = "--cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
    command = [sys.executable, "-m", "accelerate.commands.launch", *launch.split(), "-m", "synaug"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = subprocess.run(
        [*command, "train", str(run), "--methods", names, "--json"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [result["method"] for result in results] == names.split(",")
    assert results == [read_result(RunPaths(run), name, 0) for name in names.split(",")]
    assert done.stderr.count("training cutmix") <= 1
    lines = (run / "checkpoints" / "cutmix-0" / "training.csv").read_text().splitlines()
    assert len(lines) == 4


def test_check_counts_failing_images_and_changes_nothing(synaug, finished):
    done = synaug("check", finished, "--gates", "broken,copy", "--json")
    content = json.loads(done.out)
    assert done.code == 0
    assert content["checked"] == len(list((finished / "synthetic").rglob("*.png")))
    assert set(content["rejected"]) <= {"broken", "copy"}
    assert not (finished / "journal" / "revised.jsonl").exists()
    assert "images checked" in synaug("check", finished, "--gates", "broken").out


def test_check_prints_the_command_that_removes_failing_images(capsys):
    content = {"checked": 9, "rejected": {"off_class": 2}, "rejected_by_class": {"bag": {"off_class": 2}}}
    console.show_check(content, Path("runs/x"), taken_out=False)
    assert capsys.readouterr().out.endswith("off-class: 2 (bag 2)\nTo remove them: synaug check runs/x --reject\n")
    console.show_check(content, Path("runs/x"), taken_out=True)
    assert capsys.readouterr().out.endswith("They have been removed. Next: synaug generate runs/x\n")


def test_check_refuses_an_unknown_gate(synaug, finished):
    done = synaug("check", finished, "--gates", "beauty")
    assert (done.code, "Unknown gate 'beauty'" in done.err) == (2, True)


def test_a_generator_that_does_not_know_the_classes_raises_a_warning_before_use(synaug, tmp_path, save_image):
    for name, size in (("zebra", 6), ("lion", 4)):
        for number in range(size):
            save_image(tmp_path / "animals" / name / f"{number}.png", seed=10 * len(name) + number, size=(16, 16))
    done = synaug("plan", tmp_path / "animals", "--model", "embedded", "--dry-run")
    assert "knows the ten kinds of clothes" in " ".join(done.out.split())
    for more in ((), ("--model", "embedded", "--target", "none")):  # another model, or none
        assert "knows the ten kinds" not in synaug("plan", tmp_path / "animals", "--dry-run", *more).out


def test_the_command_for_the_users_images_can_be_typed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / ".venv/bin/synaug"), "demo"])
    assert session.program() == ".venv/bin/synaug"
    monkeypatch.setattr("sys.argv", ["synaug", "demo"])
    assert session.program() == "synaug"


def test_the_quick_demo_runs_every_part_on_less(synaug, monkeypatch, tmp_path):
    asked = {}

    def run(source, out, recipe, **options):
        asked.update(options, out=out, recipe=recipe)
        raise DataError("enough seen")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "run", run)
    demo = read_recipe(demo_recipe())
    assert synaug("demo").code == 4
    assert (asked["out"], asked["recipe"], asked["methods"]) == (Path("runs/demo"), demo, DEFAULT_METHODS)
    assert synaug("demo", "--quick").code == 4
    quick = asked["recipe"]
    assert asked["out"] == Path("runs/demo-quick")
    assert "too briefly to judge" in asked["source_name"]  # at the top of the report
    assert quick.train.stage1.steps < demo.train.stage1.steps
    assert quick.plan.cap < 490
    assert quick.generate.steps < 7
    assert set(quick.choose.candidates) <= set(asked["methods"]) < set(DEFAULT_METHODS)
