import math

import numpy as np
import pytest

from synaug.errors import DataError, OptionError
from synaug.evaluation.gap.domain_gap import gap, gap_report, kernel_distance, probe_accuracy, squared_mmd


def gauss(num, dims=4, *, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (num, dims))


def test_a_probe_cannot_distinguish_equal_distributions():
    assert probe_accuracy(real=gauss(300), synthetic=gauss(300, seed=1)) == pytest.approx(0.5, abs=0.08)


def test_a_probe_distinguishes_shifted_distributions():
    assert probe_accuracy(real=gauss(100), synthetic=gauss(100, shift=5, seed=1)) == 1.0


def test_a_probe_is_balanced_whatever_the_numbers():
    assert probe_accuracy(real=gauss(40), synthetic=gauss(2000, seed=1)) == pytest.approx(0.5, abs=0.2)


def test_a_probe_of_too_few_images_is_undefined():
    assert math.isnan(probe_accuracy(real=gauss(3), synthetic=gauss(50)))


def test_the_squared_distance_agrees_with_its_definition_as_a_double_sum():
    x, y = gauss(5), gauss(7, shift=1, seed=1)

    def kernel(a, b):
        return (a @ b / 4 + 1) ** 3

    expected = (
        np.mean([kernel(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
        + np.mean([kernel(y[i], y[j]) for i in range(7) for j in range(7) if i != j])
        - 2 * np.mean([kernel(a, b) for a in x for b in y])
    )
    assert squared_mmd(x, y) == pytest.approx(expected)


def test_kid_is_unbiased():
    values = [squared_mmd(gauss(30, seed=2 * i), gauss(30, seed=2 * i + 1)) for i in range(200)]
    assert np.mean(values) == pytest.approx(0, abs=3 * np.std(values) / np.sqrt(200))


def test_kid_grows_with_the_shift():
    near, far = (kernel_distance(real=gauss(200), synthetic=gauss(200, shift=s, seed=1)).mean for s in (0.2, 1.0))
    assert near < far


def test_kid_has_a_deviation_only_over_several_blocks():
    small = kernel_distance(real=gauss(50), synthetic=gauss(50, seed=1))
    large = kernel_distance(real=gauss(90), synthetic=gauss(90, seed=1), block_size=30, num_blocks=5)
    assert math.isnan(small.deviation)
    assert large.deviation > 0


def test_the_same_seed_gives_the_same_gap():
    sides = {"real": gauss(60), "synthetic": gauss(80, seed=1)}
    assert gap(**sides, seed=3) == gap(**sides, seed=3)


def test_kid_is_of_normalized_features_and_undefined_below_fifty_images():
    sides = {"real": gauss(60), "synthetic": gauss(60, shift=0.5, seed=1)}
    small, large = (gap(**{name: side * scale for name, side in sides.items()}).kid.mean for scale in (1, 1000))
    assert small == pytest.approx(large)
    assert 0 < small < 8
    assert math.isnan(gap(real=gauss(49), synthetic=gauss(200, seed=1)).kid.mean)


def report(**changes):
    arguments = {
        "real": gauss(60),
        "synthetic": np.concatenate([gauss(20, seed=1), gauss(40, shift=3, seed=2)]),
        "real_labels": np.repeat([0, 1], [50, 10]),
        "synthetic_labels": np.repeat([0, 1], [20, 40]),
        "class_names": ["near", "far", "none"],
    }
    return gap_report(**arguments | changes)


def test_each_class_has_its_own_gap():
    near, far, none = report().per_class
    assert near.probe_accuracy < 0.7 < far.probe_accuracy
    assert near.manifold.coverage > far.manifold.coverage
    assert (none.num_real, none.num_synthetic) == (0, 0)
    assert math.isnan(none.probe_accuracy)
    assert math.isnan(none.real_diversity)


def test_classes_of_different_frequency_are_not_a_gap():
    def side(many, few, seed):
        return np.concatenate([gauss(many, seed=seed), gauss(few, shift=5, seed=seed + 1)])

    found = report(
        real=side(190, 30, 0), synthetic=side(30, 190, 2),
        real_labels=np.repeat([0, 1], [190, 30]), synthetic_labels=np.repeat([0, 1], [30, 190]),
    ).overall  # fmt: skip
    assert (found.num_real, found.num_synthetic) == (60, 60)
    assert found.probe_accuracy == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"real": gauss(60, 3)}, DataError, r"Features have shapes \(60, 3\) and \(60, 4\)"),
        ({"real": gauss(60) * np.nan}, DataError, "must be finite"),
        ({"real_labels": np.zeros(5, int)}, DataError, "60 features but 5 labels"),
        ({"real_labels": np.full(60, 3)}, DataError, "A label is 3; allowed: 0 to 2"),
        ({"num_neighbors": 0}, OptionError, "num_neighbors must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(changes, error, words):
    with pytest.raises(error, match=words):
        report(**changes)
