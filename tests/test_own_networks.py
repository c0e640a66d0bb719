"""Test custom networks through the public commands, and several seeds at once."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from synaug import load_classifier
from synaug.errors import DataError, Interrupted, OptionError
from synaug.pipeline import train as train_stage
from synaug.pipeline.choosing import choose as choose_stage
from synaug.run_directory import RunPaths
from synaug.runtime import storage
from synaug.training.networks.custom import factory_named

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(16, num_classes)

    def forward(self, images):
        return self.head(self.body(images))
"""
METHODS = "cross_entropy,cross_entropy_retrained"


@pytest.fixture
def planned(photos, tmp_path, synaug):
    """A run directory with a custom network file, and that file."""
    net = tmp_path / "net.py"
    net.write_text(NET)
    options = {
        "plan": {"model": "embedded"},
        "train": {"network": f"{net}:Net", "stage1": {"steps": 2, "batch_size": 8}},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(options))
    planned = synaug("plan", photos, "--recipe", tmp_path / "recipe.yaml", "--out", tmp_path / "run", "--trust", net)
    assert planned.code == 0, planned.err
    return tmp_path / "run", net


def test_a_file_is_trained_retrained_kept_and_loaded_for_two_seeds(planned, synaug, monkeypatch):
    (run, net), loads = planned, []
    whole = train_stage.load_sets
    monkeypatch.setattr(train_stage, "load_sets", lambda *a, **k: loads.append(1) or whole(*a, **k))
    preview = synaug("train", run, "--trust", net, "--methods", METHODS, "--seeds", "2", "--dry-run", "--json")
    assert json.loads(preview.out)["to_train"][-1] == "cross_entropy_retrained (seed 1)"
    done = synaug("train", run, "--trust", net, "--methods", METHODS, "--seeds", "2", "--json")
    assert done.code == 0, done.err
    results = json.loads(done.out)
    assert [(result["seed"], result["method"]) for result in results] == [
        (seed, name) for seed in (0, 1) for name in METHODS.split(",")
    ]
    assert len(loads) == 1
    digest = storage.file_digest(net)
    assert {result["options"]["network_digest"] for result in results} == {digest}
    assert storage.read_json(RunPaths(run).lock_file)["networks"] == {f"{net}:Net": digest}

    kept = run / "checkpoints" / "cross_entropy_retrained-0"
    with pytest.raises(OptionError, match=r"custom network net\.py:Net, whose code is not in it"):
        load_classifier(kept)
    named = load_classifier(kept, network=f"{net}:Net")
    assert named.network == "net.py:Net"
    given = load_classifier(kept, network=factory_named(f"{net}:Net"))
    assert given.model.classifier.weight.equal(named.model.classifier.weight)

    assert synaug("train", run, "--trust", net, "--methods", METHODS, "--seeds", "2").code == 0
    assert len(loads) == 1  # nothing was missing
    net.write_text(NET.replace("nn.ReLU", "nn.GELU"))
    with pytest.raises(DataError, match=r"net\.py:Net is not the file that .* was trained with"):
        load_classifier(kept, network=f"{net}:Net")
    again = json.loads(synaug("train", run, "--trust", net, "--methods", METHODS, "--json").out)
    assert again[0]["options"]["network_digest"] == storage.file_digest(net) != digest
    net.unlink()
    lost = synaug("train", run, "--trust", net, "--methods", METHODS)
    assert (lost.code, "cannot be read: No such file" in lost.err) == (2, True)
    assert RunPaths(run).result("cross_entropy", 0).exists()


def test_run_trains_several_seeds_resumes_after_a_stop_and_reports_mean_and_deviation(
    photos, recipe, tmp_path, synaug, monkeypatch
):
    out, loads, calls = tmp_path / "run", [], iter(range(1000))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json") | {"seed": 5}))
    command = ["run", photos, "--recipe", tmp_path / "recipe.yaml", "--out", out, "--methods", "synaug_stage1"]
    preview = synaug(*command, "--seeds", "2", "--dry-run")
    assert "synaug_stage1, each with 2 seeds;" in " ".join(preview.out.split())
    whole, load = train_stage.train_method, train_stage.load_sets
    for stage in (train_stage, choose_stage):
        monkeypatch.setattr(stage, "load_sets", lambda *a, **k: loads.append(1) or load(*a, **k))

    def stopped(*a, **k):
        if next(calls) == 1:
            raise Interrupted("stop")
        whole(*a, **k)

    monkeypatch.setattr(train_stage, "train_method", stopped)
    assert synaug(*command, "--seeds", "2").code == 75
    first = RunPaths(out).result("synaug_stage1", 5).stat().st_mtime_ns
    done = synaug(*command, "--seeds", "2")
    assert done.code == 0, done.err
    assert RunPaths(out).result("synaug_stage1", 5).stat().st_mtime_ns == first
    assert len(loads) == 3  # once per process to train, not once per seed, and once to choose
    assert "training synaug_stage1, seed 6" in done.err
    assert RunPaths(out).gap.exists()
    report = storage.read_json(out / "report.json")
    accuracies = [result["accuracy"] for result in report["results"]]
    assert [result["seed"] for result in report["results"]] == [5, 6]
    said = report["seeds"]["synaug_stage1"]
    assert said["mean"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert said["deviation"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    assert f"{100 * np.mean(accuracies):.1f} ± {100 * np.std(accuracies, ddof=1):.1f}" in done.out

    changed = {"seed": 5, "methods": {"synaug_stage1": {"stage1": {"weight_decay": 0.5}}}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json") | changed))
    assert synaug(*command).code == 0
    again = storage.read_json(out / "report.json")
    assert [result["seed"] for result in again["results"]] == [5]  # seed 6 has other options
    assert again["seeds"] == {}


def test_a_network_that_does_not_fit_stops_the_run_before_images_are_made(photos, tmp_path, synaug):
    net = tmp_path / "net.py"
    net.write_text(NET + "\n\ndef two(in_channels):\n    return Net(2, in_channels)\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"plan": {"model": "embedded"}, "train": {"network": f"{net}:two"}}))
    ended = synaug("run", photos, "--trust", net, "--recipe", recipe, "--out", tmp_path / "run", "--methods", METHODS)
    assert (ended.code, "has 2 outputs, but there are 3 classes" in " ".join(ended.err.split())) == (2, True)
    assert not Path(tmp_path / "run").exists()
