import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from synaug.errors import OptionError
from synaug.training.sampling import SAMPLERS, batches, drawn_counts, epoch_order, whole_quotas
from synaug.training.training_set import make_training_set


def labeled(labels, is_synthetic=None):
    labels = torch.tensor(labels)
    return make_training_set(
        torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8),
        labels,
        num_classes=int(labels.max()) + 1,
        is_synthetic=None if is_synthetic is None else torch.tensor(is_synthetic),
    )


def order(sampler, data, **options):
    return epoch_order(sampler, data, rng=np.random.default_rng(0), **options)


LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@settings(max_examples=30)
@given(LABELS)
def test_an_instance_epoch_is_a_permutation(labels):
    assert sorted(order("instance", labeled(labels))) == list(range(len(labels)))


@settings(max_examples=30)
@given(LABELS)
def test_class_balanced_counts_differ_by_at_most_one(labels):
    drawn = np.array(labels)[order("class_balanced", labeled(labels))]
    counts = [int((drawn == label).sum()) for label in set(labels)]
    assert max(counts) - min(counts) <= 1


@settings(max_examples=30)
@given(LABELS, st.sampled_from(list(SAMPLERS)), st.floats(0, 1))
def test_images_of_a_class_come_equally_often_give_or_take_one(labels, sampler, share):
    data = labeled(labels)
    drawn = order(sampler, data, share=share)
    assert len(drawn) == len(labels)
    times = np.bincount(drawn, minlength=len(labels))
    for label in set(labels):
        of_class = times[np.array(labels) == label]
        assert of_class.max() - of_class.min() <= 1


def test_square_root_by_hand():
    data = labeled([0] * 16 + [1] * 4)
    assert np.bincount(data.labels[order("square_root", data)]).tolist() in ([13, 7], [14, 6])
    assert SAMPLERS["square_root"](data, share=0.0)[1] == pytest.approx([4 / 6, 2 / 6])


def test_progressively_balanced_goes_from_instances_to_classes():
    data = labeled([0] * 9 + [1])
    for share, expected in ((0.0, [0.9, 0.1]), (0.5, [0.7, 0.3]), (1.0, [0.5, 0.5])):
        assert SAMPLERS["progressively_balanced"](data, share=share)[1] == pytest.approx(expected)


def test_group_balanced_counts_groups_and_the_unknown_as_one_more(small_set):
    drawn = small_set.groups[order("group_balanced", small_set)]
    counts = [int((drawn == group).sum()) for group in (-1, 0, 1, 2, 4)]
    assert max(counts) - min(counts) <= 1


@settings(max_examples=30)
@given(LABELS, st.sampled_from(list(SAMPLERS)))
def test_drawn_counts_are_those_of_an_epoch_give_or_take_one(labels, sampler):
    data = labeled(labels)
    drawn = np.bincount(data.labels[order(sampler, data, share=0.5)], minlength=data.num_classes)
    assert drawn == pytest.approx(drawn_counts(sampler, data), abs=1)


@settings(max_examples=20)
@given(LABELS)
def test_class_balanced_draws_as_scikit_learns_weights_say(labels):
    weights = compute_sample_weight("balanced", labels)
    theirs = np.bincount(labels, weights=weights)
    assert drawn_counts("class_balanced", labeled(labels)) == pytest.approx(theirs)


def test_drawn_counts_of_balanced_groups_by_hand(small_set):
    """Five groups of 2.4 images each; the unknown one has two images of each class."""
    assert drawn_counts("group_balanced", small_set) == pytest.approx([4.8 + 0.8, 2.4 + 0.8, 2.4 + 0.8])


def test_a_cap_holds_in_every_batch_and_keeps_the_classes():
    labels = [0] * 50 + [1] * 10 + [1] * 40
    data = labeled(labels, [False] * 60 + [True] * 40)
    drawn = order("class_balanced", data, max_synthetic=0.1)
    assert np.bincount(data.labels[drawn]).tolist() == [50, 50]
    for start in range(0, 100, 20):
        assert data.is_synthetic[drawn[start : start + 20]].sum() <= 4
    assert data.is_synthetic[drawn].sum() == 10


def test_a_cap_that_is_not_reached_changes_nothing(small_set):
    assert order("instance", small_set, max_synthetic=0.5).tolist() == order("instance", small_set).tolist()


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(0, 100))
def test_quotas_sum_to_the_total_and_are_within_one_of_exact(weights, total):
    shares = np.array(weights) / sum(weights)
    quotas = whole_quotas(shares, total, np.random.default_rng(0))
    assert quotas.sum() == total
    assert (abs(quotas - shares * total) < 1 + 1e-6).all()


@settings(max_examples=20)
@given(st.sampled_from(list(SAMPLERS)), st.integers(0, 30), st.integers(1, 17))
def test_going_on_at_any_step_gives_the_same_batches(sampler, start, batch_size):
    data = labeled([0] * 8 + [1] * 3 + [2])
    options = {"batch_size": batch_size, "steps": 31, "seed": 5}
    whole = list(batches(sampler, data, **options))
    rest = list(batches(sampler, data, start=start, **options))
    assert all(a.tolist() == b.tolist() for a, b in itertools.zip_longest(whole[start:], rest))
    assert {len(batch) for batch in whole} == {batch_size}


def test_other_seeds_give_other_orders(small_set):
    first, second = (
        next(batches("instance", small_set, batch_size=12, steps=1, seed=seed)).tolist() for seed in (0, 1)
    )
    assert first != second


def test_no_images_no_batches(small_set):
    with pytest.raises(OptionError, match=r"There are no images to draw batches from"):
        next(batches("instance", small_set.rows(np.array([], int)), batch_size=2, steps=1, seed=0))
