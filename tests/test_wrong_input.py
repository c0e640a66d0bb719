"""Test that every public function rejects invalid input with our own errors, not with those of other libraries."""

import contextlib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import synaug
from synaug.errors import SynaugError

WRONG = {
    "None": None,
    "number": 3,
    "text": "nowhere",
    "path": Path("nowhere"),
    "empty": [],
    "NaN": [float("nan")] * 4,
    "infinite": np.full(4, np.inf),
    "negative": [-1] * 4,
    "names": list("abcd"),
    "two columns": np.zeros((4, 2)),
    "no dimension": np.array(1),
    "object": object(),
    "dict": {},
    "tensor with gradient": torch.rand(4, 3, requires_grad=True),
    "list of None": [None] * 4,
    "frame": pd.DataFrame({"a": [1]}),
    "complex": np.zeros(4, complex),
    "ragged": [[1], [1, 2]],
    "short": [0, 1],
    "right": [0, 1, 0, 1],
}
RIGHT = [0, 1, 0, 1]
IMAGES = np.zeros((4, 8, 8), np.uint8)
DATA = synaug.from_arrays(IMAGES, RIGHT, class_names=["a", "b"])
SIZES = {"num_classes": 2, "num_attributes": 2}


def draw(prompts, *, seeds):
    return []


TWO = {  # with two values
    "class_counts": synaug.class_counts,
    "group_counts": lambda a, b: synaug.group_counts(labels=a, attributes=b, **SIZES),
    "longtail_report": lambda a, b: synaug.longtail_report(labels=a, predictions=b, num_classes=2, class_counts=[5, 5]),
    "longtail_report sizes": lambda a, b: synaug.longtail_report(
        labels=RIGHT, predictions=RIGHT, num_classes=a, class_counts=b
    ),
    "fairness_report": lambda a, b: synaug.fairness_report(labels=a, predictions=b, attributes=RIGHT, **SIZES),
    "fairness_report sizes": lambda a, b: synaug.fairness_report(
        labels=RIGHT, predictions=RIGHT, attributes=RIGHT, num_classes=a, num_attributes=b
    ),
    "spurious_report": lambda a, b: synaug.spurious_report(
        labels=RIGHT, predictions=RIGHT, attributes=a, train_group_counts=b, **SIZES
    ),
    "evaluate_predictions": lambda a, b: synaug.evaluate_predictions({"label": a, "prediction": b}),
    "from_arrays": lambda a, b: synaug.from_arrays(a, b, class_names=["a", "b"]),
    "read_data": lambda a, b: synaug.read_data((a, b)),
    "retrain_classifier": lambda a, b: synaug.retrain_classifier(torch.nn.Linear(2, 2), a, labels=b),
    "SyntheticOverSampler": lambda a, b: synaug.SyntheticOverSampler(generator=draw).fit(a, b),
}
ONE = {  # with one value
    "imbalance_factor": synaug.imbalance_factor,
    "from_arrays names": lambda a: synaug.from_arrays(IMAGES, RIGHT, class_names=a),
    "from_arrays attributes": lambda a: synaug.from_arrays(
        IMAGES, RIGHT, class_names=["a", "b"], attributes=a, attribute_names=["x", "y"]
    ),
    "from_arrays split": lambda a: synaug.from_arrays(IMAGES, RIGHT, class_names=["a", "b"], split=a),
    "evaluate_predictions table": synaug.evaluate_predictions,
    "evaluate_predictions attributes": lambda a: synaug.evaluate_predictions(
        {"label": RIGHT, "prediction": RIGHT}, attributes=a
    ),
    "read_data source": synaug.read_data,
    "to_arrays": synaug.to_arrays,
    "to_arrays size": lambda a: synaug.to_arrays(DATA, size=a),
    "to_frame": synaug.to_frame,
    "to_torch": synaug.to_torch,
    "to_datasets": synaug.to_datasets,
    "read_recipe": synaug.read_recipe,
    "load_classifier": synaug.load_classifier,
    "labeled_features": lambda a: synaug.labeled_features(torch.nn.Linear(3, 2), a),
    "labeled_features model": lambda a: synaug.labeled_features(a, []),
    "retrain_classifier model": lambda a: synaug.retrain_classifier(a, torch.zeros(4, 2), labels=RIGHT),
    "balance options": lambda a: synaug.balance(DATA, generator=draw, options=a),
    "balance target": lambda a: synaug.balance(DATA, generator=draw, target=a),
    "balance by": lambda a: synaug.balance(DATA, generator=draw, by=a),
    "balance seed": lambda a: synaug.balance(DATA, generator=draw, seed=a),
}


def check(call, *values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(SynaugError):
            call(*values)


@pytest.mark.parametrize("first", WRONG)
@pytest.mark.parametrize("name", TWO)
def test_two_wrong_values(name, first):
    for second in WRONG.values():
        check(TWO[name], WRONG[first], second)


@pytest.mark.parametrize("name", ONE)
def test_one_wrong_value(name):
    for value in WRONG.values():
        check(ONE[name], value)


def test_no_module_hides_a_public_function():
    names = {path.name.removesuffix(".py") for path in Path(synaug.__file__).parent.iterdir()}
    assert not names & set(synaug.__all__)
