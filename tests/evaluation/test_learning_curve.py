"""Test a baseline on features: the recall per class, and labels that the other images contradict."""

import numpy as np
import pytest

from synaug.data.subsets import fold_numbers
from synaug.evaluation.learning_curve import SHARES, learning_curve, suspects


def classes(counts, *, distance, seed=0, size=6):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    features = rng.normal(size=(len(labels), size))
    features[np.arange(len(labels)), labels] += distance
    folds = fold_numbers(labels, 5, rng, contents=np.arange(len(labels)))
    return features, labels, folds


def test_classes_that_lie_apart_are_recognized_with_any_number_of_images():
    features, labels, folds = classes((40, 40), distance=9)
    curve = learning_curve(features, labels, folds, num_classes=2)
    assert curve.recalls == pytest.approx(np.ones((len(SHARES), 2)))


def test_a_class_that_needs_images_has_a_rising_curve():
    rises = [
        learning_curve(*classes((120, 120), distance=1.5, seed=s, size=40), num_classes=2).recalls for s in range(5)
    ]
    mean = np.mean(rises, axis=(0, 2))
    assert mean[0] < mean[1] < mean[2]


def test_labels_without_signal_are_recognized_by_chance():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(400, 5)), np.repeat([0, 1], 200)
    folds = fold_numbers(labels, 5, rng, contents=np.arange(400))
    assert learning_curve(features, labels, folds, num_classes=2).recalls[-1].mean() == pytest.approx(0.5, abs=0.1)


def test_an_image_that_is_never_held_out_has_no_probability():
    features, labels, folds = classes((20, 1), distance=9)
    curve = learning_curve(features, labels, folds, num_classes=2)
    assert np.isnan(curve.probabilities[-1]).all()
    assert np.isnan(curve.recalls[:, 1]).all()


def test_swapped_labels_are_found_and_right_ones_are_not():
    features, labels, folds = classes((60, 60, 60), distance=7)
    wrong = labels.copy()
    wrong[[3, 70]] = [2, 0]
    curve = learning_curve(features, wrong, folds, num_classes=3)
    assert {(row, other) for row, other, _ in suspects(curve.probabilities, wrong)} == {(3, 0), (70, 1)}
