import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synaug.errors import OptionError
from synaug.pipeline import generate as generate_stage
from synaug.run_directory import Run
from synaug.synthesis.execution.shards import shard_named

SCALING = Path(__file__).parents[3] / "docs" / "scaling.md"


def slurm(task, first=0, count=4, step=1):
    return {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_COUNT": str(count),
        "SLURM_ARRAY_TASK_STEP": str(step),
    }


@pytest.mark.parametrize(("first", "step"), [(0, 1), (1, 1), (10, 5)])
def test_the_jobs_of_a_slurm_array_are_all_parts(first, step):
    tasks = range(first, first + 4 * step, step)
    parts = [shard_named("auto", environment=slurm(task, first, 4, step)) for task in tasks]
    assert parts == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_an_indexed_job_is_given_the_number_of_jobs():
    assert shard_named("auto", shards=16, environment={"JOB_COMPLETION_INDEX": "15"}) == (15, 16)


@pytest.mark.parametrize(
    ("text", "shards", "environment", "words"),
    [
        ("0/4", None, {}, "must be auto, or i/n with i from 1 to n, such as 2/8; got '0/4'"),
        ("5/4", None, {}, "must be auto, or i/n"),
        ("2", None, {}, "must be auto, or i/n"),
        ("2/4", 4, {}, "--shards requires --shard auto; got --shard 2/4"),
        ("auto", 4, {}, "needs SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX, but neither is set"),
        ("auto", None, {"JOB_COMPLETION_INDEX": "1"}, "cannot determine the number of parts; add --shards n"),
        ("auto", 2, {"JOB_COMPLETION_INDEX": "2"}, "This is job 3, but there are 2 parts"),
        ("auto", 3, slurm(3), "This is job 4, but there are 3 parts"),
    ],
)
def test_an_invalid_shard_is_named(text, shards, environment, words):
    with pytest.raises(OptionError, match=words):
        shard_named(text, shards=shards, environment=environment)


def noise(prompts, *, seeds):
    for seed in seeds:
        yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8))


def test_machines_without_a_shared_disk_meet_in_an_object_store(synaug, photos, tmp_path):
    """The steps and the code of docs/scaling.md; the store is fsspec's own in memory."""
    carry, url = {}, f"memory://{tmp_path.name}"
    exec(re.search(r"^```python\n(.*?)^```", SCALING.read_text(), flags=re.M | re.S)[1], carry)
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"quality": {"gates": []}}')
    planned = synaug("plan", photos, "--out", tmp_path / "plan", "--model", "embedded", "--recipe", recipe)
    assert planned.code == 0, planned.err
    carry["upload"](tmp_path / "plan", url)
    made = []
    for part in range(2):
        machine = tmp_path / f"machine-{part}"
        carry["download"](url, machine)
        made.append(generate_stage.generate(Run.open(machine), generator=noise, shard=(part, 2)).accepted)
        carry["upload"](machine, url)
    carry["download"](url, tmp_path / "whole")
    whole = generate_stage.generate(Run.open(tmp_path / "whole"))  # needs no model: nothing is left to generate
    assert (whole.accepted, whole.missing) == (sum(made), 0)
    assert min(made) > 10
    assert synaug("export", tmp_path / "whole", "--out", tmp_path / "set").code == 0
    carry["upload"](tmp_path / "set", f"{url}/set")
    carry["download"](f"{url}/set", tmp_path / "again")
    assert synaug("verify", tmp_path / "again").code == 0
