"""Test that rerunning a command completes it after any file operation fails or is the last before a kill.

``faulty.py`` does the work in one warm process; this file judges its output. The normal suite runs a sample, the long
one every operation (``make test-long``).
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ENDED_BY = {"kill": 137, "torn": 137, "power": 137}


def fault_lines(work, share, *stages, limit):
    script = Path(__file__).with_name("faulty.py")
    command = [sys.executable, str(script), str(work), str(share), *stages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def wrong_ones(lines):
    """Return descriptions of the broken promises."""
    found = []
    for line in lines:
        place = f"{line['stage']}, {line['kind']} at {line.get('at')}"
        if line["kind"] == "none":
            if line["code"] or not line["total"]:
                found.append(f"{place}: the command itself fails: {line['said']}")
            continue
        if line["code"] != ENDED_BY.get(line["kind"], 5):
            found.append(f"{place}: ended with {line['code']}: {line['said']}")
        elif line["code"] == 5 and not names_file_and_cause(line):
            found.append(f"{place}: the message does not name {line['where']} and the cause: {line['said']}")
        if line["again"] or line["wrong"]:
            found.append(f"{place}: again {line['again']}, differing {line['wrong']}: {line['said_again']}")
    return found


def names_file_and_cause(line):
    """Return whether the message has the cause and the location.

    A temporary file is named after its target, and anything in a folder that is being removed after that folder.
    """
    causes = {"ENOSPC": "No space left on device", "EIO": "Input/output error", "EACCES": "Permission denied"}
    removed = re.match(r"(.*/)\.([^/]+)\.synaug-[0-9a-f]+\.removed(/|$)", line["where"])
    place = removed[1] + removed[2] if removed else f"{Path(line['where']).parent}"
    return place in line["said"].split("Cannot ")[-1] and causes[line["kind"]] in line["said"]


@pytest.mark.parametrize("stages", [("generate", "train"), ("retrain", "export")], ids="-".join)
def test_some_faults_lose_nothing(tmp_path, stages):
    assert wrong_ones(fault_lines(tmp_path, 0.0, *stages, limit=900)) == []


@pytest.mark.long
@pytest.mark.parametrize("stage", ["generate", "train", "retrain", "export", "bench", "run"])
def test_no_fault_at_any_operation_loses_anything(tmp_path, stage):
    assert wrong_ones(fault_lines(tmp_path, 1.0, stage, limit=7200)) == []


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("x/plan.json", "x/plan.json"),
        ("x/.plan.json.synaug-1f.tmp", "x/plan.json"),
        ("x/.choice.synaug-1f.removed/a/1", "x/choice"),
        ("x/checkpoints/.cross_entropy-0.synaug-1f.removed", "x/checkpoints/cross_entropy-0"),
    ],
)
def test_the_judge_expects_the_name_that_a_person_knows(where, named):
    said = f"synaug: Cannot remove {named}: No space left on device. Free some space and rerun the same command."
    line = {
        "stage": "run",
        "kind": "ENOSPC",
        "at": 3,
        "code": 5,
        "again": 0,
        "said_again": "",
        "where": where,
        "wrong": [],
    }
    assert wrong_ones([line | {"said": said}]) == []
    for other in (said.replace(named, "y/other"), said.replace("No space left on device", "failed")):
        assert wrong_ones([line | {"said": other}])


def test_the_judge_detects_a_lost_file():
    line = {"stage": "run", "kind": "kill", "at": 3, "code": 137, "said": "", "again": 0, "said_again": "", "where": ""}
    assert wrong_ones([line | {"wrong": ["x/plan.json"]}])
    assert not wrong_ones([line | {"wrong": []}])
    silent = line | {"kind": "EIO", "code": 5, "said": "synaug: something", "wrong": []}
    assert "does not name" in wrong_ones([silent])[0]
