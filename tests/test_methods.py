"""Test that every method trains, with exactly the changes in its entry."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from synaug import experiment, methods
from synaug.config import ImagesOptions, Recipe, TrainOptions
from synaug.data.manifest import from_arrays
from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.methods import (
    DEFAULT_METHODS,
    METHODS,
    OWN,
    Sets,
    check_methods,
    is_of_options,
    method_named,
    options_of,
    registered,
    selected,
)
from synaug.methods.datasets import retraining_data
from synaug.methods.options import learns_from_validation
from synaug.methods.spectrum_matching import shares, spectral_gain
from synaug.methods.training import retrained_model
from synaug.methods.training_time import training_seconds
from synaug.pipeline import prepare as plan_stage
from synaug.pipeline.reporting import report as report_stage
from synaug.pipeline.reporting import report_examples
from synaug.pipeline.train import train
from synaug.recipes import make_recipe, with_overrides
from synaug.run_directory import Run, RunPaths, locked_recipe, replace_recipe
from synaug.runtime import storage
from synaug.synthesis.execution import synthetic_manifest
from synaug.synthesis.generators import autoencode, autoencoded_manifest
from synaug.training.last_layer.solvers import METHODS as HEADS
from synaug.training.losses import LOSSES, STATEFUL_LOSSES
from synaug.training.mixing import MIXINGS
from synaug.training.networks.classifiers import make_model
from synaug.training.networks.saving import load_classifier
from synaug.training.sampling import SAMPLERS
from synaug.training.schedules import SCHEDULES
from synaug.training.training_set import make_training_set

WITHOUT_GROUPS = [name for name, method in METHODS.items() if method.is_general or method.is_bound]


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run, to train more in."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture(scope="module")
def trained(finished, tmp_path_factory):
    """A run in which every method without groups was trained, and its results by name."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("methods") / "run")
    results = train(Run.open(run), methods=WITHOUT_GROUPS)
    return run, {result["method"]: result for result in results}


def accuracy_of(run, name):
    """Return the accuracy of a method's written predictions."""
    table = pd.read_csv(RunPaths(run).method_predictions(name, 0))
    return (table["label"] == table["prediction"]).mean()


def test_every_method_trains_and_is_tested(trained):
    run, results = trained
    assert list(results) == WITHOUT_GROUPS
    for name, result in results.items():
        assert result["accuracy"] == pytest.approx(accuracy_of(run, name))


FROM_SCRATCH = tuple(n for n, method in METHODS.items() if not (method.needs_pretrained or method.needs_validation))
OF_EACH_FAMILY = ("synaug_cmo", "ldam_drw", "square_root", "synaug_glmc", "synaug_crt", "group_dro")


@pytest.mark.parametrize("names", [OF_EACH_FAMILY, pytest.param(FROM_SCRATCH, marks=pytest.mark.long)])
def test_methods_train_from_the_command_line_on_the_demos_images(photos, recipe, tmp_path, synaug, names):
    """With the attribute that some of them need; each result belongs to the requested method."""
    shutil.copytree(photos, tmp_path / "photos")
    paths = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.png"))
    rows = [f"{path},{path.parent.name},{('day', 'night')[number % 2]}" for number, path in enumerate(paths)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,light", *rows]) + "\n")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    given, out = ("--recipe", tmp_path / "recipe.yaml", "--attribute", "light"), tmp_path / "run"
    for command in (("plan", tmp_path / "table.csv", *given, "--out", out), ("generate", out)):
        done = synaug(*command)
        assert done.code == 0, done.err
    done = synaug("train", out, "--methods", ",".join(names), "--json")
    assert done.code == 0, done.err
    results = json.loads(done.out)
    assert [result["method"] for result in results] == list(names)
    for result in results:
        assert result["accuracy"] == pytest.approx(accuracy_of(out, result["method"]))


def test_the_report_holds_every_method_and_draws_losses(trained):
    run, results = trained
    report = report_stage.report(Run.open(run))
    assert [result["method"] for result in report["results"]] == list(results)
    assert set(report["training"]["methods"]) == set(results)
    assert "Training loss" in (run / "report.html").read_text()


def test_features_that_two_methods_share_are_counted_once_per_seed_by_hand():
    seconds = {"cross_entropy": 10.0, "crt": 12.0}  # crt starts from cross_entropy
    results = [{"method": name, "seed": seed, "seconds": seconds[name]} for seed in (0, 1) for name in seconds]
    assert report_stage.training_seconds(results, Recipe()) == 24


def test_a_curve_is_the_loss_of_a_method_that_trains_features(trained):
    run, results = trained
    curves = report_examples.loss_curves(RunPaths(run), list(results.values()))
    assert len(curves) == report_examples.MOST_CURVES
    assert "cross_entropy_retrained" not in curves
    lines = (run / "checkpoints" / "cross_entropy-0" / "training.csv").read_text().splitlines()
    assert curves["cross_entropy"] == pytest.approx([float(line.split(",")[1]) for line in lines[1:]])


def test_every_loss_mixing_sampler_head_and_schedule_has_a_method():
    used = {key: set() for key in ("loss", "mixing", "sampler", "method")}
    for method in METHODS.values():
        for key, value in (*method.stage1, *method.retrain):
            used.setdefault(key, set()).add(value)
    assert used["loss"] | {"cross_entropy", "ldam"} == {*LOSSES, *STATEFUL_LOSSES}
    assert used["mixing"] | {"mixup"} == {"none", *MIXINGS}
    assert used["sampler"] | {"instance"} == set(SAMPLERS)
    assert used["method"] | {"cross_fitted", "logistic", "warm_logistic", "crt_warm"} == set(HEADS)
    assert {method.schedule for method in METHODS.values()} == set(SCHEDULES)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"classifier_only"}))
