"""Test signals at random moments, two processes, other clocks and real disks: the run ends undisturbed.

``processes.py`` disturbs real processes; this file judges its output. The normal suite has a few tries of each kind,
the long one many (``make test-long``).
"""

import collections
import json
import subprocess
import sys
from pathlib import Path

import pytest

ENDED_BY = {  # besides 0 if it was already finished; -15: before the command handles signals
    "sigint": {75},
    "sigterm": {75, -15},
    "sigkill": {-9},
    "twice": {2},
    "shards": {-9},
    "clock": {-9},
    "no_large_files": {5},
    "full_disk": {5},
    "read_only": {5},
    "impatient": {75},
}
WORDS = {
    "sigint": "rerun the same command to resume",
    "sigterm": "rerun the same command to resume",
    "twice": "is in use by another synaug process (PID {number})",
    "no_large_files": "File too large",
    "full_disk": "Free some space and rerun the same command",
    "read_only": "Read-only file system",
    "impatient": "rerun the same command to resume",
}


def tried(work, times, *trials, limit):
    script = Path(__file__).with_name("processes.py")
    command = [sys.executable, str(script), str(work), str(times), *trials]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == times * len(trials)
    return lines


def wrong_ones(lines):
    """Return descriptions of the broken promises."""
    found = []
    for line in lines:
        trial, codes = line["trial"], line.get("codes", [0])
        if codes[-1] or not set(codes) <= ENDED_BY[trial] | {0}:
            found.append(f"{trial}: ended with {codes}: {line['said']}")
        if line["wrong"]:
            found.append(f"{trial}: differing {line['wrong']}")
        if line.get("foreign"):
            found.append(f"{trial}: its own files are called foreign: {line['foreign']}")
        words = WORDS.get(trial, "").format(**line)
        told = [said for code, said in zip(codes, line.get("said", ()), strict=False) if code > 0]
        found += [f"{trial}: does not say {words!r}: {said}" for said in told if words not in said]
    return found


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """One try of each trial, by name."""
    return {line["trial"]: line for line in tried(tmp_path_factory.mktemp("work"), 1, *ENDED_BY, limit=600)}


@pytest.mark.parametrize("trial", ENDED_BY)
def test_a_disturbed_run_loses_nothing(lines, trial):
    if "skipped" in lines[trial]:
        pytest.skip(f"no file system of its own can be mounted here: {lines[trial]['skipped']}")
    assert wrong_ones([lines[trial]]) == []


def test_the_first_sigint_waits_for_the_batch_and_the_second_does_not(lines):
    assert lines["impatient"]["goes_on"]
    assert lines["impatient"]["waited"] < 10


@pytest.mark.long
@pytest.mark.parametrize("trial", sorted(ENDED_BY))
def test_no_disturbed_run_of_many_loses_anything(tmp_path, trial):
    lines = tried(tmp_path, 50, trial, limit=3600)
    if "skipped" in lines[0]:
        pytest.skip(lines[0]["skipped"])
    assert wrong_ones(lines) == []
    if trial.startswith("sig"):
        reached = collections.Counter(stage for line in lines for stage in line["stages"])
        assert sum(reached.values()) >= 50
        assert {"images", "training", "report"} & set(reached)


def test_the_judge_detects_faults():
    line = {"trial": "sigint", "codes": [75, 0], "said": ["rerun the same command to resume"], "wrong": []}
    assert not wrong_ones([line])
    assert wrong_ones([line | {"wrong": ["x/plan.json"]}])
    assert wrong_ones([line | {"foreign": ["choice"]}])
    assert wrong_ones([line | {"codes": [1, 0]}])
    assert wrong_ones([line | {"codes": [75, 75]}])
    assert "does not say" in wrong_ones([line | {"said": ["nothing"]}])[0]
