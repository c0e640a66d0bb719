import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from synaug.config import StageOptions
from synaug.errors import DataError, OptionError
from synaug.training.classifier import (
    METHODS,
    Head,
    Problem,
    balanced_rows,
    logistic,
    nearest_class_mean,
    predicted_groups,
    retrain_classifier,
    standardised,
    tau_norm,
    warm_logistic,
)
from synaug.training.fit import extract_features, predict, train_representation
from synaug.training.images import make_training_set
from synaug.training.models import make_model


def make_problem(num_classes=3, size=5, counts=(60, 20, 6), *, start=None, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(num_classes), counts[:num_classes])
    features = rng.normal(size=(len(labels), size)) * 3 + 4 + np.eye(num_classes, size)[labels] * 4
    if start is None:
        start = Head(rng.normal(size=(num_classes, size)), rng.normal(size=num_classes))
    return Problem(features, labels, labels, num_classes, start)


def scikit_learns(problem, strength):
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)).fit(
        problem.features, problem.labels
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_logistic_gives_the_probabilities_of_scikit_learns_pipeline(num_classes):
    problem = make_problem(num_classes)
    head = logistic(problem, regularization=0.5, seed=0)
    ours = torch.from_numpy(head.logits(problem.features)).softmax(1).numpy()
    assert ours == pytest.approx(scikit_learns(problem, 0.5).predict_proba(problem.features), abs=1e-8)


def test_warm_logistic_from_zero_is_scikit_learns():
    problem = make_problem(start=Head(np.zeros((3, 5)), np.zeros(3)))
    head = warm_logistic(problem, regularization=0.5, seed=0)
    ours = torch.from_numpy(head.logits(problem.features)).softmax(1).numpy()
    assert ours == pytest.approx(scikit_learns(problem, 0.5).predict_proba(problem.features), abs=1e-3)


def test_warm_logistic_stays_at_the_start_when_it_is_held_tightly():
    problem = make_problem()
    head = warm_logistic(problem, regularization=1e-9, seed=0)
    assert head.weight == pytest.approx(problem.start.weight, abs=1e-4)


def test_folding_and_unfolding_are_inverse():
    problem = make_problem()
    inputs = standardised(problem.features)
    there = inputs.unfolded(problem.start)
    assert there.logits(inputs.features) == pytest.approx(problem.start.logits(problem.features))
    back = inputs.folded(there.weight, there.bias)
    assert back.weight == pytest.approx(problem.start.weight)
    assert back.bias == pytest.approx(problem.start.bias)


def test_a_constant_feature_does_no_harm():
    problem = make_problem()
    features = np.column_stack([problem.features[:, :4], np.full(len(problem.labels), 7.0)])
    head = logistic(Problem(features, problem.labels, problem.labels, 3, problem.start), regularization=1.0, seed=0)
    assert np.isfinite(head.weight).all()


def test_tau_norm_makes_all_rows_equally_long():
    head = tau_norm(make_problem(), regularization=1.0, seed=0)
    assert np.linalg.norm(head.weight, axis=1) == pytest.approx([1, 1, 1])
    assert head.bias.tolist() == [0, 0, 0]


def test_tau_0_keeps_the_rows():
    problem = make_problem()
    assert tau_norm(problem, regularization=1.0, seed=0, tau=0.0).weight == pytest.approx(problem.start.weight)


def test_nearest_class_mean_by_hand():
    features = np.array([[2.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    labels = np.array([0, 0, 1])
    head = nearest_class_mean(
        Problem(features, labels, labels, 2, Head(np.zeros((2, 2)), np.zeros(2))), regularization=1.0, seed=0
    )
    assert head.weight.tolist() == [[1, 0], [0, 1]]


def test_lws_only_scales_the_rows():
    problem = make_problem()
    head = METHODS["lws"](problem, regularization=1.0, seed=0)
    ratio = head.weight / problem.start.weight
    assert ratio == pytest.approx(ratio[:, :1] * np.ones((1, 5)))
    assert head.bias / problem.start.bias == pytest.approx(ratio[:, 0])


def test_max_norm_keeps_the_rows_inside_the_ball():
    problem = make_problem()
    radius = np.median(np.linalg.norm(problem.start.weight, axis=1))
    head = METHODS["max_norm"](problem, regularization=1.0, seed=0)
    assert np.linalg.norm(head.weight, axis=1).max() <= radius * (1 + 1e-9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_balanced_rows_are_distinct_and_as_many_of_each_group(groups):
    rows = balanced_rows(np.array(groups), np.random.default_rng(0))
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(np.unique(np.array(groups)[rows], return_counts=True)[1].tolist())) == 1


def test_dfr_ignores_a_spurious_feature_that_logistic_regression_uses():
    """The core matters weakly, the spurious feature strongly, and agrees with the label for 95 %."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 400)
    attributes = np.where(rng.random(800) < 0.95, labels, 1 - labels)
    features = np.column_stack(
        [2 * labels - 1 + rng.normal(size=800) * 0.7, 2 * attributes - 1 + rng.normal(size=800) * 0.3]
    )
    groups = labels * 2 + attributes
    problem = Problem(features, labels, groups, 2, Head(np.zeros((2, 2)), np.zeros(2)))

    def worst(method):
        right = METHODS[method](problem, regularization=1.0, seed=0).logits(features).argmax(1) == labels
        return min(right[groups == group].mean() for group in range(4))

    assert worst("dfr") > worst("logistic") + 0.1


def test_dfr_names_a_group_with_a_single_image():
    problem = make_problem(counts=(5, 5, 1))
    with pytest.raises(DataError, match=r"DFR needs at least 2 images of each group, but group 2 has one"):
        METHODS["dfr"](problem, regularization=1.0, seed=0)


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


def test_predicted_groups_need_two_attributes(small_set):
    data = small_set.rows(small_set.groups != 1)
    with pytest.raises(DataError, match=r"Attributes cannot be predicted: the images show fewer than two"):
        predicted_groups(data, torch.zeros(len(data), 2))
