import math

import numpy as np
import pytest
from scipy.stats import binom

from synaug.errors import DataError, OptionError
from synaug.evaluation.bootstrap import bootstrap_interval

RIGHT = np.array([1.0] * 70 + [0.0] * 30)
ONE = np.zeros(100, int)


def accuracy(chosen):
    return float(RIGHT[chosen].mean())


def test_the_interval_of_a_share_is_that_of_the_binomial():
    found = bootstrap_interval(accuracy, strata=ONE, num_resamples=4000)
    assert found.low == pytest.approx(binom.ppf(0.025, 100, 0.7) / 100, abs=0.011)
    assert found.high == pytest.approx(binom.ppf(0.975, 100, 0.7) / 100, abs=0.011)


def test_the_same_seed_gives_the_same_interval():
    first, again, other = (bootstrap_interval(accuracy, strata=ONE, num_resamples=50, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_each_stratum_keeps_its_number_of_images():
    strata = np.array([0] * 3 + [1] * 7)
    seen = []
    bootstrap_interval(lambda chosen: seen.append(np.bincount(strata[chosen]).tolist()) or 0.0, strata=strata)
    assert all(counts == [3, 7] for counts in seen)


def test_strata_narrow_the_interval_where_they_explain_the_outcome():
    strata = (RIGHT == 0).astype(int)
    found = bootstrap_interval(accuracy, strata=strata, num_resamples=20)
    assert (found.low, found.high) == (0.7, 0.7)


def test_a_higher_confidence_is_wider():
    narrow, wide = (bootstrap_interval(accuracy, strata=ONE, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_an_undefined_metric_has_an_undefined_interval():
    assert math.isnan(bootstrap_interval(lambda _: math.nan, strata=ONE, num_resamples=5).low)


def test_no_images_are_refused():
    with pytest.raises(DataError, match="no test images"):
        bootstrap_interval(accuracy, strata=np.array([], int))


@pytest.mark.parametrize(
    ("option", "words"),
    [({"confidence": 95}, "confidence must be between 0 and 1, got 95"), ({"num_resamples": 0}, "at least 1, got 0")],
)
def test_options_out_of_range_are_refused(option, words):
    with pytest.raises(OptionError, match=words):
        bootstrap_interval(accuracy, strata=ONE, **option)
