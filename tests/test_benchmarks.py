"""The benchmark scripts run, at a size that says nothing about speed."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmark(request):
    spec = importlib.util.spec_from_file_location(request.param, ROOT / "benchmarks" / f"{request.param}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("benchmark", ["scaling"], indirect=True)
def test_every_stage_of_scaling_runs(benchmark, tmp_path):
    found = {stage: benchmark.timed(stage, tmp_path, 1000) for stage in benchmark.STAGES}
    assert all(numbers["seconds"] > 0 and numbers["peak_mib"] > 0 for numbers in found.values())
    assert len(list((tmp_path / "export").rglob("*.png"))) == 1000
