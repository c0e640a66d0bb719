import math

import numpy as np
import pytest

from synaug.report.seeds import deviations, mean_result, over_seeds

RUNS = [
    {"method": "synaug", "seed": seed, "accuracy": accuracy, "few": None, "per_class": {"bag": accuracy - 0.1},
     "intervals": {"per_class": {"bag": [accuracy - 0.2, accuracy]}}, "options": {"train": {"network": "resnet8"}}}
    for seed, accuracy in enumerate([0.5, 0.6, 0.9])
]  # fmt: skip


def test_means_and_deviations_are_numpys_number_by_number():
    found = over_seeds(RUNS)["synaug"]
    assert found["num_seeds"] == 3
    assert found["mean"]["accuracy"] == pytest.approx(2 / 3)
    assert found["deviation"]["accuracy"] == pytest.approx(np.std([0.5, 0.6, 0.9], ddof=1))
    assert found["mean"]["per_class"]["bag"] == pytest.approx(2 / 3 - 0.1)
    assert found["deviation"]["per_class"]["bag"] == pytest.approx(found["deviation"]["accuracy"])


def test_undefined_values_stay_undefined_and_names_are_not_averaged():
    found = over_seeds(RUNS)["synaug"]
    assert math.isnan(found["mean"]["few"])
    assert math.isnan(found["deviation"]["few"])
    assert found["mean"].keys() == {"accuracy", "few", "per_class"}


def test_ends_of_an_interval_are_means():
    assert mean_result(RUNS)["intervals"]["per_class"]["bag"] == pytest.approx([2 / 3 - 0.2, 2 / 3])


def test_one_seed_has_itself_as_mean_and_no_deviation():
    assert over_seeds(RUNS[:1]) == {}
    assert mean_result(RUNS[:1])["accuracy"] == 0.5
    assert math.isnan(deviations(RUNS[:1])["accuracy"])
