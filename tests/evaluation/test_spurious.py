import math

import numpy as np
import pytest

from synaug.errors import DataError
from synaug.evaluation.spurious import spurious_report, train_weighted_accuracy

WATERBIRDS = np.array([[3498, 184], [56, 1057]])


def report(**changes):
    arrays = {
        "labels": np.array([0, 0, 0, 0, 1, 1, 1, 1]),
        "attributes": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "predictions": np.array([0, 0, 0, 1, 1, 0, 1, 1]),
        "num_classes": 2,
        "num_attributes": 2,
        "train_group_counts": WATERBIRDS,
    }
    return spurious_report(**arrays | changes)


def test_three_averages_with_three_names():
    found = report()
    assert found.by_group == (1.0, 0.5, 0.5, 1.0)
    assert (found.worst_group_accuracy, found.mean_group_accuracy, found.accuracy) == (0.5, 0.75, 0.75)
    assert found.train_weighted_accuracy == pytest.approx((3498 + 92 + 28 + 1057) / 4795)


def test_a_group_without_test_images_leaves_the_averages_undefined():
    found = report(labels=np.array([0, 0, 0, 0, 1, 1, 1, 1]), attributes=np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    assert math.isnan(found.by_group[1])
    assert math.isnan(found.worst_group_accuracy)
    assert math.isnan(found.train_weighted_accuracy)


def test_a_group_without_training_images_has_no_weight():
    assert train_weighted_accuracy(np.array([0.8, math.nan]), train_group_counts=np.array([5, 0])) == 0.8


def test_counts_of_other_groups_are_refused():
    with pytest.raises(DataError, match="train_group_counts has 3 groups; expected 4"):
        report(train_group_counts=np.ones(3))


def test_no_weights_at_all_are_refused():
    with pytest.raises(DataError, match="not all 0"):
        report(train_group_counts=np.zeros(4))
