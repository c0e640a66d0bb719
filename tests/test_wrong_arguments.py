"""Every argument of every public function: a wrong value is refused in words of ours, whatever it is."""

import contextlib
import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import synaug
from synaug.config import GenerateOptions, PlanOptions, StageOptions
from synaug.data.images.codec import Encoding
from synaug.errors import SynaugError
from synaug.training.training_set import load_training_set
from test_wrong_input import DATA, IMAGES, RIGHT, WRONG, draw

MORE_WRONG = {
    "NUL": "a\0b",
    "long name": "x" * 300,
    "empty text": "",
    "bytes": b"bytes",
    "true": True,
    "huge": 10**30,
    "half": 0.5,
    "set": {1, 2},
    "class": int,
    "picture": Image.new("RGB", (4, 4)),
    "generator": (each for each in "ab"),
    "array of text": np.array(["a", "b"]),
    "index": pd.Index([1, 2]),
    "nested": [[[1]]],
    "texts and numbers": ["a", 1],
}
VALUES = WRONG | MORE_WRONG
ROWS = {"labels": RIGHT, "predictions": RIGHT, "attributes": RIGHT, "num_classes": 2, "num_attributes": 2}
FEATURES = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]])


def network():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))


def entering(*names):
    with synaug.trusting(*names):
        pass


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Right arguments of every public function, which a test replaces one at a time; cheap, or failing early."""
    folder = tmp_path_factory.mktemp("arguments")
    plan = synaug.make_plan(
        DATA, options=PlanOptions(model="embedded", target=2), generate=GenerateOptions(), encoding=Encoding(),
        image_size=(8, 8),
    )  # fmt: skip
    images = load_training_set(DATA, image_size=8)
    batches = [(torch.zeros(4, 64), torch.tensor(RIGHT))]
    return {
        "Manifest": {"frame": DATA.frame, "class_names": ("a", "b")},
        "Recipe": {},
        "SyntheticOverSampler": {"generator": draw},
        "balance": {"data": DATA, "generator": draw, "target": 2},
        "class_counts": {"labels": RIGHT, "num_classes": 2},
        "evaluate_predictions": {"table": {"label": RIGHT, "prediction": RIGHT}},
        "export_classifier": {"run": folder, "out": folder / "out"},
        "fairness_report": ROWS,
        "from_arrays": {"images": IMAGES, "labels": RIGHT, "class_names": ["a", "b"]},
        "group_counts": {name: value for name, value in ROWS.items() if name != "predictions"},
        "imbalance_factor": {"counts": [1, 2]},
        "labeled_features": {"model": network(), "data": batches},
        "load_classifier": {"path": folder},
        "load_generator": {"model": "./nowhere", "options": GenerateOptions()},
        "longtail_report": {"labels": RIGHT, "predictions": RIGHT, "num_classes": 2, "class_counts": [5, 5]},
        "make_plan": {
            "manifest": DATA, "options": PlanOptions(model="embedded"), "generate": GenerateOptions(),
            "encoding": Encoding(), "image_size": (8, 8),
        },
        "read_data": {"source": (IMAGES, RIGHT)},
        "read_recipe": {"path": folder / "no.yaml"},
        "retrain_classifier": {"model": torch.nn.Linear(2, 2), "data": FEATURES, "labels": RIGHT},
        "run": {"source": folder, "out": folder / "run", "recipe": synaug.Recipe()},
        "spurious_report": ROWS | {"train_group_counts": [[1, 1], [1, 1]]},
        "synthesize": {"plan": plan, "generator": draw, "folder": folder / "images"},
        "to_arrays": {"data": DATA},
        "to_datasets": {"data": DATA},
        "to_frame": {"data": DATA},
        "to_torch": {"data": DATA},
        "train_representation": {
            "model": network(), "data": images, "options": StageOptions(steps=1, batch_size=2), "seed": 0,
            "device": "cpu",
        },
        "trusting": {},
    }  # fmt: skip


def parameters_of(name):
    """Return the names of the parameters that a person may give."""
    found = getattr(synaug, name)
    if name == "Recipe":
        return list(found.model_fields)
    return [each.name for each in inspect.signature(found).parameters.values()]


FUNCTIONS = {"progress", "notify", "generator", "loss", "maker", "track", "transform", "guides", "method", "network",
             "sampling_strategy"}  # fmt: skip
CELLS = [(name, parameter) for name in synaug.__all__ for parameter in parameters_of(name)]


def refused_or_done(call, *values, **named):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(SynaugError):
            call(*values, **named)


def test_every_public_name_has_right_arguments(right):
    assert set(right) == set(synaug.__all__)


@pytest.mark.parametrize(("name", "parameter"), CELLS, ids=[f"{name}-{parameter}" for name, parameter in CELLS])
def test_each_argument_in_turn(right, name, parameter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a text that passes as a folder is made here
    public = getattr(synaug, name)
    for kind, value in VALUES.items():
        if parameter in FUNCTIONS and callable(value):
            continue  # it is called, and what it raises is its author's
        try:
            if name == "trusting":
                refused_or_done(entering, value)
            elif name == "fairness_report" and parameter == "arrays":
                refused_or_done(public, **(right[name] | {"labels": value}))
            elif name == "SyntheticOverSampler":
                sampler = public(**(right[name] | {parameter: value}))
                refused_or_done(sampler.fit_resample, IMAGES, [0, 0, 0, 1])
            elif name == "Recipe":
                from synaug.recipes import make_recipe

                refused_or_done(make_recipe, {parameter: value})
            else:
                refused_or_done(public, **(right[name] | {parameter: value}))
        except Exception as error:
            raise AssertionError(f"{name}({parameter}={kind}) raised {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize("argument", [0, 1])
def test_the_methods_of_the_sampler(method, argument):
    sampler = synaug.SyntheticOverSampler(generator=draw)
    for value in VALUES.values():
        given = [IMAGES, [0, 0, 0, 1]]
        given[argument] = value
        refused_or_done(getattr(sampler, method), *given)


@pytest.mark.parametrize("value", [None, 3, object(), ["a"], np.zeros(3)], ids=lambda value: type(value).__name__)
def test_the_message_names_function_argument_and_value(value, tmp_path):
    for call, argument in (
        (lambda: synaug.export_classifier(value, tmp_path / "out"), "run"),
        (lambda: synaug.synthesize(value, draw, folder=tmp_path), "plan"),
        (lambda: synaug.balance(DATA, generator=value if value is not None else 1), "generator"),
    ):
        with pytest.raises(SynaugError) as raised:
            call()
        assert f": {argument} must be " in str(raised.value)