def test_methods_on_synthetic_images_are_named_synaug(name):
    method = METHODS[name]
    assert (method.data == "evened_out") == name.startswith("synaug")
    if method.starts_from not in (None, "pretrained_features"):  # that one was not trained on the run's images
        assert METHODS[method.starts_from].data == method.data
        assert METHODS[method.starts_from].starts_from is None


def test_the_default_methods_stay_the_same():
    stages = ("cross_entropy", "balanced_mixup", "synaug_stage1")
    assert DEFAULT_METHODS[::2] == stages
    assert tuple(METHODS[name].starts_from for name in DEFAULT_METHODS[1::2]) == stages  # each with its last layer
    changes = {name: (METHODS[name].data, dict(METHODS[name].stage1)) for name in DEFAULT_METHODS}
    assert changes["cross_entropy"] == ("real", {"mixing": "none"})
    assert changes["balanced_mixup"] == ("real", {"mixing": "domain_mixup", "mixup_alpha": 1.0})
    assert changes["synaug_stage1"] == ("evened_out", {})
    assert all(METHODS[name].schedule == "usual" for name in DEFAULT_METHODS)
    usual = Recipe().train.stage1  # balanced_mixup is synaug_stage1 without synthetic images
    assert (usual.mixing, usual.mixup_alpha) == ("domain_mixup", 1.0)


def test_overrides_of_a_recipe_reach_both_stages(recipe):
    recipe = with_overrides(
        recipe, {"methods": {"focal": {"stage1": {"weight_decay": 0.5}}, "crt": {"retrain": {"regularization": 3.0}}}}
    )
    sets = methods.Sets(real=[], evened_out=range(9), test=[])
    stage = methods.stage_options("focal", recipe, len(sets.evened_out))
    assert (stage.loss, stage.mixing, stage.weight_decay, stage.steps) == ("focal", "none", 0.5, 3)
    options = methods.retrain_options("crt", recipe)
    assert (options.method, options.regularization) == ("crt", 3.0)


def test_a_method_of_real_images_is_retrained_on_all_of_them(recipe):
    recipe = with_overrides(recipe, {"train.retrain.data": "evened_out"})
    chosen = {name: methods.retrain_options(name, recipe).data for name in ("crt", "synaug_crt", "classifier_only")}
    assert chosen == {"crt": "all_real", "synaug_crt": "evened_out", "classifier_only": "evened_out"}


def test_a_misspelled_override_names_the_nearest(recipe):
    with pytest.raises(OptionError, match=r"Did you mean 'stage1\.weight_decay'"):
        with_overrides(recipe, {"methods": {"focal": {"stage1": {"weight_dekay": 0.5}}}})


# ---------------------------------------------------------------- groups


