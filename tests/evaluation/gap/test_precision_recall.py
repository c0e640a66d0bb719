import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from synaug.evaluation.gap import precision_recall as module
from synaug.evaluation.gap.precision_recall import Manifold, diversity, manifold


def gauss(num, dims=4, *, seed=0, scale=1.0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, scale, (num, dims))


def column(*values):
    return np.array(values, float)[:, None]


def test_scores_that_can_be_counted_by_hand():
    # k = 1: each real radius is 1, that of -10 is 10; synthetic radii are 0.6, 0.6 and 19.9
    found = manifold(real=column(0, 1, 2, 3, -10), synthetic=column(0.5, 1.1, 21.0), num_neighbors=1)
    assert found == Manifold(precision=2 / 3, recall=4 / 5, density=4 / 3, coverage=3 / 5)


def test_mode_collapse_has_high_precision_and_low_recall():
    collapsed = gauss(200, scale=0.05, seed=1)
    found = manifold(real=gauss(200), synthetic=collapsed)
    assert found.precision > 0.95
    assert found.recall < 0.1


def test_scattered_images_have_low_precision_and_high_recall():
    found = manifold(real=gauss(200), synthetic=gauss(200, scale=4.0, seed=1))
    assert found.precision < 0.3
    assert found.recall > 0.9


def test_the_same_distribution_has_density_and_coverage_near_one():
    found = manifold(real=gauss(500), synthetic=gauss(500, seed=1))
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage > 0.9


def test_too_few_images_are_undefined():
    found = manifold(real=gauss(5), synthetic=gauss(50))
    assert all(map(math.isnan, (found.precision, found.recall, found.density, found.coverage)))


def test_blocks_change_nothing(monkeypatch):
    whole = manifold(real=gauss(60), synthetic=gauss(50, seed=1))
    monkeypatch.setattr(module, "_CELLS", 1)
    assert manifold(real=gauss(60), synthetic=gauss(50, seed=1)) == whole


@given(st.integers(2, 40), st.integers(0, 9))
def test_diversity_is_the_mean_of_the_pairwise_distances(num, seed):
    features = gauss(num, seed=seed)
    assert diversity(features) == pytest.approx(pdist(features).mean(), rel=1e-6)


def test_distances_far_from_the_origin_stay_right():
    first, second = gauss(60, shift=1e7), gauss(50, shift=1e7, seed=1)  # a sum of squares has no digit left here
    assert diversity(first) == pytest.approx(pdist(first).mean(), rel=1e-6)
    assert manifold(real=first, synthetic=second) == manifold(real=first - 1e7, synthetic=second - 1e7)


def test_one_image_has_no_diversity():
    assert math.isnan(diversity(gauss(1)))
