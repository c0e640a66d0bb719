from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synaug.errors import DataError
from synaug.training.last_layer.feature_sampling import balanced_by_sampling
from synaug.training.last_layer.logistic import (
    DFR_INVERSE_STRENGTHS,
    DFR_REFITS,
    logistic,
    sparse_logistic,
    standardized,
    warm_logistic,
)
from synaug.training.last_layer.problem import Head, Problem, balanced_rows, mean_recall
from synaug.training.last_layer.sgd import RADII, trained_within
from synaug.training.last_layer.solvers import METHODS, WITHOUT_REGULARIZATION, nearest_class_mean, tau_norm


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
    inputs = standardized(problem.features)
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


def test_tau_1_makes_all_rows_equally_long():
    head = tau_norm(make_problem(), regularization=1.0, seed=0, tau=1.0)
    assert np.linalg.norm(head.weight, axis=1) == pytest.approx([1, 1, 1])
    assert head.bias.tolist() == [0, 0, 0]


def test_tau_0_keeps_the_rows():
    problem = make_problem()
    assert tau_norm(problem, regularization=1.0, seed=0, tau=0.0).weight == pytest.approx(problem.start.weight)


def by_hand(labels, *, validation=None):
    """Two images (1, 3), and rows (4, 0) and (0, 1)."""
    labels = np.array(labels)
    features = np.array([[1.0, 3.0], [1.0, 3.0]])
    return Problem(features, labels, labels, 2, Head(np.array([[4.0, 0], [0, 1.0]]), np.zeros(2)), validation)


def chosen_tau(problem):
    """Rows of length 4 and 1 become 4^(1 - tau) and 1."""
    return 1 - np.log(tau_norm(problem, regularization=1.0, seed=0).weight[0, 0]) / np.log(4)


def test_tau_is_chosen_by_mean_recall_by_hand():
    """(1, 3) belongs to class 0 while 4^(1 - tau) > 3, up to tau 0.2; the largest of equally good ones wins."""
    assert chosen_tau(by_hand([0, 0])) == pytest.approx(0.2)
    assert chosen_tau(by_hand([1, 1])) == pytest.approx(1)


def test_tau_is_chosen_on_the_validation_images_if_there_are_any():
    assert chosen_tau(by_hand([1, 1], validation=by_hand([0, 0]))) == pytest.approx(0.2)


def test_mean_recall_weighs_classes_alike():
    labels = np.array([0, 0, 0, 1])
    problem = Problem(np.array([[1.0], [1.0], [1.0], [1.0]]), labels, labels, 2, Head(np.zeros((2, 1)), np.zeros(2)))
    assert mean_recall(Head(np.array([[1.0], [0.0]]), np.zeros(2)), problem) == 0.5


def test_halves_to_fit_and_to_choose_on_share_no_image_and_hold_every_class():
    problem = make_problem(counts=(9, 4, 1))
    fit, check = problem.parted(np.random.default_rng(0))
    assert np.bincount(fit.labels).tolist() == [5, 2, 1]
    assert np.bincount(check.labels).tolist() == [4, 2]  # a single image is used for fitting
    rows = {tuple(row) for row in np.concatenate([fit.features, check.features])}
    assert len(rows) == 14


def test_with_a_single_image_per_class_there_is_one_set_to_fit_and_to_choose_on():
    problem = make_problem(counts=(1, 1, 1))
    assert problem.parted(np.random.default_rng(0)) == (problem, problem)