def noise(prompts, *, seeds):
    return [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)) for seed in seeds]


def test_methods_that_need_groups_guess_those_of_synthetic_images(recipe, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [24, 12])
    data = from_arrays(
        rng.integers(0, 256, (36, 8, 8), dtype=np.uint8),
        labels,
        class_names=("land", "water"),
        attributes=np.arange(36) % 2,
        attribute_names=("day", "night"),
    )
    names = [name for name, method in METHODS.items() if method.groups_from == "cross_entropy"]
    seen = {}
    usual = SCHEDULES["usual"]

    def watched(model, data, options, **more):
        seen[more["stage"]] = data.groups
        return usual(model, data, options, **more)

    monkeypatch.setitem(SCHEDULES, "usual", watched)
    report = experiment.run(data, tmp_path / "run", recipe, generator=noise, methods=names)
    assert [result["method"] for result in report["results"]] == names
    for name in names:
        assert bool((seen[f"training {name}"] >= 0).all())


@pytest.mark.parametrize("name", ["group_dro", "synaug_group_balanced"])
def test_a_method_that_needs_groups_fails_before_anything_is_trained(run, name):
    with pytest.raises(OptionError, match=rf"method {name}.*groups,.*images.*attribute"):
        train(Run.open(run), methods=["focal", name])
    assert not (run / "checkpoints" / "focal-0").exists()


def test_without_the_data_groups_and_validation_images_are_not_asked_for():
    check_methods(["group_dro", "dfr_val"], Recipe())


@pytest.mark.parametrize(
    ("name", "message"), [("group_dro", "needs groups"), ("dfr_val", "validation split"), ("mine", "needs groups")]
)
def test_data_without_what_a_method_or_its_first_stage_needs_are_refused(fashion, name, message):
    recipe = make_recipe({"methods": {"mine": {"starts_from": "group_dro", "method": "classifier_only"}}})
    with pytest.raises(OptionError, match=message):
        check_methods([name], recipe, data=fashion)


def test_group_dro_gives_synthetic_images_their_own_group_on_request(recipe, tmp_path, monkeypatch):
    labels, attributes = np.repeat([0, 1], [8, 4]), np.arange(12) % 2
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    named = {"class_names": ("land", "water"), "attribute_names": ("day", "night")}
    data = from_arrays(pixels, labels, attributes=attributes, **named)
    seen, usual = {}, SCHEDULES["usual"]

    def watched(model, data, options, **more):
        seen[more["stage"]] = data
        return usual(model, data, options, **more)

    monkeypatch.setitem(SCHEDULES, "usual", watched)
    recipe = with_overrides(
        recipe,
        {"plan.target": 8, "methods": {"mine": {"method": "synaug_group_balanced", "groups_from": OWN}}},
    )
    experiment.run(data, tmp_path / "run", recipe, generator=noise, methods=["synaug_group_dro_own", "mine"])
    for name in ("synaug_group_dro_own", "mine"):
        used = seen[f"training {name}"]
        assert used.num_groups == 6
        assert used.groups[used.is_synthetic].equal(4 + used.labels[used.is_synthetic])
        assert bool((used.groups[~used.is_synthetic] < 4).all())


def test_the_source_of_groups_is_checked():
    with pytest.raises(OptionError, match=r"methods\.x\.groups_from: focal.*groups;"):
        method_named("x", make_recipe({"methods": {"x": {"method": "focal", "groups_from": OWN}}}))
    recipe = make_recipe({"methods": {"x": {"method": "group_dro", "groups_from": "focall"}}})
    with pytest.raises(OptionError, match=r"Unknown method 'focall'. Did you mean 'focal'"):
        check_methods(["x"], recipe)


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_data_path_is_an_option(finished, in_memory):
    sets = methods.load_sets(Run.open(finished), TrainOptions(in_memory=in_memory))
    assert isinstance(sets.real.images, torch.Tensor) == in_memory
    assert isinstance(sets.test.images, torch.Tensor) == in_memory


