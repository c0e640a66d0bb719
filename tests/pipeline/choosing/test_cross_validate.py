"""Cross-validation of a run: when it happens, on which images, resumed per fold, and shown in the report."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from synaug import experiment
from synaug.config import Recipe
from synaug.data.readers import read_data
from synaug.data.subsets import with_test_split
from synaug.errors import OptionError
from synaug.pipeline.choosing import cross_validate as stage
from synaug.pipeline.choosing.folds import real_folds
from synaug.recipes import with_overrides
from synaug.report.cross_validation import cross_validation_sentence, recall_sentence
from synaug.run_directory import Run
from synaug.runtime import storage

NAMES = ["synaug_stage1", "cross_entropy"]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """A finished run that was cross-validated in three folds, twice."""
    out = tmp_path_factory.mktemp("folds") / "run"
    shutil.copytree(finished, out)
    content = stage.cross_validate(Run.open(out), options(out), NAMES, folds=3)
    return out, content


def options(out, **changes):
    return with_overrides(Run.open(out).recipe, {"cross_validate.repeats": 2} | changes)


def test_each_real_image_is_judged_even_those_drawn_for_testing(run):
    out, content = run
    manifest = Run.open(out).manifest
    assert manifest.drew_test
    assert content["num_images"] == len(manifest)
    assert list(content["methods"]) == NAMES
    images = {name: each["images"] for name, each in content["methods"][NAMES[0]]["per_class"].items()}
    counts = np.bincount(manifest.labels)
    assert images == dict(zip(manifest.class_names, counts.tolist(), strict=True))
    assert json.loads((out / "cross-validation.json").read_text())["methods"] == content["methods"]
    assert not (out / "cross-validation").exists()


def test_a_test_split_of_the_data_stays_untouched(run):
    manifest = replace(Run.open(run[0]).manifest, drew_test=False)
    assert set(stage.judged_images(manifest).frame["id"]) == set(manifest.split("train").frame["id"])
    assert stage.num_folds(manifest, Recipe()) == 0
    assert stage.num_folds(manifest, with_overrides(Recipe(), {"cross_validate.folds": 4})) == 4


def test_finished_folds_are_kept_and_the_result_is_the_same(run, finished, tmp_path, monkeypatch):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    trained, predictions = [], stage.held_out_predictions

    def counted(names, inside, outside, place, recipe, progress):
        if len(trained) == 4:
            raise KeyboardInterrupt
        trained.append(place.path.name)
        return predictions(names, inside, outside, place, recipe, progress)

    monkeypatch.setattr(stage, "held_out_predictions", counted)
    with pytest.raises(KeyboardInterrupt):
        stage.cross_validate(Run.open(out), options(out), NAMES, folds=3)
    first = list(trained)
    trained.clear()
    content = stage.cross_validate(Run.open(out), options(out), NAMES, folds=3)
    assert (len(first), len(trained)) == (4, 2)
    assert not set(first) & set(trained)
    assert content["methods"] == run[1]["methods"]
    stage.cross_validate(Run.open(out), options(out), NAMES, folds=3)  # nothing is trained again
    assert len(trained) == 2
    storage.write_text(
        storage.make_folder(out / stage.FOLDER) / "fold-0.json", "{}"
    )  # left by a kill before its removal
    stage.cross_validate(Run.open(out), options(out), NAMES, folds=3)
    assert not (out / stage.FOLDER).exists()


def test_few_drawn_test_images_require_folds_and_many_do_not(photos, recipe):
    few = with_test_split(read_data(photos, recipe.data), 0.3, 0)
    assert stage.num_folds(few, Recipe()) == stage.USUAL_FOLDS
    assert stage.num_folds(few, with_overrides(Recipe(), {"cross_validate.folds": 0})) == 0
    many = replace(few, frame=few.frame.loc[few.frame.index.repeat(40)].reset_index(drop=True))
    assert stage.num_folds(many, Recipe()) == 0


def test_images_of_one_cluster_share_a_fold(photos, recipe):
    manifest = read_data(photos, recipe.data)
    clusters = np.arange(len(manifest)) // 3
    folds = real_folds(
        replace(manifest, frame=manifest.frame.assign(cluster=clusters)), 4, np.random.default_rng(0), by_group=False
    )
    assert all(len(set(folds[clusters == each])) == 1 for each in set(clusters))
    assert len(set(folds[folds >= 0])) == 4


def test_auto_trains_the_chosen_classifier_and_its_rival_and_folds_all_rows():
    results = [
        {"method": name, "is_bound": name == "upper_bound"}
        for name in ("cross_entropy", "oversampling", "synaug", "upper_bound")
    ]
    auto = Recipe()
    assert stage.judged_methods(results, "synaug", "oversampling", auto) == ["synaug", "oversampling"]
    assert stage.judged_methods(results, "synaug", None, auto) == ["synaug"]
    asked = with_overrides(auto, {"cross_validate.folds": 3})
    assert stage.judged_methods(results, "synaug", "oversampling", asked) == ["synaug", "cross_entropy", "oversampling"]


def test_a_slow_cross_validation_is_skipped_with_a_note(finished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    lock = json.loads((out / "synaug.lock.json").read_text())["recipe"]
    assert lock["cross_validate"]["folds"] == 0
    manifest = Run.open(out).manifest
    sentence = stage.too_long(manifest, 5, 7200)
    assert "--folds 5" in sentence
    assert "test image" in sentence


def test_the_report_begins_with_the_cross_validated_difference(photos, recipe, tmp_path):
    asked = with_overrides(recipe, {"cross_validate.folds": 2})
    report = experiment.run(photos, tmp_path / "run", asked, methods=NAMES)
    assert report["cross_validation"]["folds"] == 2
    sentence = cross_validation_sentence(report)
    assert sentence.startswith(f"In 2-fold cross-validation of {report['cross_validation']['num_images']}")
    assert "95 % interval" in sentence
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'id="folds"' in page
    rarest = min(report["data"]["class_counts"], key=report["data"]["class_counts"].get)
    assert "In cross-validation" in recall_sentence(report, rarest)


def test_one_fold_is_refused():
    with pytest.raises(OptionError, match="nothing to train on"):
        with_overrides(Recipe(), {"cross_validate.folds": 1})
