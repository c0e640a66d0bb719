"""Test the paired comparison of the final classifier with its best rival, seed by seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synaug.data.manifest import from_arrays
from synaug.evaluation.intervals.proportions import paired_interval
from synaug.pipeline.choosing.comparison import best_rival, compared, leading_column
from synaug.run_directory import RunPaths
from synaug.runtime import storage


@pytest.fixture
def run(tmp_path):
    """Predictions of three methods and two seeds on 40 images of two classes, 30 and 10, each in a different order."""
    folder, rng = RunPaths(tmp_path), np.random.default_rng(0)
    labels = np.repeat(["bag", "coat"], [30, 10])
    for method, wrong in (("cross_entropy", 12), ("oversampling", 8), ("synaug", 4)):
        for seed in (0, 1):
            prediction = np.where(np.arange(40) >= 40 - wrong, "shoe", labels)
            table = pd.DataFrame({"id": [f"i{n}" for n in range(40)], "label": labels, "prediction": prediction})
            path = folder.method_predictions(method, seed)
            storage.write_text(
                storage.make_folder(path.parent) / path.name, table.loc[rng.permutation(40)].to_csv(index=False)
            )
    return folder


def results(methods=("cross_entropy", "oversampling", "synaug", "upper_bound")):
    accuracies = {"cross_entropy": 0.7, "oversampling": 0.8, "synaug": 0.9, "upper_bound": 1.0}
    return [
        {
            "method": name,
            "seed": seed,
            "accuracy": accuracies[name],
            "uses_synthetic": name == "synaug",
            "is_bound": name == "upper_bound",
        }
        for name in methods
        for seed in (0, 1)
    ]


def test_the_difference_is_that_of_the_same_images(run):
    found = compared(run, results(), "synaug")
    assert (found["method"], found["other"], found["other_uses_synthetic"]) == ("synaug", "oversampling", False)
    assert (found["num_images"], found["num_seeds"]) == (40, 2)
    ends = paired_interval(np.arange(40) < 36, np.arange(40) < 32)
    assert found["accuracy"] == {"difference": pytest.approx(0.1), "interval": pytest.approx([ends.low, ends.high])}
    assert found["mean_recall"]["difference"] == pytest.approx((0.0 + 0.4) / 2)


def test_with_groups_the_worst_group_chooses_the_rival_and_is_compared(run):
    """Both methods of real images err on the last images, all of one attribute; synaug on the first ones."""
    labels = np.repeat(["bag", "coat"], [30, 10])
    attribute = np.where(np.arange(40) % 2, "day", "")
    attribute[30:] = "night"
    wrong = {"cross_entropy": range(34, 40), "oversampling": range(37, 40), "synaug": range(1, 5)}
    for method, rows in wrong.items():
        prediction = labels.copy()
        prediction[list(rows)] = "shoe"
        table = {"id": np.arange(40), "label": labels, "prediction": prediction, "attribute": attribute}
        storage.write_text(run.method_predictions(method, 0), pd.DataFrame(table).to_csv(index=False))
    worst = {"cross_entropy": 0.9, "oversampling": 0.7, "synaug": 0.8}  # as if measured
    of_groups = [
        each | {"worst_group_accuracy": worst[each["method"]], "per_group": {"bag x day": 0.5}}
        for each in results(["cross_entropy", "oversampling", "synaug"])
        if each["seed"] == 0
    ]
    assert compared(run, of_groups, "synaug")["other"] == "oversampling"  # the more accurate one
    for missing in ({"worst_group_accuracy": None}, {}):  # the attribute of the test images is unknown
        unknown = [{k: v for k, v in each.items() if k != "worst_group_accuracy"} | missing for each in of_groups]
        assert best_rival(unknown, "synaug", "worst_group_accuracy") == "oversampling"
    found = compared(run, of_groups, "synaug", "worst_group_accuracy")
    assert found["other"] == "cross_entropy"
    # bag x day: 13 of 15 images; coat x night: 4 of 10; images of unknown attribute are in no group
    assert found["worst_group_accuracy"]["difference"] == pytest.approx(13 / 15 - 4 / 10)
    assert "worst_group_accuracy" not in compared(run, of_groups, "synaug")


def test_the_worst_group_leads_only_if_each_group_has_enough_images():
    def images(*sizes):
        labels, attributes = np.repeat([0, 0, 1, 1], sizes), np.repeat([0, 1, 0, 1], sizes)
        made = from_arrays(np.zeros((len(labels), 4, 4), np.uint8), labels, class_names=("bag", "coat"))
        return replace(made, frame=made.frame.assign(attribute=attributes), attribute_names=("day", "night"))

    assert leading_column("worst_group_accuracy", images(10, 10, 30, 0)) == "worst_group_accuracy"
    assert leading_column("worst_group_accuracy", images(10, 9, 30, 20)) == "accuracy"
    assert leading_column("mean_group_accuracy", images(10, 10, 30, 20)) == "accuracy"
    unknown = images(10, 10, 30, 20)
    assert (
        leading_column("worst_group_accuracy", replace(unknown, frame=unknown.frame.assign(attribute=-1))) == "accuracy"
    )


def test_a_classifier_of_real_images_is_compared_with_the_best_that_used_synthetic_ones(run):
    found = compared(run, results(), "oversampling")
    assert (found["other"], found["other_uses_synthetic"]) == ("synaug", True)
    assert found["accuracy"]["difference"] == pytest.approx(-0.1)


def test_without_a_rival_there_is_nothing_to_compare(run):
    assert compared(run, results(["cross_entropy", "oversampling"]), "oversampling") == {}
    assert compared(run, results(["synaug", "upper_bound"]), "synaug") == {}
