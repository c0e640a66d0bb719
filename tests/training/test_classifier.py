import numpy as np
import pytest
import torch
from torch import nn

from synaug.config import StageOptions
from synaug.errors import DataError, OptionError
from synaug.training.classifier import own_groups, predicted_groups, retrain_classifier
from synaug.training.fit import extract_features, predict, train_representation
from synaug.training.heads import METHODS, Head
from synaug.training.images import make_training_set
from synaug.training.models import make_model


@pytest.fixture(scope="module")
def stage_1(long_tail):
    model = make_model("resnet8", num_classes=10, in_channels=1, image_size=8)
    options = StageOptions(steps=150, batch_size=64, flip=False)
    train_representation(model, long_tail, options, seed=0, device="cpu")
    return model, extract_features(model, long_tail, device="cpu")


def few_shot_recall(model, data):
    predictions = predict(model, data, device="cpu").argmax(1)
    few = data.labels >= 5
    return (predictions == data.labels)[few].float().mean().item()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "tau_norm"])
def test_retraining_the_classifier_raises_few_shot_recall(stage_1, long_tail, even_digits, method):
    model, features = stage_1
    before = {name: value.clone() for name, value in model.state_dict().items()}
    new = retrain_classifier(model, long_tail, method=method, features=features, device="cpu")
    assert few_shot_recall(new, even_digits) > few_shot_recall(model, even_digits) + 0.15
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert new.backbone.stem.weight.equal(model.backbone.stem.weight)


@pytest.mark.parametrize("method", ["logistic", "crt", "dfr"])
def test_retraining_repeats_with_the_seed(stage_1, long_tail, method):
    model, features = stage_1
    heads = [
        retrain_classifier(model, long_tail, method=method, features=features, device="cpu").classifier.weight
        for _ in range(2)
    ]
    assert heads[0].equal(heads[1])


def test_any_network_with_a_linear_layer_can_be_retrained(small_set):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    new = retrain_classifier(network, small_set, device="cpu")
    assert new(small_set.normalised(small_set.images)).shape == (12, 3)


def test_a_method_of_ones_own(small_set):
    model = make_model("resnet8", num_classes=3, in_channels=1)

    def constant(problem, *, regularization, seed):
        return Head(np.zeros_like(problem.start.weight), np.array([0.0, 1.0, 0.0]))

    assert predict(retrain_classifier(model, small_set, method=constant), small_set).argmax(1).unique() == 1


def test_a_class_without_images_is_named(small_set):
    data = small_set.rows(small_set.labels != 1)
    with pytest.raises(DataError, match=r"no images of the classes number 1. Retrain on the evened-out set"):
        retrain_classifier(make_model("resnet8", num_classes=3, in_channels=1), data, device="cpu")


def test_features_of_another_set_are_refused(small_set):
    with pytest.raises(DataError, match=r"The features have shape \(5, 64\), but 12 images"):
        retrain_classifier(make_model("resnet8", num_classes=3, in_channels=1), small_set, features=torch.zeros(5, 64))


def test_misspelt_method_names_the_nearest(small_set):
    with pytest.raises(OptionError, match=r"Unknown retraining method 'logistics'. Did you mean 'logistic'"):
        retrain_classifier(make_model("resnet8", num_classes=3, in_channels=1), small_set, method="logistics")


def test_predicted_groups_guess_what_is_unknown_and_keep_what_is_known():
    rng = np.random.default_rng(0)
    labels, attributes = rng.integers(0, 2, (2, 60))
    features = np.column_stack([labels, 4 * attributes + rng.normal(size=60) * 0.1])
    groups = torch.from_numpy(2 * labels + attributes)
    known = torch.arange(60) < 40
    data = make_training_set(
        torch.zeros(60, 1, 2, 2, dtype=torch.uint8),
        torch.from_numpy(labels),
        num_classes=2,
        is_synthetic=~known,
        groups=torch.where(known, groups, -1),
        num_groups=4,
    )
    assert predicted_groups(data, torch.from_numpy(features)).equal(groups)


def test_a_class_has_an_own_group_for_images_without_attribute(small_set):
    data = own_groups(small_set)
    assert data.groups.tolist() == [0, 0, 0, 1, 2, 4, 6, 6, 7, 7, 8, 8]
    assert data.num_groups == 9
    assert small_set.groups.min() == -1


def test_a_layer_of_cosines_is_retrained_on_features_of_length_1(small_set):
    model = make_model("resnet8", num_classes=3, in_channels=1, image_size=8, head="cosine").eval()
    seen = []

    def keep(problem, *, regularization, seed):
        seen.append(problem)
        return problem.start

    new = retrain_classifier(model, small_set, method=keep, device="cpu")
    assert new.head == "unit_linear"
    assert np.linalg.norm(seen[0].features, axis=1) == pytest.approx(np.ones(12))
    assert torch.allclose(predict(new, small_set, device="cpu"), predict(model, small_set, device="cpu"), atol=1e-4)


def test_predicted_groups_need_two_attributes(small_set):
    data = small_set.rows(small_set.groups != 1)
    with pytest.raises(DataError, match=r"Attributes cannot be predicted: the images show fewer than two"):
        predicted_groups(data, torch.zeros(len(data), 2))