@pytest.mark.parametrize("in_memory", [True, False])
def test_synthetic_images_get_the_spectrum_of_the_real_training_images(finished, in_memory, monkeypatch):
    monkeypatch.setattr("synaug.data.images.spectrum.LEAST_WEIGHT", 5)
    run = Run.open(finished)
    plain, matched = (
        methods.load_sets(run, TrainOptions(in_memory=in_memory, match_spectrum=option)) for option in (False, True)
    )
    rows = torch.arange(len(plain.evened_out))
    before, after = (sets.evened_out.images[rows] for sets in (plain, matched))
    synthetic = plain.evened_out.is_synthetic
    assert not before[synthetic].equal(after[synthetic])
    gain, strengths = spectral_gain(plain.evened_out), shares(synthetic_manifest(run.plan, run.path))
    expected = [gain(image, strength=share) for image, share in zip(before[synthetic].numpy(), strengths, strict=True)]
    assert np.array_equal(np.stack(expected), after[synthetic].numpy())
    assert before[~synthetic].equal(after[~synthetic])
    everything = torch.arange(len(plain.test))
    assert plain.test.images[everything].equal(matched.test.images[everything])


@pytest.mark.parametrize("in_memory", [True, False])
def test_autoencoded_images_are_matched_for_methods_with_synthetic_images_only(finished, in_memory, monkeypatch):
    monkeypatch.setattr("synaug.data.images.spectrum.LEAST_WEIGHT", 5)
    run = Run.open(finished)
    autoencode(run.plan, run.manifest.split("train"), run.path, device="cpu")
    sets = methods.load_sets(run, TrainOptions(in_memory=in_memory), autoencoded=True)
    plain = methods.load_sets(run, TrainOptions(match_spectrum=False), autoencoded=True)
    rows = torch.arange(len(plain.real))
    before = plain.real.autoencoded[rows]
    assert sets.real.autoencoded[rows].equal(before)
    gain, files = spectral_gain(plain.evened_out), autoencoded_manifest(run.plan, run.manifest.split("train"), run.path)
    expected = [gain(twin, strength=share) for twin, share in zip(before.numpy(), shares(files), strict=True)]
    assert np.array_equal(np.stack(expected), sets.evened_out.autoencoded[rows].numpy())


def test_real_images_keep_their_own_autoencoded_images_beside_synthetic_ones_of_the_data(finished):
    run = Run.open(finished)
    train = run.manifest.split("train")
    autoencode(run.plan, train, run.path, device="cpu")
    mixed = replace(train, frame=train.frame.assign(source=["synthetic", "real"] + ["real"] * (len(train) - 2)))
    both = methods.load_sets(run, TrainOptions(), real=mixed, autoencoded=True).evened_out
    assert both.twins[:4].tolist() == [-1, 1, 2, 3]
    assert (both.twins[len(train) :] == -1).all()


def test_images_without_digests_get_their_share_from_their_ids():
    manifest = from_arrays(np.zeros((50, 4, 4), np.uint8), np.zeros(50, int), class_names=["a"])
    without, odd = (replace(manifest, frame=manifest.frame.assign(sha256=text)) for text in ("", "no digest"))
    assert len(set(shares(without))) == 50
    assert 0.3 < shares(without).mean() < 0.7
    assert np.array_equal(shares(without), shares(without.rows(np.arange(50))))
    assert 0 <= shares(odd)[0] < 1


