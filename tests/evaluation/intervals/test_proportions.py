"""Test intervals of shares: published values, scipy's values, and coverage from 3 to 50 images."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from synaug.errors import DataError, OptionError
from synaug.evaluation.intervals.proportions import (
    Share,
    difference_interval,
    mean_interval,
    named_intervals,
    paired_interval,
    paired_mean_interval,
    shares_of,
    wilson_interval,
    worst_difference_interval,
    worst_interval,
)

SIZES = (3, 5, 10, 20, 50)


def pairs(both, ours, theirs, neither):
    """Return whether each of two classifiers is right, from the four cells of their table."""
    first = np.repeat([True, True, False, False], [both, ours, theirs, neither])
    return first, np.repeat([True, False, True, False], [both, ours, theirs, neither])


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_as_scipy_has_it(total, right, confidence):
    right = min(right, total)
    theirs = binomtest(right, total).proportion_ci(confidence, method="wilson")
    ours = wilson_interval(Share(right, total), confidence)
    assert (ours.low, ours.high) == (pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12))


@pytest.mark.parametrize("num", [*SIZES, 30])
def test_wilson_covers_the_true_share(num):
    """Exact coverage over a grid of shares: 95 % on average, and far above the bootstrap's 32 % at 3 images."""
    ends = [wilson_interval(Share(right, num)) for right in range(num + 1)]
    coverages = [
        sum(binom.pmf(right, num, share) for right, e in enumerate(ends) if e.low <= share <= e.high)
        for share in np.linspace(0.02, 0.98, 49)
    ]
    assert np.mean(coverages) == pytest.approx(0.955, abs=0.01)
    assert min(coverages) > 0.82


def coverage(ends, num):
    """Return the coverage in percent of the intervals for each number of right images, averaged over true shares."""
    return 100 * np.mean(
        [
            sum(binom.pmf(right, num, share) for right, (low, high) in enumerate(ends) if low <= share <= high)
            for share in np.linspace(0.02, 0.98, 49)
        ]
    )


@pytest.mark.parametrize("num", SIZES)
def test_the_coverage_in_the_docs(num):
    page = (Path(__file__).parents[3] / "docs" / "howto" / "compare.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| {num} |"))
    shares = [Share(right, num) for right in range(num + 1)]
    wilson = [(ends.low, ends.high) for ends in map(wilson_interval, shares)]
    bootstrap = [binom.ppf([0.025, 0.975], num, share.right / num) / num for share in shares]
    assert row.split("|")[2:4] == [f" {coverage(wilson, num):.1f} ", f" {coverage(bootstrap, num):.1f} "]


@pytest.mark.parametrize("num", SIZES)
def test_a_paired_difference_covers_the_true_one(num):
    rng = np.random.default_rng(num)
    held = 0
    for _ in range(400):
        difficulty = rng.random(num)
        other = np.where(rng.random(num) < 0.5, difficulty, rng.random(num))  # half of the images are equally hard
        ends = paired_interval(difficulty < 0.85, other < 0.7)
        held += ends.low <= 0.15 <= ends.high
    assert held / 400 > 0.93


@pytest.mark.parametrize("num", SIZES)
@pytest.mark.parametrize("truth", [(0.5, 0.7, 0.9, 0.97), (0.8,) * 6])
def test_means_and_the_worst_share_are_covered(num, truth):
    rng = np.random.default_rng(num)
    held = {"mean": 0, "worst": 0}
    for _ in range(400):
        shares = [Share(int(rng.binomial(num, share)), num) for share in truth]
        mean, worst = mean_interval(shares), worst_interval(shares)
        held["mean"] += mean.low <= np.mean(truth) <= mean.high
        held["worst"] += worst.low <= min(truth) <= worst.high
    assert min(held.values()) / 400 > 0.9


@pytest.mark.parametrize("num", SIZES)
def test_a_paired_difference_of_mean_recalls_covers_the_true_one(num):
    rng, strata, held = np.random.default_rng(num), np.repeat(np.arange(5), num), 0
    for _ in range(400):
        difficulty = rng.random(5 * num)
        other = np.where(rng.random(5 * num) < 0.5, difficulty, rng.random(5 * num))
        ends = paired_mean_interval(difficulty < 0.85, other < 0.7, strata=strata)
        held += ends.low <= 0.15 <= ends.high
    assert held / 400 > 0.93


