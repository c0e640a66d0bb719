"""Test that the benchmark scripts run, at a size too small to measure speed."""

import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synaug.data.manifest import read_image

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
    assert found["ratio_to_plain"] == pytest.approx(found["ours"] / found["plain"])
    assert found["share_of_network_alone"] == pytest.approx(found["ours"] / found["network_alone"])
    assert 0 < found["share_inside"] < 1
    assert found["limit"] == pytest.approx(found["matrix_operations_per_second"] / found["operations_per_image"])


def test_the_ratio_is_printed(measured):
    assert "ratio" in measured("--channels-last")


def test_operations_of_a_linear_layer_by_hand():
    import torch

    count = runpy.run_path(str(SCRIPT))["operations_per_image"]
    images = torch.rand(4, 10, requires_grad=True)
    assert count(torch.nn.Linear(10, 3), images) == 3 * 2 * 10 * 3


@pytest.fixture
def benchmark(request, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # one may import another
    spec = importlib.util.spec_from_file_location(request.param, ROOT / "benchmarks" / f"{request.param}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("benchmark", ["scaling"], indirect=True)
def test_every_stage_of_scaling_runs(benchmark, tmp_path):
    for stage in benchmark.STAGES:
        benchmark.timed(stage, tmp_path, 1000)
        assert 20 < json.loads((tmp_path / "peak.json").read_text())["peak_mib"] < 20_000  # in MiB, not KiB
    assert len(list((tmp_path / "export").rglob("*.png"))) == 1000


@pytest.mark.parametrize("benchmark", ["gates"], indirect=True)
def test_planted_faults_are_found_among_other_images_of_the_demo(benchmark, fashion):
    """A small version of the table in docs/quality.md; sound candidates are test images unknown to the gates."""
    test = np.flatnonzero((fashion.frame["split"] == "test").to_numpy())
    kept, others = test[::2], test[1::8]
    known = fashion.rows(np.concatenate([np.flatnonzero((fashion.frame["split"] == "train").to_numpy()), kept]))
    images = np.stack([np.asarray(read_image(fashion, int(row))) for row in others])
    candidates, faults = benchmark.plant(known, images, fashion.labels[others], seed=0, num=400)
    found = benchmark.scores(faults, benchmark.verdicts_of(known, candidates))
    gates = found["gates"]
    assert gates["broken"]["recall"] == 1
    assert gates["off_class"]["recall"] > 0.6
    assert min(gates[name]["precision"] for name in ("broken", "copy", "leak", "collapse")) > 0.9
    assert min(gates[name]["recall by any gate"] for name in ("copy", "leak", "collapse")) > 0.9
    assert min(found["faults"][f"{kind} {how}"] for kind in ("copy", "leak") for how in ("exact", "flipped")) == 1
    assert min(found["faults"][f"{kind} shifted"] for kind in ("copy", "leak", "collapse")) > 0.8
    assert found["sound rejected"] < 0.1


@pytest.mark.parametrize("benchmark", ["copies"], indirect=True)
def test_our_way_finds_shifted_copies_that_hashes_and_latents_miss(benchmark, fashion):
    """A small version of the comparison in docs/quality.md."""
    rows = np.arange(0, len(fashion), 12)
    images = np.stack([np.asarray(read_image(fashion, int(row))) for row in rows])
    known, others = fashion.rows(np.arange(1, len(fashion), 12)), fashion.labels[rows]
    candidates, faults = benchmark.plant(known, images, others, seed=0, num=300)
    train = known.split("train")
    found = benchmark.compared(
        [each.image for each in candidates], faults, [read_image(train, row) for row in range(len(train))], "copy"
    )
    ours = found[benchmark.OURS][0]
    assert min(ours.values()) > 0.7
    assert ours["shifted"] > max(found[name][0]["shifted"] for name in ("pHash, 64 bits", "pHash, 256 bits", "latents"))
    assert {way[0]["exact"] for way in found.values()} == {1.0}


@pytest.mark.parametrize("benchmark", ["gates"], indirect=True)
def test_the_cost_of_each_gate_is_compared_with_no_gate(benchmark, fashion):
    few = fashion.rows(np.arange(0, len(fashion), 8))
    images = np.stack([np.asarray(read_image(few, row)) for row in range(20)])
    found = benchmark.speeds(few, images, few.labels, per_class=3)
    assert list(found["images per second"]) == ["none", *benchmark.GATES, "all"]
    assert found["images"] > 10
    assert "| none | " in benchmark.speed_table(found)
    assert found["CPU ms per image"]["all"] > found["CPU ms per image"]["broken"] > found["CPU ms per image"]["none"]


@pytest.mark.long
def test_generation_is_timed_beside_a_loop_and_batched_calls(monkeypatch, tmp_path):
    out = tmp_path / "numbers.json"
    monkeypatch.setattr(sys, "argv", f"generation.py --images 20 --repeats 1 --batches 4 8 --out {out}".split())
    runpy.run_path(str(ROOT / "benchmarks" / "generation.py"), run_name="__main__")
    found = json.loads(out.read_text())
    rates = found["images_per_second"]
    assert found["ratio_to_batched"] == pytest.approx(rates["synaug"] / rates["batched"])
    assert found["ratio_to_loop"] == pytest.approx(rates["synaug"] / rates["loop"])
    assert found["rival_batch_size"] in (4, 8)


@pytest.mark.long
def test_scaling_really_makes_kills_resumes_exports_and_verifies(tmp_path):
    script = [sys.executable, ROOT / "benchmarks" / "scaling.py", "--rows", "1000", "--real"]
    done = subprocess.run([*script, "--out", tmp_path / "numbers.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "numbers.json").read_text())["rows"]
    assert [row["stage"] for row in rows] == ["plan", "half", "rest", "resume", "provenance", "export made", "verify"]


@pytest.mark.long
def test_the_cost_of_a_further_method_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["startup.py", "--steps", "1", "--json"])
    runpy.run_path(str(ROOT / "benchmarks" / "startup.py"), run_name="__main__")
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["further_method"] < found["first"]
    assert 0 < found["further_seed"] < found["first"]


@pytest.mark.long
def test_a_balanced_test_set_looks_too_good(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["leakage.py", "--target", "60", "--splits", "3"])
    runpy.run_path(str(ROOT / "benchmarks" / "leakage.py"), run_name="__main__")
    found = json.loads(capsys.readouterr().out)
    assert sum(found["wrong"]) > sum(found["right"])