def textured(groups, is_synthetic, *, seed):
    """Return a training set whose images of odd groups have four times the detail, and twice that if real."""
    rng = np.random.default_rng(seed)
    strength = 5 * np.where(groups % 2, 4, 1) * np.where(is_synthetic, 1, 2)
    images = (128 + rng.normal(size=(len(groups), 1, 12, 12)) * strength[:, None, None, None]).clip(0, 255)
    return make_training_set(
        torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(groups // 2), num_classes=2,
        is_synthetic=torch.from_numpy(is_synthetic), groups=torch.from_numpy(groups), num_groups=4,
    )  # fmt: skip


def test_spectra_are_compared_within_groups_and_with_few_real_images_of_them_within_classes():
    synthetic = np.repeat([1, 3], 60)

    def factors(real):
        kinds = np.repeat([False, True], [len(real), len(synthetic)])
        return spectral_gain(textured(np.concatenate([real, synthetic]), kinds, seed=0)).factors

    assert factors(np.repeat([0, 1, 2, 3], [90, 30, 90, 30])) == pytest.approx(2, abs=0.3)
    assert factors(np.repeat([0, 1, 2, 3], [90, 3, 90, 3])).max() < 1  # mostly with the other group of the class


def test_matching_spectra_outdates_results_that_learned_from_synthetic_images_only():
    matched, plain = Recipe(), make_recipe({"train": {"match_spectrum": False}})
    outdated = {"synaug": True, "classifier_only": True, "cross_entropy_retrained": False}
    for name, is_outdated in outdated.items():
        older = {"method": name, "options": json.loads(json.dumps(options_of(name, plain)))}
        for options in (older["options"], older["options"]["starts_from"]):
            del options["train"]["match_spectrum"]  # as before it existed
        assert is_of_options(older, plain)
        assert is_of_options(older, matched) != is_outdated, name


# ---------------------------------------------------------------- heads and their storage


def test_ldam_has_a_layer_of_cosines_which_is_kept(trained):
    run, _ = trained
    kept = load_classifier(run / "checkpoints" / "ldam_drw-0")
    assert kept.model.head == "cosine"
    assert load_classifier(run / "checkpoints" / "focal-0").model.head == "linear"
    rows = read_predictions(run, "ldam_drw")
    assert [kept.class_names[label] for label in kept.logits(images_to_test(run)).argmax(1)] == rows


def read_predictions(run, name):
    return pd.read_csv(RunPaths(run).method_predictions(name, 0))["prediction"].tolist()


def images_to_test(run):
    return methods.load_sets(Run.open(run), locked_recipe(RunPaths(run)).train).test.images


# ---------------------------------------------------------------- features are computed once


def test_features_of_a_network_are_computed_once_for_all_heads(run, monkeypatch):
    from synaug.training import inference

    calls = []
    whole = inference.extract_features
    monkeypatch.setattr("synaug.training.extract_features", lambda *a, **k: calls.append(1) or whole(*a, **k))
    train(Run.open(run), methods=["lws", "tau_norm", "nearest_class_mean", "synaug_tau_norm"])
    assert len(calls) == 2


# ---------------------------------------------------------------- tracking


def track(run, recipe):
    replace_recipe(RunPaths(run), with_overrides(recipe, {"train.track": "tensorboard"}))
    assert locked_recipe(RunPaths(run)).train.track == "tensorboard"


def test_tensorboard_receives_the_losses(run, recipe):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track(run, recipe)
    train(Run.open(run), methods=["focal", "simclr_start"])
    told = EventAccumulator(str(run / "tracking" / "focal-0"))
    told.Reload()
    assert [event.step for event in told.Scalars("loss")] == [3]
    both = EventAccumulator(str(run / "tracking" / "simclr_start-0"))
    both.Reload()
    assert {"loss", "start/loss"} <= set(both.Tags()["scalars"])


def test_a_link_in_the_place_of_tensorboards_folder_is_refused(tmp_path):
    from synaug.runtime.files import directories
    from synaug.training.tracking import tracked

    (tmp_path / "home").mkdir()
    directories.own(tmp_path / "run")
    (tmp_path / "run" / "tracking").mkdir(parents=True)
    (tmp_path / "run" / "tracking" / "synaug-0").symlink_to(tmp_path / "home")
    with (
        pytest.raises(DataError, match="synaug-0 is a link that leads out of"),
        tracked("tensorboard", name="synaug-0", folder=tmp_path / "run" / "tracking"),
    ):
        pass
    assert not list((tmp_path / "home").iterdir())


def test_without_tensorboard_the_way_out_is_named(run, recipe, monkeypatch):
    from accelerate.tracking import TensorBoardTracker

    def absent(self):
        raise ModuleNotFoundError("No module named 'tensorboard'")

    monkeypatch.setattr(TensorBoardTracker, "start", absent)
    track(run, recipe)
    with pytest.raises(EnvironmentFault, match=r"'synaug\[track\]',.*train\.track"):
        train(Run.open(run), methods=["focal"])


def test_a_run_that_is_not_tracked_has_no_folder_for_it(trained):
    run, _ = trained
    assert not RunPaths(run).tracking.exists()
    assert json.loads(RunPaths(run).lock_file.read_text())["recipe"]["train"]["track"] is None
    assert storage.read_json(RunPaths(run).result("focal", 0))["method"] == "focal"


def test_a_recipe_may_name_its_own_versions_of_a_method():
    recipe = make_recipe(
        {"methods": {"deeper": {"method": "cross_entropy", "network": "resnet20"},
                     "deeper_retrained": {"method": "synaug", "starts_from": "deeper"}}}
    )  # fmt: skip
    assert method_named("deeper", recipe) == METHODS["cross_entropy"]
    assert method_named("deeper_retrained", recipe).starts_from == "deeper"
    assert options_of("deeper", recipe) != options_of("cross_entropy", recipe)
    assert methods.network_of("deeper_retrained", recipe) == methods.network_of("deeper", recipe) == "resnet20"
    with pytest.raises(OptionError, match="trains its own features"):
        method_named("x", make_recipe({"methods": {"x": {"method": "cross_entropy", "starts_from": "synaug"}}}))


def test_a_reworded_method_does_not_outdate_its_results(monkeypatch):
    before = options_of("focal", Recipe())
    monkeypatch.setitem(METHODS, "focal", replace(METHODS["focal"], description="Said otherwise."))
    assert options_of("focal", Recipe()) == before


def test_a_result_is_of_options_that_have_defaults_since_and_of_no_others():
    recipe = make_recipe({"methods": {"again": {"method": "synaug", "stage1": {"momentum": 0.5}}}})
    result = {"method": "again", "options": json.loads(json.dumps(options_of("again", recipe)))}
    assert is_of_options(result, recipe)
    del result["options"]["train"]["stage1"]["average"]  # as if it had been added later
    del result["options"]["starts_from"]["method"]["groups_from"]
    assert is_of_options(result, recipe)
    assert not is_of_options(result, with_overrides(recipe, {"train.stage1.average": 0.9}))
    result["options"]["train"]["stage1"]["no_more"] = 1
    assert not is_of_options(result, recipe)


def study_sets():
    labels = torch.arange(2).repeat_interleave(10)
    is_synthetic = torch.arange(20) % 2 == 1
    images = torch.zeros(20, 1, 4, 4, dtype=torch.uint8)
    both = make_training_set(images, labels, num_classes=2, is_synthetic=is_synthetic)
    return Sets(real=both.rows(~is_synthetic), evened_out=both, test=both, class_names=("a", "b"))


@pytest.mark.parametrize(
    ("images", "real", "synthetic"),
    [
        ({}, [5, 5], [5, 5]),
        ({"synthetic_per_class": 2}, [5, 5], [2, 2]),
        ({"replaced": 0.0}, [5, 5], [0, 0]),
        ({"replaced": 0.4}, [3, 3], [2, 2]),
        ({"replaced": 1.0}, [0, 0], [5, 5]),
        ({"replaced_classes": ["b"]}, [5, 0], [0, 5]),
    ],
)
def test_a_study_chooses_images_by_hand(images, real, synthetic):
    chosen = selected(study_sets(), ImagesOptions(**images)).evened_out
    for kind, counts in ((False, real), (True, synthetic)):
        assert torch.bincount(chosen.labels[chosen.is_synthetic == kind], minlength=2).tolist() == counts


def test_a_study_leaves_the_autoencoded_images_of_real_only_methods_as_they_are():
    sets = study_sets()
    twins = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 1, 4, 4)
    places = torch.where(sets.evened_out.is_synthetic, -1, torch.arange(20) // 2)
    with_twins = replace(
        sets,
        real=replace(sets.real, autoencoded=twins, twins=torch.arange(10)),
        evened_out=replace(sets.evened_out, autoencoded=twins + 100, twins=places),
    )
    chosen = selected(with_twins, ImagesOptions(replaced=0.4)).real
    assert len(chosen) == 6
    assert chosen.with_twins(torch.arange(6), torch.ones(6, dtype=torch.bool)).max() < 100


def test_a_study_of_an_unknown_class_names_the_known():
    with pytest.raises(OptionError, match=r"Unknown class in images\.replaced_classes 'c'"):
        selected(study_sets(), ImagesOptions(replaced_classes=("c",)))


def test_groups_are_balanced_by_hand_and_only_if_they_are_known():
    labels, attributes = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), torch.tensor([0, 0, 0, 1, 0, 1, 1, -1])
    groups = torch.where(attributes < 0, -1, 2 * labels + attributes)
    images = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
    real = make_training_set(images, labels, num_classes=2, groups=groups, num_groups=4)
    images, draws = methods.retraining_set(Sets(real, real, real), "group_balanced_real", seed=0)
    assert len(draws) == 10
    assert all(torch.bincount(images.groups[draw]).tolist() == [1, 1, 1, 1] for draw in draws)
    assert sorted(set(np.concatenate(draws))) == list(range(len(images)))
    assert (images.groups >= 0).all()
    with pytest.raises(OptionError, match="group_balanced_real needs images whose attribute is known"):
        methods.retraining_set(study_sets(), "group_balanced_real", seed=0)


