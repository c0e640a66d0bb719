"""Test re-running the gates on accepted images: failures are counted, and withdrawn on request."""

import shutil

import numpy as np
import pytest
from PIL import Image

from synaug.runtime import storage
from synaug.synthesis.execution.counts import synthesis_summary
from synaug.synthesis.execution.provenance import synthetic_manifest
from synaug.synthesis.execution.recheck import count_failed, recheck, withdraw
from synaug.synthesis.execution.worker import rejected_files, synthesize
from synaug.synthesis.quality.gates import Verdict


def flat(prompts, *, seeds):
    """One gray image per prompt, with a brightness that follows from the seed."""
    return [Image.new("L", (12, 12), seed % 256) for seed in seeds]


def bright(candidates):
    values = [int(np.asarray(each.image).max()) for each in candidates]
    return [Verdict(value < 128, None if value < 128 else "bright", {"value": float(value)}) for value in values]


@pytest.fixture
def folder(plan, tmp_path):
    synthesize(plan, flat, folder=tmp_path)
    return tmp_path


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_failing_images_are_found_and_nothing_is_changed(plan, folder):
    before = files(folder)
    failed = list(recheck(plan, folder, [bright]))
    expected = [value for value in map(bytes_value, (folder / "synthetic").rglob("*.png")) if value >= 128]
    assert len(failed) == len(expected) > 0
    assert files(folder) == before


def bytes_value(path):
    with Image.open(path) as image:
        return int(np.asarray(image).max())


def test_failures_are_counted_by_reason_and_class():
    failed = [({"cell": name}, Verdict(False, reason)) for name, reason in ("ax", "ay", "bx")]
    assert count_failed(failed) == ({"x": 2, "y": 1}, {"a": {"x": 1, "y": 1}, "b": {"x": 1}})


def test_a_missing_file_is_a_failure(plan, folder):
    lost = synthetic_manifest(plan, folder).absolute_path(4)
    lost.unlink()
    ((record, verdict),) = recheck(plan, folder, [])
    assert (folder / record["path"], verdict.reason) == (lost, "unreadable")


def test_withdrawn_images_are_made_again_by_the_next_attempt(plan, folder, tmp_path_factory):
    failed = list(recheck(plan, folder, [bright]))
    withdraw(folder, failed)
    assert synthesis_summary(plan, folder)["missing"] == len(failed)
    assert synthesis_summary(plan, folder)["rejected"] == {"bright": len(failed)}
    assert len(rejected_files(folder)["bright"]) == len(failed)
    synthesize(plan, flat, folder=folder, gates=[bright])
    gated_from_the_start = tmp_path_factory.mktemp("gated")
    synthesize(plan, flat, folder=gated_from_the_start, gates=[bright])
    relative = [
        {str(path.relative_to(place)): data for path, data in files(place / "synthetic").items()}
        for place in (folder, gated_from_the_start)
    ]
    assert relative[0] == relative[1]
    assert list(recheck(plan, folder, [bright])) == []


def test_an_interrupted_withdrawal_is_resumed(plan, folder):
    failed = list(recheck(plan, folder, [bright]))
    withdraw(folder, failed[:1])
    rest = list(recheck(plan, folder, [bright]))
    assert [record["id"] for record, _ in rest] == [record["id"] for record, _ in failed[1:]]
    shutil.rmtree(folder / "synthetic")
    assert len(list(recheck(plan, folder, []))) == 30 - 1


def test_withdrawals_in_the_earlier_file_still_hold(plan, folder):
    ((record, verdict), *_) = recheck(plan, folder, [bright])
    line = {"id": record["id"], "attempt": record["attempt"], "reason": verdict.reason, "scores": verdict.scores}
    storage.append_records(folder / "journal" / "withdrawn.jsonl", [line])
    assert synthesis_summary(plan, folder)["rejected"] == {"bright": 1}
    assert synthesis_summary(plan, folder)["missing"] == 1
