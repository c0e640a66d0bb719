"""Test subsets: the published long-tail counts, and the laws of balanced draws and of the test split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.data.groups import class_counts, group_counts
from synaug.data.manifest import from_arrays
from synaug.data.subsets import (
    balanced_positions,
    draw_without_replacement,
    group_balanced_positions,
    longtail_counts,
    with_test_split,
)
from synaug.errors import DataError, OptionError

some_labels = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(lambda x: np.array([0, 1, 2, 3, *x]))
seeds = st.integers(0, 2**32)


def manifest_of(labels, attributes=None, *, same=()):
    """Return one small image per label, all different except for equal ones at the positions ``same``."""
    images = np.zeros((len(labels), 2, 2), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
    images[list(same)] = 255
    names = ["a", "b", "c", "d"]
    return from_arrays(images, labels, class_names=names, attributes=attributes, attribute_names=("x", "y"))


@pytest.mark.parametrize(
    ("largest", "classes", "factor", "total"),
    [
        (500, 100, 100, 10_847),
        (500, 100, 50, 12_608),
        (500, 100, 10, 19_573),
        (5000, 10, 100, 12_406),
        (5000, 10, 50, 13_996),
        (5000, 10, 10, 20_431),
    ],
)
def test_cifar_lt_has_the_published_totals(largest, classes, factor, total):
    counts = longtail_counts(largest, factor, classes)
    assert (counts.sum(), counts[0], counts[-1]) == (total, largest, largest // factor)


def test_step_imbalance_has_two_heights():
    assert longtail_counts(500, 100, 4, "step").tolist() == [500, 500, 5, 5]


def test_factor_one_is_balanced():
    assert set(longtail_counts(7, 1, 5).tolist()) == {7}


@given(st.integers(1, 5000), st.floats(1, 500), st.integers(2, 200))
def test_long_tails_never_rise_and_never_empty(largest, factor, classes):
    if largest >= factor:
        counts = longtail_counts(largest, factor, classes)
        assert (np.diff(counts) <= 0).all()
        assert counts[-1] >= 1


@pytest.mark.parametrize(("largest", "factor", "classes"), [(500, 0.01, 100), (5, 10, 10), (5, 2, 1)])
def test_impossible_tails_are_refused(largest, factor, classes):
    with pytest.raises(OptionError, match="imbalance factor of at least 1"):
        longtail_counts(largest, factor, classes)


def test_unknown_imbalance_type_is_named():
    with pytest.raises(OptionError, match=r"Unknown imbalance type 'linear'. Known: exp, step"):
        longtail_counts(500, 10, 10, "linear")


@given(some_labels, seeds)
def test_balanced_draws_have_equal_counts_and_no_repeats(labels, seed):
    positions = balanced_positions(labels, 4, np.random.default_rng(seed))
    assert set(class_counts(labels[positions], 4)) == {class_counts(labels, 4).min()}
    assert len(set(positions)) == len(positions)


@given(some_labels, st.data(), seeds)
def test_group_balanced_draws_have_equal_counts(labels, data, seed):
    attributes = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(labels), max_size=len(labels))))
    sizes = {"num_classes": 4, "num_attributes": 2}
    positions = group_balanced_positions(labels=labels, attributes=attributes, rng=np.random.default_rng(seed), **sizes)
    before = group_counts(labels=labels, attributes=attributes, **sizes)
    after = group_counts(labels=labels[positions], attributes=attributes[positions], **sizes)
    assert (after == np.where(before > 0, before[before > 0].min(), 0)).all()


def test_a_class_too_small_for_the_draw_is_named():
    with pytest.raises(DataError, match=r"1.*1 images,.*2"):
        balanced_positions(np.array([0, 0, 1]), 2, np.random.default_rng(0), per_class=2)


def test_an_empty_class_cannot_be_balanced():
    with pytest.raises(DataError, match="Class 1 has no images"):
        balanced_positions(np.array([0, 0]), 2, np.random.default_rng(0))


def test_the_seed_decides_the_draw():
    labels = np.repeat([0, 1], 50)
    one, again, other = (
        draw_without_replacement(labels, [5, 5], np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)
    )
    assert one == again != other


@given(some_labels, st.floats(0.05, 0.95), seeds)
def test_every_class_trains_and_if_possible_is_tested(labels, fraction, seed):
    manifest = with_test_split(manifest_of(labels), fraction, seed)
    all_counts = class_counts(labels, 4)
    test = class_counts(manifest.split("test").labels, 4)
    assert (all_counts - test >= 1).all()
    assert ((test >= 1) | (all_counts < 2)).all()
    roomy = all_counts * min(fraction, 1 - fraction) >= 1
    assert (np.abs(test - fraction * all_counts)[roomy] <= 1).all()


def test_attributes_are_spread_over_the_split():
    labels, attributes = np.repeat([0, 1, 2, 3], 20), np.tile(np.repeat([0, 1], 10), 4)
    test = with_test_split(manifest_of(labels, attributes), 0.2, 3).split("test")
    counts = group_counts(labels=test.labels, attributes=test.attributes, num_classes=4, num_attributes=2)
    assert (counts == 2).all()


@given(seeds)
def test_equal_images_stay_on_one_side(seed):
    manifest = manifest_of(np.repeat([0, 1, 2, 3], 5), same=(0, 1, 2))
    split = with_test_split(manifest, 0.4, seed).frame["split"]
    assert len(set(split[:3])) == 1


def test_a_test_split_that_is_there_stays():
    manifest = manifest_of(np.repeat([0, 1, 2, 3], 2))
    given_split = with_test_split(manifest, 0.5, 0)
    assert with_test_split(given_split, 0.9, 1) is given_split


def test_synthetic_images_are_never_tested_on():
    manifest = manifest_of(np.repeat([0, 1, 2, 3], 10))
    manifest.frame.loc[manifest.frame.index % 2 == 0, "source"] = "synthetic"
    assert not with_test_split(manifest, 0.5, 0).split("test").is_synthetic.any()


def test_the_seed_decides_the_split():
    manifest = manifest_of(np.repeat([0, 1, 2, 3], 10))
    one, again, other = (tuple(with_test_split(manifest, 0.3, seed).frame["split"]) for seed in (0, 0, 1))
    assert one == again != other
