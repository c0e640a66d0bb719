"""Test that ``synaug generate``, killed at any moment and rerun, makes the same bytes, for each variant."""

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import time

import pytest
import torch
import yaml

RECIPE = {
    "generate": {"steps": 4, "batch_size": 4},
    "fit": {"steps": 150},  # its checkpoint comes after a hundred
    "quality": {"gates": ["broken", "collapse"], "alike_distance": 0.3, "max_attempts": 2, "max_missing": 1},
}
LONGEST = 600  # seconds, of a process


def attempts(folder):
    """Return the decision on each attempt and the digest of every synthetic image, without times."""
    lines = [line for path in (folder / "journal").glob("worker-*") for line in path.read_text().splitlines()]
    records = [record for record in map(json.loads, lines) if record["kind"] == "attempt"]
    for record in records:
        record.pop("seconds")
    files = (path for path in (folder / "synthetic").rglob("*") if path.is_file())
    images = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return sorted(json.dumps(record, sort_keys=True) for record in records), images


def progress_of(folder):
    """Return the generation progress of a run, as the number of bytes written about its images."""
    files = [*(folder / "journal").glob("*"), *(folder / "synthetic").rglob("*")]
    total = 0
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def killed(folder, is_time):
    """Start the command as a process and kill it when ``is_time``; return its exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # else sums differ in the last bit
    deadline = time.monotonic() + LONGEST
    command = [sys.executable, "-m", "synaug", "generate", str(folder)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not is_time() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
    return process.returncode


@pytest.mark.parametrize(
    ("variant", "kills"),
    [
        ("text", 1),
        *(pytest.param(variant, 4, marks=pytest.mark.long) for variant in ("text", "intra", "inter", "fitted")),
    ],
)
def test_killed_and_repeated_it_makes_the_same_bytes(synaug, photos, tmp_path, variant, kills):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    more = ["--recipe", tmp_path / "recipe.yaml", "--model", "embedded", "--variant", variant, "--target", "30"]
    for name in ("whole", "killed"):
        assert synaug("plan", photos, "--out", tmp_path / name, *more).code == 0
    assert synaug("generate", tmp_path / "whole").code == 0
    records, images = attempts(tmp_path / "whole")
    assert any('"rejected"' in record for record in records)
    assert len(images) > 20
    if variant == "fitted":  # also in the middle of the training
        assert killed(tmp_path / "killed", (tmp_path / "killed" / "fitted-model.safetensors").exists) == -9
    moments = sorted(random.Random(variant).uniform(0, 0.7 * progress_of(tmp_path / "whole")) for _ in range(kills))
    for moment in moments:
        assert killed(tmp_path / "killed", lambda moment=moment: progress_of(tmp_path / "killed") > moment) == -9
    assert len(attempts(tmp_path / "killed")[1]) < len(images)
    assert synaug("generate", tmp_path / "killed").code == 0
    assert attempts(tmp_path / "killed") == (records, images)
