"""The speed measurements run; what they measure is the machine's affair."""

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "training.py"
TINY = "--network resnet8 --size 8 --batch 4 --steps 2 --repeats 1 --workers 0 --images 16 --device cpu"


@pytest.fixture
def measured(monkeypatch, capsys):
    def call(*more):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *TINY.split(), *more])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out

    return call


def test_the_ratio_and_the_share_follow_from_the_speeds(measured):
    found = json.loads(measured("--json"))
    assert found["ratio"] == pytest.approx(found["ours"] / found["usual"])
    assert found["share_in_network"] == pytest.approx(found["ours"] / found["network_alone"])
    assert found["limit"] == pytest.approx(found["matrix_operations_per_second"] / found["operations_per_image"])


def test_the_ratio_is_printed(measured):
    assert "ratio" in measured("--channels-last")


def test_operations_of_a_linear_layer_by_hand():
    import torch

    count = runpy.run_path(str(SCRIPT))["operations_per_image"]
    images = torch.rand(4, 10, requires_grad=True)
    assert count(torch.nn.Linear(10, 3), images) == 3 * 2 * 10 * 3