def test_nearest_class_mean_by_hand():
    features = np.array([[2.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    labels = np.array([0, 0, 1])
    head = nearest_class_mean(
        Problem(features, labels, labels, 2, Head(np.zeros((2, 2)), np.zeros(2))), regularization=1.0, seed=0
    )
    assert head.weight.tolist() == [[1, 0], [0, 1]]


def test_the_class_with_the_nearest_mean_is_scikit_learns_neighbor_by_cosine():
    problem = make_problem()
    means = [problem.features[problem.labels == label].mean(0) for label in range(3)]
    theirs = KNeighborsClassifier(1, metric="cosine").fit(means, range(3)).predict(problem.features)
    ours = nearest_class_mean(problem, regularization=1.0, seed=0).logits(problem.features).argmax(1)
    assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("method", ["crt", "crt_warm"])
def test_crt_without_anything_to_see_guesses_every_class_alike_by_hand(method):
    """Features are 0, so only the bias is learned: of 60, 20 and 6 images, each class is drawn equally often."""
    problem = make_problem()
    blind = replace(problem, features=np.zeros_like(problem.features))
    head = METHODS[method](blind, regularization=100.0, seed=0)
    shares = torch.from_numpy(head.bias).softmax(0).numpy()
    assert shares == pytest.approx([1 / 3] * 3, abs=0.05)


def test_crt_agrees_with_scikit_learns_class_balanced_regression():
    """By SGD on random batches, so approximately; the existing layer has no influence."""
    problem = make_problem()
    inputs = replace(problem, features=standardized(problem.features).features)
    theirs = LogisticRegression(C=1.0, class_weight="balanced").fit(inputs.features, inputs.labels)
    ours = METHODS["crt"](inputs, regularization=1.0, seed=0)
    probabilities = torch.from_numpy(ours.logits(inputs.features)).softmax(1).numpy()
    assert abs(probabilities - theirs.predict_proba(inputs.features)).mean() < 0.03
    other = METHODS["crt"](replace(inputs, start=Head(np.ones((3, 5)), np.ones(3))), regularization=1.0, seed=0)
    assert other.weight.tolist() == ours.weight.tolist()


def test_lws_finds_the_scales_that_scipy_finds():
    problem = make_problem()
    problem = replace(problem, start=logistic(problem, regularization=0.05, seed=0))
    logits = problem.start.logits(problem.features)
    weights = 1 / (3 * np.bincount(problem.labels))[problem.labels]

    def loss(scales):
        scaled = logits * scales
        return -(weights * log_softmax(scaled, axis=1)[np.arange(len(logits)), problem.labels]).sum()

    best = minimize(loss, np.ones(3))
    head = METHODS["lws"](problem, regularization=1.0, seed=0)
    found = (head.weight / problem.start.weight)[:, 0]
    assert loss(found) < loss(np.ones(3))
    assert loss(found) == pytest.approx(best.fun, rel=0.05)


def test_a_ball_that_holds_every_row_leaves_the_layer_trained_on():
    problem = make_problem()
    free = METHODS["crt_warm"](problem, regularization=1.0, seed=0)
    assert trained_within(1e9, problem, regularization=1.0, seed=0).weight.tolist() == free.weight.tolist()


def test_lws_only_scales_the_rows():
    problem = make_problem()
    head = METHODS["lws"](problem, regularization=1.0, seed=0)
    ratio = head.weight / problem.start.weight
    assert ratio == pytest.approx(ratio[:, :1] * np.ones((1, 5)))
    assert head.bias / problem.start.bias == pytest.approx(ratio[:, 0])


def test_max_norm_keeps_the_rows_inside_the_ball_chosen_on_validation_images(monkeypatch):
    """For any head, the images to choose on are right for one radius only."""
    problem = make_problem()
    radius = np.median(np.linalg.norm(problem.start.weight, axis=1))
    for factor in (0.5, 2.0):
        tried = iter([factor == radius_factor for radius_factor in RADII])
        monkeypatch.setattr(
            "synaug.training.last_layer.sgd.mean_recall", lambda head, check, tried=tried: float(next(tried))
        )
        head = METHODS["max_norm"](problem, regularization=1.0, seed=0)
        assert np.linalg.norm(head.weight, axis=1).max() <= factor * radius * (1 + 1e-9)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_balanced_rows_are_distinct_and_as_many_of_each_group(groups):
    rows = balanced_rows(np.array(groups), np.random.default_rng(0))
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(np.unique(np.array(groups)[rows], return_counts=True)[1].tolist())) == 1


def test_dfr_ignores_a_spurious_feature_that_logistic_regression_uses():
    """The core feature is weak; the spurious one is strong and agrees with the label for 95 %."""
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


def test_a_sparse_fit_of_three_classes_gives_the_scores_of_scikit_learns_one_against_the_rest():
    problem = make_problem()
    inputs = standardized(problem.features).features
    one = LogisticRegression(C=0.3, l1_ratio=1.0, solver="liblinear", max_iter=5000, tol=1e-3, random_state=0)
    theirs = OneVsRestClassifier(one).fit(inputs, problem.labels).decision_function(inputs)
    assert sparse_logistic(inputs, problem.labels, 0.3, 0).logits(inputs) == pytest.approx(theirs)


def test_dfr_chooses_its_strength_on_the_validation_images(monkeypatch):
    """Only the expected strength is fitted correctly: all-zero heads predict class 0."""
    asked = []

    def fit(features, labels, strength, seed):
        asked.append(strength)
        return Head(np.zeros((3, 5)), np.array([0.0, 0.0, 1.0]) if strength == 0.1 else np.zeros(3))

    monkeypatch.setattr("synaug.training.last_layer.logistic.sparse_logistic", fit)
    rare = make_problem().rows(np.arange(80, 86))
    METHODS["dfr"](replace(make_problem(), validation=rare), regularization=1.0, seed=0)
    assert asked[:7] == list(DFR_INVERSE_STRENGTHS)
    assert asked[7:] == [0.1] * DFR_REFITS


def test_dfr_names_a_group_with_a_single_image():
    problem = make_problem(counts=(5, 5, 1))
    with pytest.raises(DataError, match=r"DFR.*2 images.*group,.*group 2"):
        METHODS["dfr"](problem, regularization=1.0, seed=0)


# ---------------------------------------------------------------- heads with their own grid, and sampled features


@pytest.mark.parametrize("name", WITHOUT_REGULARIZATION)
def test_a_head_with_a_grid_of_its_own_ignores_a_shared_strength(name):
    """DFR's grid was once multiplied by it."""
    first, second = (METHODS[name](grouped(), regularization=strength, seed=0) for strength in (1.0, 0.01))
    assert np.array_equal(first.weight, second.weight)


def grouped():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), [40, 6, 6, 30])
    labels = groups // 2
    features = rng.normal(0, 1, (len(groups), 5)) + labels[:, None] + 2 * (groups % 2)[:, None] * np.eye(5)[0]
    return Problem(features, labels, groups, 2, Head(rng.normal(size=(2, 5)), np.zeros(2)))


def test_sampled_features_balance_the_classes_and_keep_their_means():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [400, 100, 5])
    features = rng.normal(0, 1, (505, 4)) + 5 * np.eye(4)[labels]
    even = balanced_by_sampling(Problem(features, labels, labels, 3, Head(np.zeros((3, 4)), np.zeros(3))), rng)
    assert np.bincount(even.labels).tolist() == [400] * 3
    assert np.array_equal(even.features[:505], features)
    rare, few = even.features[even.labels == 2], features[labels == 2]
    assert rare.mean(0) == pytest.approx(few.mean(0), abs=0.2)
    assert rare.std(0) == pytest.approx(np.ones(4), abs=0.2)  # the spread of the classes with more images
    assert even.is_synthetic.sum() == 300 + 395