def test_the_length_of_a_training_counts_each_network_once_that_several_methods_share(photos, monkeypatch):
    options = {"plan.model": "embedded", "train.stage1.steps": 10, "train.stage1.batch_size": 8}
    changes = {"methods.mine": {"method": "cross_entropy", "network": "resnet20"}}
    recipe = with_overrides(Recipe(), options | changes)
    plan = plan_stage.drafted_plan(plan_stage.load_data(photos, recipe), recipe)
    asked = []

    def pace(model, *, in_channels, image_size, device, precision):
        asked.append((in_channels, image_size))
        return 0.5

    monkeypatch.setattr("synaug.training.seconds_per_image", pace)
    one = 10 * 8 * 0.5
    assert training_seconds(["cross_entropy", "cross_entropy_retrained", "crt"], recipe, plan) == one
    assert training_seconds(["synaug", "synaug_stage1", "cross_entropy", "glmc"], recipe, plan) == 4 * one
    assert asked == [(1, 28)] * 2
    assert training_seconds(["mine", "cross_entropy"], recipe, plan) == 2 * one
    assert len(asked) == 4


def test_a_network_of_the_users_own_is_not_run_for_a_preview(photos, tmp_path):
    recipe = with_overrides(Recipe(), {"plan.model": "embedded", "train.network": f"{tmp_path / 'net.py'}:Net"})
    plan = plan_stage.drafted_plan(plan_stage.load_data(photos, recipe), recipe)
    assert training_seconds(["cross_entropy"], recipe, plan) is None


