import math

import numpy as np
import pytest
from scipy.stats import binom

from synaug.evaluation.intervals.bootstrap import percentiles, resamples

RIGHT = np.array([1.0] * 70 + [0.0] * 30)
ONE = np.zeros(100, int)


def accuracy(chosen):
    return float(RIGHT[chosen].mean())


def interval_of(metric, *, strata, num_resamples=1000, confidence=0.95, seed=0):
    return percentiles(np.array([metric(rows) for rows in resamples(strata, num_resamples, seed=seed)]), confidence)


def test_the_interval_of_a_share_is_that_of_the_binomial():
    found = interval_of(accuracy, strata=ONE, num_resamples=4000)
    assert found.low == pytest.approx(binom.ppf(0.025, 100, 0.7) / 100, abs=0.011)
    assert found.high == pytest.approx(binom.ppf(0.975, 100, 0.7) / 100, abs=0.011)


def test_the_same_seed_gives_the_same_interval():
    first, again, other = (interval_of(accuracy, strata=ONE, num_resamples=50, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_each_stratum_keeps_its_number_of_images():
    strata = np.array([0] * 3 + [1] * 7)
    seen = []
    interval_of(lambda chosen: seen.append(np.bincount(strata[chosen]).tolist()) or 0.0, strata=strata)
    assert all(counts == [3, 7] for counts in seen)


def test_strata_narrow_the_interval_if_they_explain_the_outcome():
    strata = (RIGHT == 0).astype(int)
    found = interval_of(accuracy, strata=strata, num_resamples=20)
    assert (found.low, found.high) == (0.7, 0.7)


def test_a_higher_confidence_is_wider():
    narrow, wide = (interval_of(accuracy, strata=ONE, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_an_undefined_metric_has_an_undefined_interval():
    assert math.isnan(interval_of(lambda _: math.nan, strata=ONE, num_resamples=5).low)
