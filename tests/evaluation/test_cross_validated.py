"""Scores of a cross-validation by hand: means over repeats, spread over folds, and intervals of the images."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from synaug.evaluation.cross_validated import FoldPredictions, cross_validated
from synaug.evaluation.intervals.proportions import Share, paired_interval, wilson_interval, worst_interval

LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
FOLDS = np.array([0, 0, 1, 1, 0, 1, -1])  # the last is never held out
BETTER = np.array([0, 0, 0, 1, 1, 1, 0])
WORSE = np.array([0, 1, 0, 1, 0, 1, 1])


@pytest.fixture
def found():
    repeat = FoldPredictions(FOLDS, np.column_stack([BETTER, WORSE]))
    return cross_validated([repeat], LABELS, names=["better", "worse"], class_names=["cat", "dog"])


def test_the_mean_counts_each_held_out_image_once_and_the_spread_is_over_folds(found):
    score = found["better"]["accuracy"]
    assert score["mean"] == pytest.approx(5 / 6)
    assert score["spread"] == pytest.approx(np.std([3 / 3, 2 / 3], ddof=1))
    assert score["interval"] == pytest.approx(astuple(wilson_interval(Share(5, 6))))


def test_recalls_are_of_the_images_that_were_held_out(found):
    assert found["better"]["per_class"]["cat"]["recall"] == 3 / 4
    assert found["better"]["per_class"]["dog"] == {
        "recall": 1.0, "interval": pytest.approx(astuple(wilson_interval(Share(2, 2)))), "images": 2,
    }  # fmt: skip
    assert found["better"]["mean_recall"]["mean"] == (3 / 4 + 1) / 2


def test_the_first_method_is_compared_with_the_others_image_by_image(found):
    assert "behind" not in found["better"]
    behind = found["worse"]["behind"]["accuracy"]
    rows = FOLDS >= 0
    assert behind["difference"] == pytest.approx(5 / 6 - 3 / 6)
    first, second = ((each == LABELS)[rows] for each in (BETTER, WORSE))
    assert behind["interval"] == pytest.approx(astuple(paired_interval(first, second)))


def test_the_worst_group_is_scored_and_compared_if_groups_are_given(found):
    groups = np.array([0, 0, 1, 1, 2, 2, 3])  # group 3 is never held out
    repeat = FoldPredictions(FOLDS, np.column_stack([BETTER, WORSE]))
    names = {"names": ["better", "worse"], "class_names": ["cat", "dog"]}
    grouped = cross_validated([repeat], LABELS, **names, groups=groups)
    # better is right on 2, 1 and 2 of two images; worse on 1, 1 and 1
    assert grouped["better"]["worst_group_accuracy"]["mean"] == 0.5
    shares = [Share(2, 2), Share(1, 2), Share(2, 2)]
    assert grouped["better"]["worst_group_accuracy"]["interval"] == pytest.approx(astuple(worst_interval(shares)))
    behind = grouped["worse"]["behind"]["worst_group_accuracy"]
    assert behind["difference"] == 0
    assert behind["interval"][0] < 0 < behind["interval"][1]
    assert "worst_group_accuracy" not in found["better"]
    assert {**grouped["better"], "worst_group_accuracy": 0} == {**found["better"], "worst_group_accuracy": 0}


def test_repeating_the_folds_narrows_no_interval(found):
    repeat = FoldPredictions(FOLDS, np.column_stack([BETTER, WORSE]))
    again = cross_validated([repeat] * 5, LABELS, names=["better", "worse"], class_names=["cat", "dog"])
    for key in ("accuracy", "mean_recall"):
        ends = (each["worse"]["behind"][key]["interval"] for each in (again, found))
        assert next(ends) == pytest.approx(next(ends))
    assert again["better"]["accuracy"]["interval"] == pytest.approx(found["better"]["accuracy"]["interval"])


def test_a_class_that_is_never_held_out_has_no_recall():
    repeat = FoldPredictions(np.array([0, 1, -1]), np.zeros((3, 1), np.int64))
    found = cross_validated([repeat], np.array([0, 0, 1]), names=["one"], class_names=["cat", "dog"])
    assert math.isnan(found["one"]["per_class"]["dog"]["recall"])
    assert found["one"]["mean_recall"]["mean"] == 1.0
