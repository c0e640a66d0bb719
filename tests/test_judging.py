"""Test judging synthetic images by a classifier of real features that was not trained on them."""

import numpy as np
import pytest
import torch

from synaug.methods.judging import class_probabilities, judged
from synaug.training.training_set import make_training_set


@pytest.fixture
def images():
    """Two classes of 30 real and 20 synthetic images; the last 10 synthetic ones each resemble the other class."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.repeat([0, 1], [1, 1]), 50)
    is_synthetic = np.arange(100) >= 60
    shown = np.where(np.arange(100) >= 80, 1 - labels, labels)
    features = rng.normal(0, 1, (100, 3)) + 8 * shown[:, None] * np.eye(3)[0]
    data = make_training_set(
        torch.zeros(100, 1, 4, 4, dtype=torch.uint8),
        torch.from_numpy(labels),
        num_classes=2,
        is_synthetic=torch.from_numpy(is_synthetic),
    )
    return data, torch.from_numpy(features)


def test_a_filter_drops_the_images_of_another_class_and_no_real_one(images):
    data, features = images
    kept = judged(data, features, by="filter", quantile=0.05)
    assert (~kept.is_synthetic).sum() == 60
    assert 15 <= kept.is_synthetic.sum() <= 24


def test_weights_are_1_for_real_images_and_low_for_those_of_another_class(images):
    data, features = images
    weights = judged(data, features, by="weight").weights
    assert (weights[:60] == 1).all()
    assert weights[60:80].mean() > 0.8
    assert weights[80:].mean() < 0.5 * weights[60:80].mean()
    assert len(weights) == len(data)


def test_a_real_image_is_judged_by_a_classifier_that_did_not_see_it(images):
    """With random labels and as many features as images, a classifier trained on the image would be right."""
    data, _ = images
    rng = np.random.default_rng(1)
    labels = torch.from_numpy(rng.permutation(np.repeat([0, 1], 50)))
    data = make_training_set(data.images, labels, num_classes=2)
    probabilities = class_probabilities(data, torch.from_numpy(rng.normal(size=(100, 200))))
    assert (probabilities.argmax(1) == labels.numpy()).mean() < 0.7


def test_feedback_keeps_a_quarter_of_each_class_that_fits_it(images):
    data, features = images
    kept = judged(data, features, by="feedback", quantile=0.05)
    assert (~kept.is_synthetic).sum() == 60
    assert torch.bincount(kept.labels[kept.is_synthetic]).tolist() == [5, 5]


def test_feedback_prefers_images_about_which_the_classifier_is_unsure():
    """Two classes on a line: of the images that fit, those nearest to the middle are kept."""
    place = torch.cat([torch.linspace(-3, -1, 20), torch.linspace(1, 3, 20), torch.linspace(-3, -1, 8)])
    labels = torch.tensor([0] * 20 + [1] * 20 + [0] * 8)
    data = make_training_set(
        torch.arange(48, dtype=torch.uint8).reshape(48, 1, 1, 1),
        labels,
        num_classes=2,
        is_synthetic=torch.arange(48) >= 40,
    )
    kept = judged(data, place[:, None].double(), by="feedback", quantile=0.01)
    assert kept.images[kept.is_synthetic].flatten().tolist() == [46, 47]
