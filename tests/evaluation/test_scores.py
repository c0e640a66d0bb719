import math

import numpy as np
import pytest

from synaug.evaluation.scores import scores


def measured(labels, predictions, attributes, names=("a", "b"), attribute_names=("x", "y")):
    labels, predictions, attributes = map(np.array, (labels, predictions, attributes))
    return scores(
        labels=labels,
        probabilities=np.eye(len(names))[predictions],
        attributes=attributes,
        class_names=names,
        attribute_names=attribute_names,
        class_counts=np.full(len(names), 50),
        train_group_counts=np.array([[9, 1]] * len(names)),
    )


def test_group_scores_by_hand():
    found = measured([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0, 1, 1])
    assert found["accuracy"] == 0.75
    assert found["per_group"] == {"a x x": 1.0, "a x y": 0.5, "b x x": 1.0, "b x y": 0.5}
    assert (found["worst_group_accuracy"], found["mean_group_accuracy"]) == (0.5, 0.75)
    assert found["train_weighted_accuracy"] == pytest.approx(0.95)
    assert found["equalized_odds_difference"] == 0.5
    low, high = found["intervals"]["worst_group_accuracy"]
    assert 0 <= low <= 0.5 <= high <= 1


def test_more_than_two_classes_name_the_worst_and_the_mean():
    found = measured([0, 1, 2] * 2, [0, 1, 2, 0, 1, 1], [0] * 3 + [1] * 3, names=("a", "b", "c"))
    assert found["equal_opportunity_difference_worst"] == 1.0
    assert found["equal_opportunity_difference_mean"] == pytest.approx(1 / 3)


def test_without_two_attribute_values_there_is_nothing_between_groups():
    assert "worst_group_accuracy" not in measured([0, 1], [0, 1], [-1, -1], attribute_names=())
    assert "per_group" not in measured([0, 1], [0, 1], [0, 0])


def test_a_sure_and_wrong_classifier_is_badly_calibrated():
    assert measured([0, 1], [1, 0], [-1, -1], attribute_names=())["calibration_error"] == 1.0


def test_small_and_empty_groups_are_shown_but_drive_no_difference():
    labels = np.repeat([0, 1], 40)
    attributes = np.r_[np.zeros(20), np.ones(18), [2, 2], np.zeros(20), np.ones(20)].astype(int)
    wrong = np.zeros(80, bool)
    wrong[[0, 1, 38]] = True  # of the group of two images, one
    probabilities = np.eye(2)[np.where(wrong, 1 - labels, labels)]
    found = scores(
        labels=labels, probabilities=probabilities, attributes=attributes, class_names=["a", "b"],
        attribute_names=["x", "y", "z"], class_counts=np.array([40, 40]), train_group_counts=np.ones((2, 3), int),
    )  # fmt: skip
    assert (found["num_small_groups"], found["num_unmeasured_groups"], found["min_cell"]) == (1, 1, 10)
    assert found["per_group"]["a x z"] == found["worst_group_accuracy"] == 0.5
    assert math.isnan(found["per_group"]["b x z"])
    assert found["mean_group_accuracy"] == pytest.approx(np.mean([0.9, 1, 0.5, 1, 1]))
    assert found["equal_opportunity_difference"] == 0  # of class b, between x and y
    assert found["demographic_parity_difference"] == pytest.approx(22 / 40 - 20 / 38)