@pytest.mark.parametrize("sizes", [(10,) * 4, (30,) * 4, (100,) * 4, (500, 10, 500, 10), (20, 200, 20, 200)])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((0.8,) * 4, (0.8,) * 4),
        ((0.9, 0.8, 0.95, 0.9), (0.9, 0.6, 0.95, 0.9)),  # worst on the same group
        ((0.9, 0.8, 0.95, 0.85), (0.7, 0.85, 0.9, 0.95)),  # on different ones
        ((0.8,) * 4, (0.6, 0.9, 0.9, 0.9)),  # ours is equally hard everywhere
        ((0.99,) * 4, (0.99, 0.9, 0.99, 0.99)),  # a small group hides that it is the worst
        ((0.95, 0.5, 0.95, 0.95), (0.95, 0.4, 0.95, 0.95)),  # clearly the same group
    ],
)
def test_the_difference_of_two_worst_groups_covers_the_true_one(sizes, ours, theirs):
    rng, strata, held = np.random.default_rng(sizes[1]), np.repeat(np.arange(4), sizes), 0
    for _ in range(400):
        difficulty = rng.random(len(strata))
        other = np.where(rng.random(len(strata)) < 0.5, difficulty, rng.random(len(strata)))
        first, second = difficulty < np.repeat(ours, sizes), other < np.repeat(theirs, sizes)
        ends = worst_difference_interval(first, second, strata=strata)
        held += ends.low <= min(ours) - min(theirs) <= ends.high
    assert held / 400 > 0.92


def test_the_difference_of_worst_groups_turns_with_its_sides_and_is_paired_in_a_common_one():
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second, strata = rng.random(60) < 0.8, rng.random(60) < 0.7, rng.integers(0, 3, 60)
        ends, turned = (worst_difference_interval(*pair, strata=strata) for pair in ((first, second), (second, first)))
        assert (ends.low, ends.high) == (pytest.approx(-turned.high), pytest.approx(-turned.low))
        worst = [min(right[strata == group].mean() for group in range(3)) for right in (first, second)]
        assert ends.low <= worst[0] - worst[1] <= ends.high
    one = np.zeros(60, int)
    assert worst_difference_interval(first, second, strata=one) == paired_interval(first, second)
    perfect, sizes = np.ones(60, bool), np.repeat([0, 1], [50, 10])
    found = [worst_difference_interval(perfect, perfect, strata=each) for each in (sizes, 1 - sizes)]
    assert found[0] == found[1]  # the order of the groups does not matter


@pytest.mark.parametrize(
    ("cells", "ends"),
    [((36, 12, 2, 0), (0.0569, 0.3404))],  # Newcombe 1998b, table III, method 10
)
def test_a_paired_difference_as_published(cells, ends):
    found = paired_interval(*pairs(*cells))
    assert (found.low, found.high) == (pytest.approx(ends[0], abs=5e-5), pytest.approx(ends[1], abs=5e-5))


@pytest.mark.parametrize(
    ("first", "second", "ends"),  # Newcombe 1998a, table II, method 10
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_a_difference_as_published(first, second, ends):
    found = difference_interval(Share(*first), Share(*second))
    assert (found.low, found.high) == (pytest.approx(ends[0], abs=5e-5), pytest.approx(ends[1], abs=5e-5))


@pytest.mark.parametrize("cells", list(itertools.product((0, 1, 4), repeat=4))[1:])
def test_a_paired_difference_lies_in_its_interval_and_turns_with_its_sides(cells):
    first, second = pairs(*cells)
    ends, turned = paired_interval(first, second), paired_interval(second, first)
    assert -1 <= ends.low <= first.mean() - second.mean() <= ends.high <= 1
    assert (ends.low, ends.high) == (pytest.approx(-turned.high), pytest.approx(-turned.low))


def test_a_mean_over_one_stratum_is_the_plain_difference():
    first, second = pairs(5, 3, 1, 2)
    one = np.zeros(len(first), int)
    assert paired_mean_interval(first, second, strata=one) == paired_interval(first, second)


def test_a_mean_weighs_classes_and_leaves_out_those_without_images():
    shares = [Share(3, 4), Share(0, 0), Share(9, 10)]
    assert mean_interval(shares) == mean_interval([shares[0], shares[2]])
    assert mean_interval(shares, [0, 1, 5]) == mean_interval([shares[2]])
    one, wilson = mean_interval([shares[2]]), wilson_interval(shares[2])
    assert (one.low, one.high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))


def test_without_images_there_is_no_interval():
    none = Share(0, 0)
    empty = np.array([], bool)
    for found in (
        wilson_interval(none), mean_interval([none]), worst_interval([none]), difference_interval(none, Share(1, 2)),
        paired_interval(empty, empty), paired_mean_interval(empty, empty, strata=np.array([], int)),
        worst_difference_interval(empty, empty, strata=np.array([], int)),
    ):  # fmt: skip
        assert math.isnan(found.low)
        assert math.isnan(found.high)
    assert all(map(math.isnan, named_intervals([none], ["cat"])["cat"]))


def test_shares_by_hand():
    found = shares_of(np.array([0, 0, 2]), np.array([True, False, True]), 3)
    assert found == [Share(1, 2), Share(0, 0), Share(1, 1)]


def test_impossible_values_are_refused():
    with pytest.raises(OptionError, match="got 95"):
        wilson_interval(Share(1, 2), 95)
    with pytest.raises(DataError, match="3 of 2 images"):
        wilson_interval(Share(3, 2))
    with pytest.raises(DataError, match="one length"):
        paired_interval(np.array([True]), np.array([True, False]))
