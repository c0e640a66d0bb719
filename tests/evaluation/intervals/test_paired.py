import numpy as np
import pytest
from scipy.stats import ttest_rel

from synaug.errors import DataError
from synaug.evaluation.intervals.paired import mcnemar, paired_difference


def test_a_paired_difference_is_scipys():
    rng = np.random.default_rng(0)
    first = rng.normal(size=10)
    second = first + 0.1 + rng.normal(0, 0.1, 10)
    theirs = ttest_rel(second, first).confidence_interval(0.9)
    found = paired_difference(first, second, confidence=0.9)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_three_seeds_that_were_printed_as_a_lead_are_none():
    """+0.2, +0.8 and +0.4 points on ``fashion-lt``: +0.47 and no clear difference."""
    found = paired_difference([0.0, 0.0, 0.0], [0.2, 0.8, 0.4])
    assert found.mean == pytest.approx(0.467, abs=1e-3)
    assert not found.is_clear


def test_one_pair_has_no_interval():
    found = paired_difference([0.5], [0.7])
    assert found.mean == pytest.approx(0.2)
    assert np.isnan([found.low, found.high]).all()
    assert not found.is_clear


def test_mcnemar_counts_only_images_on_which_two_classifiers_differ():
    labels = np.zeros(100, int)
    first, second = np.zeros(100, int), np.zeros(100, int)
    first[:10] = second[5:12] = 1
    alone = mcnemar(labels=labels[:12], first=first[:12], second=second[:12])
    assert mcnemar(labels=labels, first=first, second=second) == alone
    assert alone == pytest.approx(2 * (1 + 7 + 21) / 2**7)  # 5 against 2 of 7
    assert mcnemar(labels=labels, first=first, second=first) == 1


def test_different_shapes_are_refused():
    with pytest.raises(DataError, match="as many first as second"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(DataError, match="differ in shape"):
        mcnemar(labels=[0, 1], first=[0, 1], second=[0])
