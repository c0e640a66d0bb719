"""Test the cautious last layer: how far it moves is chosen on real images that it was not fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from synaug.data.group_means import group_mean
from synaug.training.last_layer.cross_fitting import STRENGTHS, chosen_column, cross_fitted, held_out_losses
from synaug.training.last_layer.logistic import logistic, warm_path
from synaug.training.last_layer.problem import Head, Problem, mean_recall

CENTERS = np.random.default_rng(0).normal(size=(4, 12)) * 1.2


def sample(counts, seed, *, start=None, synthetic=None):
    """Draw features of four overlapping classes; ``synthetic`` are added (features, labels)."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), counts)
    features = CENTERS[labels] + rng.normal(size=(len(labels), 12))
    is_synthetic = np.zeros(len(labels), bool)
    if synthetic is not None:
        features = np.concatenate([features, synthetic[0]])
        is_synthetic = np.concatenate([is_synthetic, np.ones(len(synthetic[1]), bool)])
        labels = np.concatenate([labels, synthetic[1]])
    start = start or Head(np.zeros((4, 12)), np.zeros(4))
    return Problem(features, labels, labels, 4, start, is_synthetic=is_synthetic)


IDEAL = Head(CENTERS, -0.5 * (CENTERS**2).sum(1))  # Bayes' rule for these classes
TEST = sample((500, 500, 500, 500), 99)


@pytest.mark.parametrize("seed", range(10))
def test_with_few_images_per_class_it_is_never_worse_than_the_layer_it_starts_from(seed):
    few = sample((4, 4, 4, 4), seed, start=IDEAL)
    assert mean_recall(cross_fitted(few, regularization=1.0, seed=seed), TEST) >= mean_recall(IDEAL, TEST) - 0.02


def test_a_layer_fitted_from_scratch_on_as_few_images_is_worse():
    recalls = [mean_recall(logistic(sample((4,) * 4, s), regularization=1.0, seed=0), TEST) for s in range(10)]
    assert np.mean(recalls) < mean_recall(IDEAL, TEST) - 0.05


def test_an_uninformative_layer_is_replaced():
    found = cross_fitted(sample((60, 30, 15, 6), 0), regularization=1.0, seed=0)
    assert mean_recall(found, TEST) > mean_recall(IDEAL, TEST) - 0.05


def test_synthetic_images_of_wrong_classes_do_not_move_it():
    rng, labels = np.random.default_rng(5), np.repeat(np.arange(4), 60)
    wrong = sample(
        (20, 10, 6, 4), 0, start=IDEAL, synthetic=(CENTERS[(labels + 1) % 4] + rng.normal(size=(240, 12)), labels)
    )
    assert cross_fitted(wrong, regularization=1.0, seed=0) is IDEAL


def test_synthetic_images_of_the_right_classes_are_learned_from():
    rng, labels = np.random.default_rng(5), np.repeat(np.arange(4), 60)
    right = sample((20, 10, 6, 4), 0, synthetic=(CENTERS[labels] + rng.normal(size=(240, 12)), labels))
    alone = replace(right.rows(~right.is_synthetic), is_synthetic=None)
    found, without = (mean_recall(cross_fitted(p, regularization=1.0, seed=0), TEST) for p in (right, alone))
    assert found > without


def test_only_real_images_are_judged():
    problem = sample((8, 6, 4, 1), 0, synthetic=(np.zeros((5, 12)), np.full(5, 3)))
    losses, groups = held_out_losses(problem, seed=0)
    assert losses.shape == (18, 1 + len(STRENGTHS))  # the only real image of class 3 is never held out
    assert np.bincount(groups).tolist() == [8, 6, 4]


def test_twins_are_held_out_together():
    once = sample((6, 6, 6, 6), 0)
    twice = Problem(*(np.concatenate([a, a]) for a in (once.features, once.labels, once.groups)), 4, once.start)
    losses, _ = held_out_losses(twice, seed=0)
    alone, _ = held_out_losses(once, seed=0)
    # A twin left among the training images would make the loosest fit look nearly perfect.
    assert losses[:, -1].mean() > 0.5 * alone[:, -1].mean()


def test_validation_images_are_judged_instead_if_there_are_any():
    problem = replace(sample((9, 9, 9, 9), 0), validation=sample((2, 2, 2, 2), 1))
    assert len(held_out_losses(problem, seed=0)[0]) == 8


