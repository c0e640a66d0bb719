"""Test that the best classifier is chosen, and a simple one if it is within one standard error of the best."""

import math

import numpy as np
import pytest

from synaug.errors import DataError
from synaug.evaluation.model_choice import Lead, chosen_name, lead, standings


def right(*counts, of=10):
    """Return one column per candidate, which recognizes the first ``counts[c]`` of ``of`` images of each class."""
    return np.column_stack([np.concatenate([np.arange(of) < count for count in column]) for column in counts])


LABELS = np.repeat([0, 1], 10)


def test_mean_recall_and_its_error_by_hand():
    (only,) = standings(["a"], right((10, 5)), LABELS, "mean_recall")
    assert only.score == 0.75
    assert only.error == pytest.approx(math.sqrt(5 * 5 / 10 / 9 / 10) / 2)  # of class 1 only, halved
    assert (only.behind, only.behind_error) == (0, 0)


def test_a_lead_within_its_standard_error_goes_to_the_simpler_one():
    found = standings(["simple", "complex"], right((8, 5), (8, 6)), LABELS, "mean_recall")
    assert found[0].behind == pytest.approx(0.05)
    assert found[0].behind_error == pytest.approx(0.05)  # one image of ten: sqrt(0.1 * 0.9 / 9) / 2
    assert chosen_name(found, simple={"simple"}) == "simple"
    assert chosen_name(found) == "complex"


def test_within_a_kind_the_best_wins_even_within_its_standard_error():
    found = standings(["a", "b", "c"], right((8, 2), (8, 5), (8, 6)), LABELS, "mean_recall")
    assert chosen_name(found, simple={"a"}) == "c"
    assert chosen_name(found, simple={"a", "b"}) == "b"


def test_a_clear_lead_wins():
    assert (
        chosen_name(standings(["simple", "complex"], right((8, 2), (8, 9)), LABELS, "mean_recall"), simple={"simple"})
        == "complex"
    )


def test_of_equal_ones_the_first_is_taken():
    assert chosen_name(standings(["a", "b"], right((7, 7), (7, 7)), LABELS, "mean_recall")) == "a"


def test_the_worst_group_counts_if_it_is_requested():
    both = right((9, 6), (3, 10))
    assert [each.score for each in standings(["a", "b"], both, LABELS, "worst_group_accuracy")] == [0.6, 0.3]
    assert chosen_name(standings(["a", "b"], both, LABELS, "worst_group_accuracy")) == "a"


def test_a_group_of_two_images_settles_nothing():
    groups = np.array([0] * 50 + [1] * 2)
    both = np.column_stack([np.r_[np.ones(50), 1, 0], np.ones(52)]).astype(bool)
    assert (
        chosen_name(standings(["simple", "complex"], both, groups, "worst_group_accuracy"), simple={"simple"})
        == "simple"
    )


def test_a_lead_is_paired_so_shared_errors_do_not_count():
    hard = np.tile([1.0, 0.0], 10)
    assert lead(hard, hard, LABELS, "mean_recall") == Lead(0.0, 0.0)


def test_certainty_is_that_of_the_normal_distribution():
    assert Lead(0.0, 0.1).certainty == 0.5
    assert Lead(0.196, 0.1).certainty == pytest.approx(0.975, abs=1e-3)
    assert Lead(0.1, 0.0).certainty == 1.0
    assert math.isnan(Lead(0.1, math.nan).certainty)


def test_predictions_of_another_number_of_images_are_refused():
    with pytest.raises(DataError):
        standings(["a"], np.ones((3, 1), bool), LABELS, "mean_recall")
