import math

import fairlearn.metrics as peer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synaug.errors import DataError
from synaug.evaluation import fairness
from synaug.evaluation.fairness import fairness_report

# Every label x prediction x attribute occurs, so that fairlearn's rates and ours are all defined.
EVERY = [(label, prediction, attribute) for label in (0, 1) for prediction in (0, 1) for attribute in (0, 1, 2)]
PEERS = [
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
]
by_hand = {
    "labels": np.array([1, 1, 1, 1, 0, 0, 0, 0]),
    "predictions": np.array([1, 1, 1, 0, 1, 0, 0, 0]),
    "attributes": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "num_classes": 2,
    "num_attributes": 2,
}


def without(chosen, **changes):
    arrays = {name: by_hand[name][chosen] for name in ("labels", "predictions", "attributes")}
    return by_hand | arrays | changes


def test_gaps_that_can_be_counted_by_hand():
    report = fairness_report(**by_hand)
    assert report.accuracy_by_attribute == (0.75, 0.75)
    assert report.accuracy_by_group == ((0.5, 1.0), (1.0, 0.5))
    assert (report.worst_group_accuracy, report.mean_group_accuracy) == (0.5, 0.75)
    assert report.demographic_parity_difference.positive == 0.5  # rates 3/4 and 1/4
    assert report.equal_opportunity_difference.positive == 0.5
    assert report.equalized_odds_difference.positive == 0.5
    assert report.equalized_odds_ratio.positive == 0.0  # false positive rates 1/2 and 0


@pytest.mark.parametrize("name", PEERS)
@settings(max_examples=10)
@given(rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)), max_size=40))
def test_two_classes_agree_with_fairlearn(name, rows):
    labels, predictions, attributes = np.array(EVERY + rows).T
    ours = getattr(fairness, name)(
        labels=labels, predictions=predictions, attributes=attributes, num_classes=2, num_attributes=3
    )
    theirs = getattr(peer, name)(labels, predictions, sensitive_features=attributes)
    assert ours.positive == pytest.approx(theirs)


@settings(max_examples=10)
@given(rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), max_size=40))
def test_more_classes_are_each_in_turn_the_positive_one(rows):
    every = [(label, chosen, attribute) for label in range(3) for chosen in range(3) for attribute in range(2)]
    labels, predictions, attributes = np.array(every + rows).T
    ours = fairness.equalized_odds_difference(
        labels=labels, predictions=predictions, attributes=attributes, num_classes=3, num_attributes=2
    )
    theirs = [
        peer.equalized_odds_difference(labels == c, predictions == c, sensitive_features=attributes) for c in range(3)
    ]
    assert ours.worst == pytest.approx(max(theirs))
    assert ours.mean == pytest.approx(np.mean(theirs))
    assert math.isnan(ours.positive)


def test_the_worst_ratio_is_the_smallest():
    ours = fairness.demographic_parity_ratio(**by_hand)
    assert (ours.worst, ours.mean) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_an_attribute_without_positives_leaves_their_rates_undefined():
    report = fairness_report(**without(~((by_hand["labels"] == 1) & (by_hand["attributes"] == 1))))
    assert math.isnan(report.equal_opportunity_difference.positive)
    assert math.isnan(report.equalized_odds_difference.positive)
    assert math.isnan(report.worst_group_accuracy)
    assert not math.isnan(report.demographic_parity_difference.positive)


def test_an_attribute_that_nobody_has_is_undefined_everywhere():
    report = fairness_report(**by_hand | {"num_attributes": 3})
    assert math.isnan(report.accuracy_by_attribute[2])
    assert math.isnan(report.demographic_parity_difference.worst)


def test_the_same_predictions_for_all_are_fair():
    both = np.array([0, 1, 0, 1])
    report = fairness_report(
        labels=both, predictions=both, attributes=np.array([0, 0, 1, 1]), num_classes=2, num_attributes=2
    )
    assert report.demographic_parity_difference.worst == report.equalized_odds_difference.worst == 0
    assert report.demographic_parity_ratio.worst == report.equal_opportunity_ratio.worst == 1


@given(st.permutations(range(3)))
def test_renaming_attributes_changes_no_gap(order):
    labels, predictions, attributes = np.array([*EVERY, (0, 1, 2), (1, 0, 0), (1, 1, 0)]).T
    sizes = {"num_classes": 2, "num_attributes": 3}
    here = fairness_report(labels=labels, predictions=predictions, attributes=attributes, **sizes)
    there = fairness_report(labels=labels, predictions=predictions, attributes=np.array(order)[attributes], **sizes)
    assert here.equalized_odds_difference == there.equalized_odds_difference


def test_unknown_attributes_are_refused():
    with pytest.raises(DataError, match="attribute is -1"):
        fairness_report(**by_hand | {"attributes": np.full(8, -1)})


def test_a_misspelled_argument_is_refused():
    with pytest.raises(TypeError, match="num_attribute"):
        fairness_report(**by_hand, num_attribute=2)