# ---------------------------------------------------------------- options of each method, and one meaning per name


def small_groups(groups, num_groups=4):
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    images = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
    return make_training_set(images, labels, num_classes=2, groups=torch.tensor(groups), num_groups=num_groups)


def test_a_known_attribute_makes_the_last_layer_group_balanced_unless_images_are_named():
    known, unknown = small_groups([0, 0, 0, 1, 2, 3, 3, 3]), small_groups([-1] * 8, 0)
    for uses_synthetic, usual in ((True, "evened_out"), (False, "all_real")):
        assert retraining_data("auto", known, uses_synthetic=uses_synthetic) == "group_balanced_real"
        assert retraining_data("auto", unknown, uses_synthetic=uses_synthetic) == usual
        assert retraining_data("auto", small_groups([0, 0, 0, 0, 2, 2, 2, 2]), uses_synthetic=uses_synthetic) == usual
        assert retraining_data("all_real", known, uses_synthetic=uses_synthetic) == "all_real"
    images, draws = methods.retraining_set(Sets(known, known, known), "auto", seed=0)
    assert torch.bincount(images.groups[draws[0]]).tolist() == [1, 1, 1, 1]


def test_a_balanced_set_is_its_only_draw():
    known = small_groups([0, 0, 1, 1, 2, 2, 3, 3])
    images, draws = methods.retraining_set(Sets(known, known, known), "group_balanced_real", seed=0)
    assert (len(images), draws) == (8, None)


def test_a_last_layer_that_learns_from_the_validation_images_is_recognized():
    recipe = with_overrides(Recipe(), {"methods": {"mine": {"method": "synaug", "retrain": {"data": "validation"}}}})
    assert [learns_from_validation(name, recipe) for name in ("dfr_val", "mine")] == [True, True]
    assert not any(learns_from_validation(name, recipe) for name in ("dfr", "synaug", "cross_entropy"))


