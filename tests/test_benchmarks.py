"""The benchmark scripts run, at a size that says nothing about speed."""

import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "training.py"
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


@pytest.fixture
def benchmark(request):
    spec = importlib.util.spec_from_file_location(request.param, ROOT / "benchmarks" / f"{request.param}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("benchmark", ["scaling"], indirect=True)
def test_every_stage_of_scaling_runs(benchmark, tmp_path):
    for stage in benchmark.STAGES:
        benchmark.timed(stage, tmp_path, 1000)
        assert json.loads((tmp_path / "peak.json").read_text())["peak_mib"] > 0
    assert len(list((tmp_path / "export").rglob("*.png"))) == 1000


@pytest.mark.long
def test_scaling_really_makes_kills_resumes_exports_and_verifies(tmp_path):
    script = [sys.executable, ROOT / "benchmarks" / "scaling.py", "--rows", "1000", "--real"]
    done = subprocess.run([*script, "--out", tmp_path / "numbers.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "numbers.json").read_text())["rows"]
    assert [row["stage"] for row in rows] == ["plan", "half", "rest", "resume", "provenance", "export made", "verify"]
