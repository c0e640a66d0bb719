"""Test that a run and each of its stages parse the plan once and read the journals twice: counts and images."""

import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from synaug.config import Recipe
from synaug.data.manifest import from_arrays
from synaug.data.manifest_file import read_manifest
from synaug.experiment import run
from synaug.pipeline.choosing.choose import choose_classifier
from synaug.pipeline.export import export
from synaug.pipeline.generate import check, generate
from synaug.pipeline.reporting.report import report
from synaug.pipeline.status import status
from synaug.pipeline.train import train
from synaug.recipes import with_overrides
from synaug.run_directory import Run
from synaug.runtime.files import directories
from synaug.synthesis.execution.journal import read_state, read_tally
from synaug.synthesis.execution.provenance import synthetic_manifest
from synaug.synthesis.planning.plan_file import read_plan

OPTIONS = {
    "quality.gates": ("broken",),
    "train.stage1.steps": 2,
    "train.stage1.batch_size": 8,
    "train.network": "resnet8",
    "train.pretrained": False,
}


def draw(prompts, *, seeds):
    noise = (np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8) for seed in seeds)
    return [Image.fromarray(pixels) for pixels in noise]


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [20, 10])
    return from_arrays(rng.integers(0, 256, (30, 12, 12), dtype=np.uint8), labels, class_names=["bag", "shoe"])


@pytest.fixture
def opened(monkeypatch):
    """Counts the files opened through ``storage``, by name."""
    counts, open_file = Counter(), directories.opened_file

    def counted(path, *args, **kwargs):
        counts[path.name] += 1
        return open_file(path, *args, **kwargs)

    monkeypatch.setattr(directories, "opened_file", counted)
    return counts


@pytest.fixture
def parsed(monkeypatch):
    """Counts the plans and manifests that a ``Run`` parses, by name."""
    counts = Counter()

    def counting(read):
        def counted(path):
            counts[path.name] += 1
            return read(path)

        return counted

    for read in (read_plan, read_manifest):
        monkeypatch.setattr(f"synaug.run_directory.run.{read.__name__}", counting(read))
    return counts


def test_a_run_parses_its_plan_once_and_reads_its_journals_twice(images, tmp_path, opened, parsed):
    recipe = with_overrides(Recipe(), OPTIONS)
    run(images, tmp_path / "run", recipe, generator=draw, methods=["cross_entropy", "synaug_stage1"])
    assert parsed == {"plan.json": 1, "data.parquet": 1}
    assert opened["worker-0-of-1.jsonl"] <= 2
    opened.clear()
    status(Run.open(tmp_path / "run"))
    assert opened["worker-0-of-1.jsonl"] == 0  # nothing was written since


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    rng, out = np.random.default_rng(0), tmp_path_factory.mktemp("finished") / "run"
    pixels = rng.integers(0, 256, (30, 12, 12), dtype=np.uint8)
    data = from_arrays(pixels, np.repeat([0, 1], [20, 10]), class_names=["bag", "shoe"])
    run(data, out, with_overrides(Recipe(), OPTIONS), generator=draw, methods=["cross_entropy", "synaug_stage1"])
    return out


STAGES = {
    "generate": lambda run, out: generate(run, generator=draw),
    "train": lambda run, out: train(run, methods=["synaug_stage1", "synaug"]),
    "choose": lambda run, out: choose_classifier(run, methods=["cross_entropy", "synaug_stage1"]),
    "report": lambda run, out: report(run),
    "status": lambda run, out: status(run),
    "check": lambda run, out: check(run),
    "export": lambda run, out: export(run, out),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_alone_parses_its_plan_once_and_reads_its_journals_twice(stage, finished, tmp_path, opened, parsed):
    shutil.copytree(finished, tmp_path / "run")  # at a new path, nothing is known yet, as in a new process
    opened.clear()
    STAGES[stage](Run.open(tmp_path / "run"), tmp_path / "out")
    assert parsed["plan.json"] == 1
    assert parsed["data.parquet"] <= 1
    assert 1 <= opened["worker-0-of-1.jsonl"] <= 2


def test_records_appended_by_another_process_are_seen(images, tmp_path):
    recipe = with_overrides(Recipe(), OPTIONS)
    run(images, tmp_path / "run", recipe, generator=draw, methods=["cross_entropy"])
    plan = read_plan(tmp_path / "run" / "plan.json")
    before = len(synthetic_manifest(plan, tmp_path / "run")), read_tally(plan, tmp_path / "run").state.accepted
    journal = tmp_path / "run" / "journal" / "worker-0-of-1.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))
    after = len(synthetic_manifest(plan, tmp_path / "run")), read_state(plan, tmp_path / "run").accepted
    assert after == (before[0] - 1, before[1] - 1)


def test_a_state_that_is_counted_on_changes_no_other(images, tmp_path):
    recipe = with_overrides(Recipe(), OPTIONS)
    run(images, tmp_path / "run", recipe, generator=draw, methods=["cross_entropy"])
    plan = read_plan(tmp_path / "run" / "plan.json")
    mine = read_state(plan, tmp_path / "run")
    next(iter(mine.tried.values()))[:] = 0
    mine.rejected["broken"] = 5
    assert read_state(plan, tmp_path / "run").accepted == plan.num_to_generate
    assert read_state(plan, tmp_path / "run").rejected == {}