def test_all_real_images_are_weighted_by_class_and_only_group_rows_by_group():
    """With the default last layer, which weights its groups equally."""
    rng, labels = np.random.default_rng(0), torch.arange(80) % 2
    attributes = torch.where(torch.arange(80) % 10 < 2, 1 - labels, labels)  # reveals the label of four images in five
    pixels = rng.integers(0, 120, (80, 1, 8, 8)) + 60 * attributes[:, None, None, None].numpy()
    images = torch.from_numpy(pixels.astype(np.uint8))
    grouped = make_training_set(images, labels, num_classes=2, groups=2 * labels + attributes, num_groups=4)
    plain = make_training_set(images, labels, num_classes=2)
    base = make_model("resnet8", num_classes=2, in_channels=1, image_size=8, pretrained=False, head="linear", seed=0)

    def last_layer(name, data):
        sets = Sets(data, data, data)
        return retrained_model(name, "cross_entropy", base.eval(), sets=sets, recipe=Recipe()).classifier.weight

    assert torch.equal(last_layer("cross_entropy_retrained", grouped), last_layer("cross_entropy_retrained", plain))
    assert not torch.equal(last_layer("group_retrained", grouped), last_layer("cross_entropy_retrained", grouped))


def test_the_validation_split_is_learned_from_only_if_there_is_one():
    data = small_groups([0, 0, 1, 1, 2, 2, 3, 3])
    assert methods.retraining_set(Sets(data, data, data, data), "validation", seed=0) == (data, None)
    with pytest.raises(OptionError, match="needs a validation split, and the data have none"):
        methods.retraining_set(Sets(data, data, data), "validation", seed=0)


@pytest.mark.parametrize(
    "name", ["crt", "lws", "tau_norm", "max_norm", "nearest_class_mean", "dfr", "feature_sampling"]
)
def test_last_layers_of_the_literature_do_not_inherit_options_for_synaug(name):
    shared = make_recipe({"train": {"retrain": {"data": "balanced_real", "regularization": 0.01}}})
    options = methods.retrain_options(name, shared)
    assert options.data == "all_real"
    assert options.regularization == 1.0 or name == "feature_sampling"


@pytest.mark.parametrize("name", ["dfr", "tau_norm"])
def test_a_strength_that_a_last_layer_would_ignore_is_refused(name):
    recipe = make_recipe({"methods": {name: {"retrain": {"regularization": 0.1}}}})
    with pytest.raises(OptionError, match="has no such strength or chooses it from a grid of its own"):
        check_methods([name], recipe)


@pytest.mark.parametrize("name", ["upper_bound", "upper_bound_mixup"])
def test_a_bound_does_not_inherit_the_mixing_of_the_recipe_and_is_marked_as_a_bound(name):
    recipe = make_recipe({"train": {"stage1": {"mixing": "domain_mixup", "mixup_alpha": 1.0}}})
    stage = methods.stage_options(name, recipe, 100)
    assert (stage.mixing, stage.mixup_alpha) in (("none", 1.0), ("mixup", 0.2))
    assert registered(name, recipe) == {"uses_synthetic": False, "is_bound": True, "problem": None}


def test_results_of_an_older_formula_are_trained_again():
    recipe = Recipe()
    for name in ("ldam_drw", "deferred_reweighting", "glmc", "synaug_cmo"):
        result = {"method": name, "options": json.loads(json.dumps(options_of(name, recipe)))}
        assert is_of_options(result, recipe)
        del result["options"]["formulas"]
        assert not is_of_options(result, recipe), name
    assert "formulas" not in options_of("cmo", recipe)  # unchanged on real images


def test_it_makes_no_difference_whether_recipe_or_method_sets_a_value():
    recipe = make_recipe({"train": {"retrain": {"data": "evened_out"}}})
    named = make_recipe({"methods": {"synaug": {"retrain": {"data": "evened_out"}}}})
    result = {"method": "synaug", "options": json.loads(json.dumps(options_of("synaug", recipe)))}
    assert is_of_options(result, named)
    assert not is_of_options(result, Recipe())


def test_a_linear_probe_needs_pretrained_weights():
    with pytest.raises(OptionError, match=r"uses pretrained features as they are, but train.pretrained is false"):
        check_methods(["linear_probe"], make_recipe({"train": {"pretrained": False}}))
    check_methods(["linear_probe"], Recipe())  # undecided so far
    check_methods(["linear_probe"], make_recipe({"train": {"network": "timm/resnet18", "pretrained": True}}))
