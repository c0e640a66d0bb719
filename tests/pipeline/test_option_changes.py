"""Test that the command offered for a refused run directory works, whatever the run contains already."""

import json
import shlex

import pytest
import yaml

from conftest import SMALL
from synaug.config import Recipe
from synaug.errors import OptionError
from synaug.recipes import make_recipe, with_overrides, with_settings
from synaug.run_directory import RunPaths, locked_recipe, trained_methods, write_lock
from synaug.run_directory.option_changes import way_out
from synaug.runtime import storage
from synaug.training.checkpoint import FILE

RATE = "train.stage1.learning_rate"


@pytest.fixture
def planned(synaug, photos, tmp_path):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(SMALL))
    done = synaug("plan", photos, "--recipe", tmp_path / "r.yaml", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    return tmp_path / "run"


def run_again(synaug, photos, run, *settings, methods="cross_entropy"):
    options = [part for setting in settings for part in ("--set", setting)]
    return synaug("run", photos, "--recipe", run.parent / "r.yaml", "--out", run, "--methods", methods, *options)


def offered(message):
    """Return the commands that the message offers, each as arguments."""
    text = " ".join(message.split())
    assert "in this run: " in text, text
    commands = text.partition("in this run: ")[2].partition("; then repeat this command")[0].split(", then ")
    return [shlex.split(command)[1:] for command in commands]


def rates(run):
    content = json.loads((run / "report.json").read_text())
    return {each["method"]: each["options"]["train"]["stage1"]["learning_rate"] for each in content["results"]}


def only_planned(synaug, run):
    pass


def trained_on_real(synaug, run):
    assert synaug("train", run, "--methods", "cross_entropy").code == 0


def half_generated(synaug, run):
    trained_on_real(synaug, run)
    assert synaug("generate", run, "--shard", "1/2").code in (0, 3)


def complete(synaug, run):
    trained_on_real(synaug, run)
    assert synaug("generate", run).code == 0


def trained(synaug, run):
    complete(synaug, run)
    assert synaug("train", run, "--methods", "synaug_stage1").code == 0


@pytest.mark.parametrize("state", [only_planned, trained_on_real, half_generated, complete, trained])
def test_training_options_change_in_every_state_of_a_run(state, synaug, photos, planned):
    state(synaug, planned)
    had = trained_methods(RunPaths(planned))
    done = run_again(synaug, photos, planned, f"{RATE}=0.02")
    assert done.code == (2 if had else 0), done.err
    if had:
        for command in offered(done.err):
            assert synaug(*command).code == 0
        done = run_again(synaug, photos, planned, f"{RATE}=0.02")
    assert done.code == 0, done.err
    assert rates(planned) == dict.fromkeys(had or ["cross_entropy"], 0.02)


def test_an_interrupted_training_starts_again_with_changed_options(synaug, photos, planned):
    trained_on_real(synaug, planned)
    folder = RunPaths(planned).checkpoint("cross_entropy", 0)
    (folder / "result.json").unlink()  # as if a kill had come just before it was written
    assert (folder / FILE).exists()
    assert run_again(synaug, photos, planned, f"{RATE}=0.02").code == 0
    assert rates(planned) == {"cross_entropy": 0.02}


def test_the_features_of_an_outdated_result_are_trained_again(synaug, planned):
    assert synaug("train", planned, "--methods", "cross_entropy").code == 0
    assert synaug("train", planned, "--methods", "cross_entropy_retrained", "--set", f"{RATE}=0.02").code == 0
    assert trained_methods(RunPaths(planned)) == ["cross_entropy_retrained"]


def test_without_images_train_changes_nothing_and_names_what_it_can_train(synaug, planned):
    before = (planned / "synaug.lock.json").read_bytes()
    done = synaug("train", planned, "--set", f"{RATE}=0.02")
    text = " ".join(done.err.split())
    assert (done.code, (planned / "synaug.lock.json").read_bytes()) == (4, before)
    command = shlex.split(text.partition("train without them: ")[2])[1:]
    assert synaug(*command, "--dry-run").code == 0
    assert command[-1] == f"--set={RATE}=0.02"
    assert command[3] == "cross_entropy,cross_entropy_retrained,balanced_mixup,balanced_mixup_retrained"


def test_generation_options_have_a_command_of_their_own(synaug, photos, planned):
    trained_on_real(synaug, planned)
    changes = ("generate.steps=3", f"{RATE}=0.02")
    commands = offered(run_again(synaug, photos, planned, *changes).err)
    assert [command[0] for command in commands] == ["generate", "train"]
    assert [synaug(*command).code for command in commands] == [0, 0]
    assert run_again(synaug, photos, planned, *changes).code == 0
    other_images = run_again(synaug, photos, planned, "generate.steps=4", f"{RATE}=0.02")
    assert (other_images.code, "Choose another folder" in " ".join(other_images.err.split())) == (2, True)


@pytest.fixture
def locked(tmp_path):
    """The lock file of a run with a result."""
    run = RunPaths(tmp_path / "a run")
    storage.make_folder(run.checkpoint("focal", 0))
    write_lock(run, source="a", recipe=Recipe(), data_digest="d")
    (run.checkpoint("focal", 0) / "result.json").write_text("{}")
    return run


@pytest.mark.parametrize(
    "name",
    ["train.device", "train.in_memory", "train.track", "generate.device", "name", "api.timeout", "choose.budget"],
)
def test_options_without_effect_on_results_change_at_any_time(name, locked):
    value = {"train.in_memory": False, "train.track": "tensorboard", "api.timeout": 9, "choose.budget": 5}.get(
        name, "cpu"
    )
    wanted = with_overrides(Recipe(), {name: value})
    write_lock(locked, source="a", recipe=wanted, data_digest="d")
    assert locked_recipe(locked) == wanted != Recipe()


@pytest.mark.parametrize(
    "changes",
    [
        {"train.stage1.learning_rate": 1e-5, "train.stage1.epochs": 3},
        {"train.image_size": 64, "train.pretrained": False, "train.network": "timm/local-dir:my weights"},
        {"train.stage1.augmentations": ["cutout", "color_jitter"], "train.stage1.steps": 90},
        {"train.retrain.regularization": 0.5, "train.retrain.data": "balanced_real"},
    ],
)
def test_offered_settings_give_the_same_options(changes, locked):
    wanted = with_overrides(Recipe(), changes)
    ((command, path, *settings, _, methods),) = offered(way_out(locked, wanted, same_data=True))
    assert (command, path, methods) == ("train", str(locked.path), "focal")
    assert with_settings(locked_recipe(locked), [each.removeprefix("--set=") for each in settings]) == wanted


def test_other_data_need_another_folder(locked):
    changed = make_recipe({"train": {"stage1": {"learning_rate": 0.5}}})
    for data, recipe in (("other", Recipe()), ("other", changed), ("d", make_recipe({"seed": 1}))):
        with pytest.raises(OptionError, match="Choose another folder with --out") as raised:
            write_lock(locked, source="a", recipe=recipe, data_digest=data)
        assert "synaug train" not in str(raised.value)
