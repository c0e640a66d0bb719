"""Test that the decision on pretrained weights comes before any cost, without a download."""

import json
from dataclasses import replace

import numpy as np
import pytest

from synaug import experiment
from synaug.config import Recipe
from synaug.data.manifest import from_arrays
from synaug.errors import OptionError
from synaug.methods import DEFAULT_METHODS, METHODS, options_of, stage_options
from synaug.methods.registry import PRETRAINED_METHODS, PROBES
from synaug.pipeline.prepare import drafted_plan, load_data
from synaug.pipeline.pretraining import resolve_pretraining, usual_methods
from synaug.recipes import make_recipe, with_overrides
from synaug.run_directory import Run, locked_recipe
from synaug.training.inference import extract_features
from synaug.training.networks import network_title
from synaug.training.networks.weights import FOLDER_VARIABLE, is_at_hand, small_network_at_hand

LOCAL = "timm/local-dir:"


@pytest.fixture
def none_at_hand(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr("synaug.training.networks.weights.SMALL_NETWORKS", ())
    monkeypatch.setattr("synaug.training.networks.weights.network_at_hand", lambda: None)


@pytest.fixture
def at_hand(monkeypatch, imagenet_network):
    monkeypatch.setenv(FOLDER_VARIABLE, imagenet_network.removeprefix(LOCAL))
    return imagenet_network


@pytest.fixture(scope="module")
def plan(photographs):
    recipe = make_recipe({"plan": {"model": "embedded"}})
    return drafted_plan(load_data(photographs, recipe), recipe)


def changed(**options):
    return with_overrides(Recipe(), {f"train.{name}": value for name, value in options.items()})


def test_photographs_start_from_weights_that_are_at_hand(plan, at_hand):
    recipe, sentence = resolve_pretraining(Recipe(), plan)
    assert (recipe.train.pretrained, recipe.train.network) == (True, at_hand)
    assert network_title(at_hand) in sentence


def test_small_photographs_are_not_enlarged_to_the_side_of_the_weights(plan, at_hand, monkeypatch):
    monkeypatch.setattr("synaug.training.networks.pretrained_normalization", lambda _: ((), (), 224))

    def side(pixels, **options):
        return resolve_pretraining(changed(**options), replace(plan, image_size=pixels))[0].train.image_size

    assert [side((size, 40)) for size in (64, 130, 500)] == [128, 160, 224]
    assert side((500, 500), image_size=96) == 96
    assert side((64, 64), network=at_hand) is None  # the weights of a requested network decide


def test_without_weights_training_starts_from_scratch_with_a_note(plan, none_at_hand):
    recipe, sentence = resolve_pretraining(Recipe(), plan)
    assert (recipe.train.pretrained, recipe.train.network) == (False, "auto")
    assert "scratch" in sentence


def test_small_images_start_from_scratch(plan, at_hand):
    small = replace(plan, image_size=(63, 63))
    assert resolve_pretraining(Recipe(), small)[0].train.pretrained is False
    assert resolve_pretraining(changed(image_size=64), small)[0].train.pretrained is True


def test_requested_options_are_kept(plan, at_hand, none_at_hand):
    assert resolve_pretraining(changed(pretrained=False), plan)[0].train.pretrained is False
    assert (
        resolve_pretraining(changed(network="resnet8"), plan)[0].train
        == changed(network="resnet8", pretrained=False).train
    )
    assert resolve_pretraining(changed(network=at_hand), plan)[0].train.network == at_hand


def test_a_folder_without_weights_is_an_error(plan, monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(OptionError, match=FOLDER_VARIABLE):
        small_network_at_hand()


def test_weights_in_the_caches_are_found_and_missing_ones_are_not(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repository, name: (
            asked.append((repository, name)) or (str(tmp_path) if "resnet18" in repository else None)
        ),
    )
    assert is_at_hand("timm/resnet18.a1_in1k")
    assert not is_at_hand("resnet34.a1_in1k")
    assert not is_at_hand("resnet8")  # not a timm network
    assert asked == [("timm/resnet18.a1_in1k", "model.safetensors"), ("timm/resnet34.a1_in1k", "model.safetensors")]


def test_the_weights_of_an_installed_package_are_at_hand(none_at_hand, monkeypatch):
    assert small_network_at_hand() is None
    monkeypatch.setattr("synaug.training.networks.weights.network_at_hand", lambda: f"{LOCAL}somewhere")
    assert small_network_at_hand() == f"{LOCAL}somewhere"


def test_the_usual_rows_follow_the_start():
    from_weights, images = changed(pretrained=True), two_classes()
    assert usual_methods(DEFAULT_METHODS, from_weights, images) == PRETRAINED_METHODS
    assert usual_methods(DEFAULT_METHODS, from_weights, images, preset="quick") == PROBES
    assert usual_methods(DEFAULT_METHODS, Recipe(), images) == DEFAULT_METHODS
    assert usual_methods(["focal"], from_weights, images) == ("focal",)


def test_without_synthetic_images_no_row_learns_from_them():
    alone, images = with_overrides(Recipe(), {"plan.target": "none"}), two_classes()
    real = usual_methods(DEFAULT_METHODS, alone, images)
    assert real == ("cross_entropy", "cross_entropy_retrained", "balanced_mixup", "balanced_mixup_retrained")
    with pytest.raises(OptionError, match=r"synaug learns from synthetic images, and plan\.target is none"):
        usual_methods(["synaug"], alone, images)
    own = replace(images, frame=images.frame.assign(source=["synthetic", "real", "real", "real"]))
    assert usual_methods(DEFAULT_METHODS, alone, own) == DEFAULT_METHODS  # the data bring some
    assert usual_methods(["synaug"], alone, own) == ("synaug",)


def two_classes():
    return from_arrays(np.zeros((4, 8, 8), np.uint8), [0, 0, 1, 1], class_names=("bag", "coat"))


def test_an_undecided_start_counts_as_from_scratch():
    assert options_of("cross_entropy", Recipe()) == options_of("cross_entropy", changed(pretrained=False))


def test_fine_tuning_takes_its_own_few_epochs_unless_some_are_requested():
    def steps(recipe):
        return stage_options("fine_tuned", recipe, 320).steps

    assert steps(Recipe()) == 10 * 320 / 32
    assert steps(with_overrides(Recipe(), {"train.stage1.steps": 7})) == 7
    assert steps(with_overrides(Recipe(), {"train.stage1.epochs": 3})) == 3 * 320 / 32
    assert all(METHODS[name].needs_pretrained for name in PRETRAINED_METHODS)


def counting(function, calls):
    def counted(*arguments, **options):
        calls.append(arguments)
        return function(*arguments, **options)

    return counted


def test_a_quick_run_on_photographs_chooses_among_probes_and_keeps_its_start(
    photographs, at_hand, monkeypatch, tmp_path
):
    options = {"plan.model": "embedded", "plan.target": 8, "train.image_size": 64, "quality.gates": ["broken"]}
    recipe = with_overrides(Recipe(), options | {"generate.steps": 1})
    said = []
    seen = []
    monkeypatch.setattr("synaug.training.extract_features", counting(extract_features, seen))
    report = experiment.run(photographs, tmp_path / "run", recipe, preset="quick", notify=said.append)
    assert len(seen) <= 2 + 1 + 1  # two probes, the choice, the cross-validation: not once per fold
    assert [result["method"] for result in report["results"]] == list(PROBES)
    assert report["choice"]["chosen"] in PROBES
    assert next(result["accuracy"] for result in report["results"] if result["method"] == "linear_probe") > 0.8
    assert network_title(at_hand) in said[0]
    monkeypatch.delenv(FOLDER_VARIABLE)
    again = resolve_pretraining(recipe, None, tmp_path / "run")[0]
    assert again.train == locked_recipe(Run.open(tmp_path / "run")).train
    assert json.loads((tmp_path / "run" / "choice.json").read_text())["chosen"] == report["choice"]["chosen"]