def test_without_two_real_images_of_any_class_it_stays():
    problem = sample((1, 1, 1, 1), 0, start=IDEAL)
    assert cross_fitted(problem, regularization=1.0, seed=0) is IDEAL


@pytest.mark.parametrize("are_remembered", [True, False])
def test_the_best_layer_has_to_lead_by_a_standard_error_by_hand(are_remembered):
    """Two groups of ten. A constant gain has standard error 0; one that swings by 0.5 has 0.12, more than 0.1."""
    groups = np.repeat([0, 1], 10)
    steady = np.column_stack([np.full(20, 1.0), np.full(20, 0.9), np.full(20, 0.95)])
    assert chosen_column(steady, groups, are_remembered=are_remembered) == 1
    swinging = np.column_stack([1.0 + np.tile([0.5, -0.5], 10), np.full(20, 0.9)])
    assert chosen_column(swinging, groups, are_remembered=are_remembered) == 0
    assert chosen_column(np.zeros((0, 3)), groups[:0], are_remembered=are_remembered) == 0


def test_on_remembered_images_the_loosest_of_equally_good_layers_is_taken_by_hand():
    """Column 2 is the best by 0.02. Column 3 differs from it by noise (0.02 +- 0.03), column 4 by more than noise."""
    groups, noise = np.repeat([0, 1], 10), np.tile([0.13, -0.13], 10)
    losses = np.column_stack([np.full(20, value) for value in (1.0, 0.5, 0.4, 0.42, 0.5)])
    losses[:, 3] += noise
    assert chosen_column(losses, groups, are_remembered=True) == 3
    assert chosen_column(losses, groups, are_remembered=False) == 2
    losses[:, 3] -= noise
    assert chosen_column(losses, groups, are_remembered=True) == 2


def test_a_looser_layer_has_to_lead_the_existing_one_as_well():
    """Column 2 equals the best within its noise (0.1 +- 0.12), but also the existing layer (0.1 +- 0.12)."""
    groups, noise = np.repeat([0, 1], 10), np.tile([0.5, -0.5], 10)
    losses = np.column_stack([np.full(20, 1.0), np.full(20, 0.8), 0.9 + noise])
    assert chosen_column(losses, groups, are_remembered=True) == 1


def test_only_training_images_count_as_remembered(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "synaug.training.last_layer.cross_fitting.chosen_column",
        lambda *_, are_remembered: seen.append(are_remembered) or 0,
    )
    problem = sample((9, 9, 9, 9), 0)
    cross_fitted(problem, regularization=1.0, seed=0)
    cross_fitted(replace(problem, validation=sample((2, 2, 2, 2), 1)), regularization=1.0, seed=0)
    assert seen == [True, False]


def test_groups_get_equal_weight_in_fit_and_judgment():
    rng = np.random.default_rng(0)
    labels, attributes = np.repeat([0, 0, 1, 1], (95, 5, 5, 95)), np.repeat([0, 1, 0, 1], (95, 5, 5, 95))
    features = np.column_stack([labels, 3 * attributes]) + rng.normal(size=(200, 2)) * 0.5
    start = Head(np.zeros((2, 2)), np.zeros(2))
    by_group = Problem(features, labels, 2 * labels + attributes, 2, start)
    by_class = replace(by_group, groups=labels)

    def worst(problem):
        right = cross_fitted(problem, regularization=1.0, seed=0).logits(features).argmax(1) == labels
        return min(right[by_group.groups == group].mean() for group in range(4))

    assert worst(by_group) > worst(by_class) + 0.2


def test_more_columns_than_images_give_the_same_layer():
    rng = np.random.default_rng(0)
    wide = Problem(rng.normal(size=(12, 40)), np.tile([0, 1, 2], 4), np.tile([0, 1, 2], 4), 3,
                   Head(rng.normal(size=(3, 40)), rng.normal(size=3)))  # fmt: skip
    tiled = [np.concatenate([each] * 4) for each in (wide.features, wide.labels, wide.groups)]
    tall = Problem(*tiled, 3, wide.start)
    (of_wide,), (of_tall,) = warm_path(wide, (0.4,)), warm_path(tall, (0.1,))
    assert of_wide.weight == pytest.approx(of_tall.weight, abs=1e-4)


def test_group_mean_counts_each_group_the_same():
    assert group_mean(np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1])) == 0.5
    assert np.isnan(group_mean(np.zeros(0), np.zeros(0)))
