"""Test counts, groups and shot bins: by hand, by law and by paper."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.data.groups import (
    class_counts,
    group_counts,
    group_ids,
    imbalance_factor,
    shot_bins,
    summary,
)
from synaug.data.manifest import from_arrays
from synaug.data.subsets import longtail_counts
from synaug.errors import DataError

WATERBIRDS = np.array([[3498, 184], [56, 1057]])


def cells(counts):
    """Return labels and attributes with the given counts."""
    label, attribute = np.indices(counts.shape)
    return {
        "labels": np.repeat(label.ravel(), counts.ravel()),
        "attributes": np.repeat(attribute.ravel(), counts.ravel()),
    }


def test_a_class_without_images_counts_zero():
    assert class_counts(np.array([2, 0, 2]), 4).tolist() == [1, 0, 2, 0]


def test_group_counts_of_waterbirds():
    counts = group_counts(**cells(WATERBIRDS), num_classes=2, num_attributes=2)
    assert counts.tolist() == WATERBIRDS.tolist()


def test_unknown_attribute_is_in_no_group():
    with pytest.raises(DataError, match=r"attribute.*1.*2 images"):
        group_ids(labels=np.array([0, 1]), attributes=np.array([0, -1]), num_attributes=2)


def test_attribute_beyond_the_last_is_an_error():
    with pytest.raises(DataError, match=r"attribute 2.*0.*1"):
        group_ids(labels=np.array([0]), attributes=np.array([2]), num_attributes=2)


def test_label_out_of_range_is_an_error():
    with pytest.raises(DataError, match=r"label 3.*0.*2"):
        class_counts(np.array([0, 3]), 3)


def test_imbalance_factor_is_undefined_with_an_empty_class():
    assert imbalance_factor(np.array([500, 10])) == 50
    assert math.isnan(imbalance_factor(np.array([500, 0])))
    assert math.isnan(imbalance_factor(np.array([], int)))


@pytest.mark.parametrize(("factor", "bins"), [(100, (35, 35, 30)), (50, (41, 41, 18)), (10, (69, 31, 0))])
def test_cifar100_lt_has_the_published_shot_bins(factor, bins):
    found = shot_bins(longtail_counts(500, factor, 100))
    assert (found.many.sum(), found.medium.sum(), found.few.sum()) == bins


def test_100_and_20_images_are_medium():
    bins = shot_bins(np.array([101, 100, 20, 19]))
    assert bins.many.tolist() == [True, False, False, False]
    assert bins.few.tolist() == [False, False, False, True]


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_every_class_is_in_one_bin(counts):
    bins = shot_bins(np.array(counts))
    assert (bins.many.astype(int) + bins.medium + bins.few).tolist() == [1] * len(counts)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1))
def test_group_counts_sum_to_class_counts(pairs):
    labels, attributes = np.array(pairs).T
    counts = group_counts(labels=labels, attributes=attributes, num_classes=4, num_attributes=3)
    assert counts.sum(axis=1).tolist() == class_counts(labels, 4).tolist()


def test_summary_names_classes_and_groups():
    images = np.zeros((4, 2, 2), np.uint8)
    manifest = from_arrays(
        images,
        [0, 0, 0, 1],
        class_names=["cat", "dog"],
        attributes=[0, 1, -1, 1],
        attribute_names=["land", "water"],
    )
    assert summary(manifest) == {
        "num_images": 4,
        "class_counts": {"cat": 3, "dog": 1},
        "group_counts": {"cat x land": 1, "cat x water": 1, "dog x land": 0, "dog x water": 1},
        "group_counts_by_attribute": {},
        "num_without_attribute": 1,
        "imbalance_factor": 3.0,
        "many": 0,
        "medium": 0,
        "few": 2,
    }


def test_summary_without_attributes_has_no_groups():
    manifest = from_arrays(np.zeros((2, 2, 2), np.uint8), [0, 1], class_names=["cat", "dog"])
    assert summary(manifest)["group_counts"] == {}
