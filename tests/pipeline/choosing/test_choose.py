"""Test that a run chooses one classifier, on real images outside its training set, never on test images."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from synaug import experiment
from synaug.config import Recipe
from synaug.data.readers import read_data
from synaug.data.subsets import fold_numbers, with_test_split
from synaug.methods import load_sets
from synaug.methods.registry import DEFAULT_METHODS, METHODS, PRETRAINED_METHODS, PROBES
from synaug.pipeline.choosing.candidates import REAL, SYNTHETIC, candidates, uses_synthetic
from synaug.pipeline.choosing.choose import Judged, affordable_effort, choose, finalists, metric_of, verdict
from synaug.pipeline.choosing.folds import fold_sets, images_shown, real_folds
from synaug.pipeline.classifier.export_classifier import export_classifier
from synaug.pipeline.run_results import read_choice
from synaug.recipes import with_overrides
from synaug.report.choice import choice_sentences, may_not_need
from synaug.run_directory import Run, RunPaths
from synaug.runtime import storage
from synaug.runtime.records import write_sealed

FEW = ("cross_entropy", "synaug_stage1", "synaug")


def outcome(out):
    return {key: value for key, value in read_choice(RunPaths(out)).items() if key != "seconds"}


def test_a_run_reports_its_choice_and_tests_that_classifier(finished):
    report, choice = json.loads((finished / "report.json").read_text()), outcome(finished)
    assert report["choice"]["chosen"] == choice["chosen"]
    assert choice["chosen"] in [result["method"] for result in report["results"]]
    assert [row["method"] for row in choice["candidates"]] == [*REAL, *SYNTHETIC]
    assert (choice["judged_on"], choice["metric"], choice["folds"]) == ("folds", "mean_recall", 2)
    assert not (finished / "choice").exists()  # the states of the shortened trainings
    own = (finished / "checkpoints" / f"{choice['chosen']}-0" / "predictions.csv").read_text()
    assert (finished / "predictions.csv").read_text() == own


@pytest.mark.parametrize("validation", [False, True])
def test_poisoned_test_images_do_not_change_the_choice(photos, recipe, tmp_path, validation):
    data = with_test_split(read_data(photos, recipe.data), 0.3, 0)
    splits = data.frame["split"].to_numpy(object).copy()
    if validation:
        training = np.flatnonzero(splits == "train")
        splits[training[::2]] = "validation"
    data = replace(data, frame=data.frame.assign(split=splits.astype(str)))
    rng = np.random.default_rng(0)
    labels = np.where(splits == "test", rng.permutation(data.labels), data.labels)
    first = np.where(splits == "test", np.arange(len(labels)) % 3, labels)  # each class keeps a test image
    poisoned = replace(data, frame=data.frame.assign(label=first))
    assert (first != data.labels).sum() > 5
    for name, images in (("clean", data), ("poisoned", poisoned)):
        experiment.run(images, tmp_path / name, recipe, methods=FEW)
    assert outcome(tmp_path / "clean") == outcome(tmp_path / "poisoned")
    assert outcome(tmp_path / "clean")["judged_on"] == ("validation" if validation else "folds")


def test_a_choice_is_kept_and_made_again_for_other_options(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    before = (run / "choice.json").stat().st_mtime_ns
    recipe = with_overrides(Recipe(), json.loads((run / "synaug.lock.json").read_text())["recipe"])
    sets = load_sets(Run.open(run), recipe.train)
    choose(Run.open(run), recipe, sets, experiment.DEFAULT_METHODS)
    assert (run / "choice.json").stat().st_mtime_ns == before
    storage.write_text(storage.make_folder(run / "choice" / "fold-0") / "training.csv", "")
    choose(Run.open(run), recipe, sets, experiment.DEFAULT_METHODS)
    assert not (run / "choice").exists()  # left by a kill between the choice and the removal
    one = with_overrides(recipe, {"choose.candidates": ("cross_entropy",)})
    assert choose(Run.open(run), one, sets, experiment.DEFAULT_METHODS)["chosen"] == "cross_entropy"


def test_a_model_is_judged_on_images_that_it_did_not_learn_from(finished):
    recipe = with_overrides(Recipe(), json.loads((finished / "synaug.lock.json").read_text())["recipe"])
    run, sets = Run.open(finished), load_sets(Run.open(finished), recipe.train)
    training = run.manifest.split("train")
    folds = real_folds(training, 2, np.random.default_rng(0), by_group=False)
    shown = images_shown(training, run)
    assert (shown == -1).all()  # made from text
    for fold in range(2):
        inside = fold_sets(sets, folds, fold, shown)
        outside = sets.real.rows(folds == fold)
        learned = {image.numpy().tobytes() for image in inside.evened_out.images}
        assert len(outside)
        assert not any(image.numpy().tobytes() in learned for image in outside.images)
        assert inside.real.images.equal(sets.real.images[torch.from_numpy(folds != fold)])


def test_a_synthetic_image_leaves_with_the_real_one_it_was_made_from(finished):
    recipe = with_overrides(Recipe(), json.loads((finished / "synaug.lock.json").read_text())["recipe"])
    sets = load_sets(Run.open(finished), recipe.train)
    num = int(sets.evened_out.is_synthetic.sum())
    shown = np.full((num, 2), -1)
    shown[:3, 0] = 0
    shown[3, 1] = 2  # the second of its references
    folds = np.arange(len(sets.real)) % 2
    assert fold_sets(sets, folds, 0, shown).evened_out.is_synthetic.sum() == num - 4
    assert fold_sets(sets, folds, 1, shown).evened_out.is_synthetic.sum() == num


def test_twins_share_a_fold_and_a_lone_image_is_never_held_out():
    strata, contents = np.array([0] * 8 + [1] * 5 + [2]), np.array([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10])
    folds = fold_numbers(strata, 3, np.random.default_rng(0), contents=contents)
    assert all(len(set(folds[contents == content])) == 1 for content in contents)
    assert folds[-1] == -1
    assert set(folds[strata == 0]) == set(folds[strata == 1]) == {0, 1, 2}


def test_candidates_are_real_only_first_and_never_a_bound():
    names = candidates(experiment.DEFAULT_METHODS, Recipe(), with_groups=True, with_synthetic=True)
    kinds = [uses_synthetic(name, Recipe()) for name in names]
    assert kinds == sorted(kinds)
    assert {"synaug", "synaug_tenth", "balanced_mixup_retrained", "group_balanced"} <= set(names)
    assert "group_balanced" not in candidates(DEFAULT_METHODS, Recipe(), with_groups=False, with_synthetic=True)
    asked = candidates(["focal", "upper_bound", "synaug"], Recipe(), with_groups=False, with_synthetic=True)
    assert asked == ["focal", "synaug"]
    assert candidates(["synaug"], Recipe(), with_groups=False, with_synthetic=False) == ["synaug"]
    assert candidates(["upper_bound"], Recipe(), with_groups=False, with_synthetic=True) == []
    assert candidates(["focal", "synaug"], Recipe(), with_groups=False, with_synthetic=False) == ["focal"]


@pytest.mark.parametrize("usual", [DEFAULT_METHODS, PRETRAINED_METHODS, PROBES])
def test_with_groups_the_candidates_know_them_whatever_the_training_starts_from(usual):
    alone = with_overrides(Recipe(), {"plan.target": "none"})
    real = [name for name in usual if not uses_synthetic(name, alone)]
    for methods, recipe in ((usual, Recipe()), (real, alone)):
        names = candidates(methods, recipe, with_groups=True, with_synthetic=True)
        plain = candidates(methods, recipe, with_groups=False, with_synthetic=True)
        assert set(methods) <= set(plain) < set(names)
        assert {METHODS[name].problem for name in set(names) - set(plain)} == {"groups"}
        if methods == real:
            assert not any(uses_synthetic(name, recipe) for name in names)
    asked = candidates(real, Recipe(), with_groups=True, with_synthetic=True)  # with --methods
    assert asked == real


def judged(*counts, of=40):
    """Return predictions for two classes; candidate k recognizes ``counts[k]`` of ``of`` images per class."""
    labels = np.repeat([0, 1], of)
    predictions = np.column_stack([np.where(np.tile(np.arange(of), 2) < count, labels, 1 - labels) for count in counts])
    return Judged(predictions, labels, labels)


def test_synthetic_images_that_do_not_help_are_reported():
    each = judged(30, 31)
    each.predictions[:, 1] = each.predictions[::-1, 1]  # other images than those oversampling recognizes
    each.predictions[:, 1] = np.where(each.predictions[:, 1] == each.labels[::-1], each.labels, 1 - each.labels)
    choice = verdict(["oversampling", "synaug"], each, Recipe(), "mean_recall")
    assert choice["chosen"] == "oversampling"
    assert choice["best"] == "synaug"
    choice |= {"judged_on": "folds"}
    report = {"choice": choice, "results": [], "data": {}}
    assert any("did not help" in sentence for sentence in choice_sentences(report))


def test_synthetic_images_that_help_are_chosen_with_their_lead_and_certainty():
    choice = verdict(["oversampling", "synaug"], judged(20, 36), Recipe(), "mean_recall")
    assert choice["chosen"] == "synaug"
    assert choice["rival"]["method"] == "oversampling"
    assert choice["rival"]["difference"] == pytest.approx(0.4)
    assert choice["rival"]["certainty"] > 0.999


def test_with_groups_the_worst_group_decides_or_their_mean_if_one_is_too_small(finished):
    data = Run.open(finished).manifest
    rows = np.flatnonzero(data.frame["split"].to_numpy() == "train")
    for small, expected in ((10, "worst_group_accuracy"), (9, "mean_group_accuracy")):
        frame = data.rows(np.tile(rows[:1], 40)).frame.assign(label=0, attribute=np.repeat([0, 1], [40 - small, small]))
        grouped = replace(data, frame=frame, attribute_names=("day", "night"))
        assert metric_of(Recipe(), grouped) == expected
        asked = with_overrides(Recipe(), {"choose.metric": "mean_recall"})
        assert metric_of(asked, grouped) == "mean_recall"
    assert metric_of(Recipe(), data) == "mean_recall"  # no attribute is known
    choice = verdict(["oversampling", "synaug"], judged(4, 5, of=9), Recipe(), "mean_group_accuracy")
    assert (choice["metric"], choice["best"]) == ("mean_group_accuracy", "synaug")


def test_the_best_candidate_of_the_other_kind_is_tested_too():
    choice = verdict(["cross_entropy", "oversampling", "synaug"], judged(10, 25, 36), Recipe(), "mean_recall")
    assert finalists(choice) == ["synaug", "oversampling"]
    assert finalists(verdict(["oversampling"], judged(20), Recipe(), "mean_recall")) == ["oversampling"]


def test_without_images_to_judge_on_the_simplest_is_taken():
    nothing = Judged(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert verdict(["oversampling", "synaug"], nothing, Recipe(), "mean_recall")["chosen"] == "oversampling"


def test_the_chosen_classifier_is_the_one_that_is_exported(finished, tmp_path):
    export_classifier(finished, tmp_path / "chosen")
    config = json.loads((tmp_path / "chosen" / "config.json").read_text())
    assert config["method"] == outcome(finished)["chosen"]


def test_images_are_reported_unnecessary_only_if_the_rarest_class_is_recognized():
    assert "97" in may_not_need("coat", "oversampling", 0.97, num_tested=40)
    assert may_not_need("coat", "oversampling", 0.9, num_tested=40) == ""
    assert may_not_need("coat", "oversampling", 1.0, num_tested=2) == ""  # two images prove nothing
    assert may_not_need("coat", "oversampling", float("nan"), num_tested=40) == ""


def test_a_budget_shortens_the_trainings_by_the_pace_of_those_before(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name, seconds in (("cross_entropy", 60), ("synaug_stage1", 180)):
        path = Run.open(run).result(name, 0)
        write_sealed(path, json.loads(path.read_text()) | {"seconds": seconds})

    def effort(minutes):
        recipe = with_overrides(Recipe(), {"choose.budget": minutes})  # two folds, two trainings of two minutes: 8
        return affordable_effort(["cross_entropy", "synaug_stage1", "synaug"], recipe, Run.open(run))

    assert effort(0.8) == pytest.approx(0.1)
    assert (effort(None), effort(60)) == (0.25, 0.25)
    assert effort(0.001) == 0.01
