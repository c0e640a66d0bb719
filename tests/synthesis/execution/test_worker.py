"""Test that any interruption leads to the same final images."""

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from synaug.config import QualityOptions
from synaug.data.images.codec import Encoding
from synaug.data.manifest import joined, read_image
from synaug.errors import EnvironmentFault, Interrupted, OptionError
from synaug.runtime import signals, storage
from synaug.synthesis.execution.counts import is_settled, synthesis_summary
from synaug.synthesis.execution.provenance import provenance, synthetic_manifest
from synaug.synthesis.execution.worker import rejected_files, synthesize
from synaug.synthesis.generators.diffusion import Generated
from synaug.synthesis.generators.init_images import Guide
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.quality.gates import Verdict


def noise(prompts, *, seeds):
    """Yield uniform noise, 16 x 16: the simplest possible generator."""
    for _, seed in zip(prompts, seeds, strict=True):
        yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))


noise.batch_size = 8


class Failing:
    """Noise until a given call, then an error."""

    batch_size, about = 8, {"model": "noise"}

    def __init__(self, calls, error):
        self.calls, self.error = calls, error

    def __call__(self, prompts, *, seeds):
        self.calls -= 1
        if self.calls < 0:
            raise self.error
        return noise(prompts, seeds=seeds)


def odd_seeds(candidates):
    """Reject about half of the images, by their pixels."""
    means = [int(np.asarray(each.image, int).sum()) for each in candidates]
    return [Verdict(True) if m % 2 else Verdict(False, "odd", {"sum": float(m)}) for m in means]


def contents(folder):
    """Return the digest of each image, by its path."""
    files = (path for path in sorted((folder / "synthetic").rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def expected(plan, tmp_path_factory):
    """The images of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("expected")
    synthesize(plan, noise, folder=folder, gates=[odd_seeds])
    return contents(folder)


def test_every_slot_is_filled_and_described(plan, real, tmp_path):
    result = synthesize(plan, noise, folder=tmp_path)
    assert (result.requested, result.accepted, result.rejected, result.missing) == (30, 30, {}, 0)
    manifest = synthetic_manifest(plan, tmp_path)
    assert np.bincount(manifest.labels).tolist() == [0, 13, 17]
    assert np.bincount(joined(real, manifest).labels).tolist() == [20, 20, 20]
    image = read_image(manifest, 0)
    assert (image.mode, image.size) == ("L", (12, 12))
    table = provenance(plan, tmp_path)
    assert len(table) == 30
    assert set(table["id"]) == set(manifest.frame["id"])
    assert all(contents(tmp_path)[row.path] == row.sha256 for row in table.itertuples())
    assert is_settled(plan, folder=tmp_path, quality=QualityOptions())


def test_a_second_call_makes_nothing(plan, tmp_path):
    synthesize(plan, noise, folder=tmp_path)
    before = contents(tmp_path)
    assert synthesize(plan, None, folder=tmp_path).accepted == 30
    assert contents(tmp_path) == before


def test_without_generator_missing_images_are_a_clear_error(plan, tmp_path):
    with pytest.raises(OptionError, match=r"Images are still missing \(first: middle-000000-"):
        synthesize(plan, None, folder=tmp_path)


def test_rejected_slots_are_tried_again_until_they_are_full(plan, tmp_path, expected):
    result = synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds], quality=QualityOptions(max_attempts=20))
    assert (result.accepted, result.missing) == (30, 0)
    assert result.rejected["odd"] > 5
    assert len(rejected_files(tmp_path)["odd"]) == result.rejected["odd"]
    assert len(expected) <= 30


def test_all_first_attempts_come_before_the_second_ones(plan, tmp_path):
    synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds])
    attempts = [int(a) for a in re.findall(r'"attempt":(\d+)', (tmp_path / "journal/worker-0-of-1.jsonl").read_text())]
    assert attempts == sorted(attempts)
    assert set(attempts) > {0, 1}


def test_attempts_are_bounded_and_missing_images_are_counted(plan, tmp_path):
    def never(candidates):
        return [Verdict(False, "never")] * len(candidates)

    result = synthesize(plan, noise, folder=tmp_path, gates=[never], quality=QualityOptions(max_attempts=3))
    assert (result.accepted, result.missing, result.rejected) == (0, 30, {"never": 90})
    assert len(rejected_files(tmp_path)["never"]) == 60
    assert len(synthetic_manifest(plan, tmp_path)) == 0


@pytest.mark.parametrize("call", [6, 8, 9])
def test_an_interruption_does_not_change_which_rejected_images_are_kept(plan, tmp_path, monkeypatch, call):
    def kept(folder):
        records = [
            json.loads(line) for path in (folder / "journal").glob("*") for line in path.read_text().splitlines()
        ]
        return sorted((each["id"], each["attempt"], each["path"]) for each in records if each["kind"] == "attempt")

    def arguments(folder):
        return {"folder": folder, "gates": [lambda batch: [Verdict(False, "never")] * len(batch)]}

    synthesize(plan, noise, **arguments(tmp_path / "whole"))
    calls, append = iter(range(100)), storage.append_records
    with monkeypatch.context() as patch:
        patch.setattr(storage, "append_records", lambda *a: 1 / 0 if next(calls) == call else append(*a))
        with pytest.raises(ZeroDivisionError):
            synthesize(plan, noise, **arguments(tmp_path / "again"))
    synthesize(plan, noise, **arguments(tmp_path / "again"))
    assert kept(tmp_path / "again") == kept(tmp_path / "whole")
    assert len(rejected_files(tmp_path / "again")["never"]) == 60


def test_problems_of_the_generator_are_rejected_without_gates(plan, tmp_path):
    def flawed(prompts, *, seeds):
        return [
            Generated(None, "non_finite") if s % 3 == 0 else Generated(i)
            for s, i in zip(seeds, noise(prompts, seeds=seeds), strict=True)
        ]

    result = synthesize(plan, flawed, folder=tmp_path, quality=QualityOptions(max_attempts=9))
    assert result.accepted == 30
    assert result.rejected["non_finite"] > 0


@pytest.mark.parametrize("calls", range(6))
def test_a_failure_at_any_batch_loses_nothing_and_changes_nothing(plan, tmp_path, expected, calls):
    with pytest.raises(RuntimeError, match="power cut"):
        synthesize(plan, Failing(calls, RuntimeError("power cut")), folder=tmp_path, gates=[odd_seeds])
    assert synthesis_summary(plan, tmp_path)["accepted"] == len(contents(tmp_path))
    synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds])
    assert contents(tmp_path) == expected


@pytest.mark.parametrize("call", [0, 1, 5, 9, 14])
@pytest.mark.parametrize("place", ["write_bytes", "append_records", "sync_folder"])
def test_a_run_recovers_from_a_fault_at_any_file_operation(plan, tmp_path, expected, monkeypatch, place, call):
    real_one, count = getattr(storage, place), []

    def faulty(*args, **kwargs):
        count.append(1)
        if len(count) == call + 1:
            raise EnvironmentFault("disk full")
        return real_one(*args, **kwargs)

    monkeypatch.setattr(storage, place, faulty)
    with contextlib.suppress(EnvironmentFault):
        synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds])
    monkeypatch.undo()
    synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds])
    assert contents(tmp_path) == expected


def test_a_signal_stops_after_the_batch_and_the_rest_follows(plan, tmp_path, expected):
    def asked_to_stop(prompts, *, seeds):
        os.kill(os.getpid(), signal.SIGINT)
        return noise(prompts, seeds=seeds)

    asked_to_stop.batch_size = 8
    with signals.graceful(), pytest.raises(Interrupted, match="rerun the same command"):
        synthesize(plan, asked_to_stop, folder=tmp_path, gates=[odd_seeds])
    assert 0 < synthesis_summary(plan, tmp_path)["accepted"] < 30
    synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds])
    assert contents(tmp_path) == expected


def test_shards_together_generate_the_images_of_one_worker(plan, tmp_path, expected):
    for i in range(3):
        synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds], shard=(i, 3))
    assert contents(tmp_path) == expected
    assert len(synthetic_manifest(plan, tmp_path)) == len(expected)


def test_a_run_recovers_from_a_lost_last_line_of_the_journal(plan, tmp_path, expected):
    synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds])
    (journal,) = (tmp_path / "journal").iterdir()
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) // 2])
    synthesize(plan, noise, folder=tmp_path, gates=[odd_seeds])
    assert contents(tmp_path) == expected
    assert len(synthetic_manifest(plan, tmp_path)) == len(expected)


def test_images_of_another_plan_are_refused(plan, tmp_path):
    synthesize(plan, noise, folder=tmp_path)
    other = replace(plan, options=plan.options.model_copy(update={"seed": 1}))
    with pytest.raises(OptionError, match=r"holds images of another plan .* Choose another folder"):
        synthesize(other, noise, folder=tmp_path)


def test_a_generator_that_returns_too_few_images_is_named(plan, tmp_path):
    with pytest.raises(OptionError, match=r"generator.*0 images.*16 prompts"):
        synthesize(plan, lambda prompts, *, seeds: [], folder=tmp_path)


def test_invalid_generators_are_named(plan, tmp_path):
    with pytest.raises(OptionError, match=r"generator.*str: 'sd15'"):
        synthesize(plan, "sd15", folder=tmp_path)
    with pytest.raises(OptionError, match="The generator returned str; expected Pillow images"):
        synthesize(plan, lambda prompts, *, seeds: prompts, folder=tmp_path)


@pytest.mark.parametrize(("format", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")])
def test_synthetic_images_are_encoded_like_the_real_ones(plan, tmp_path, format, suffix):
    look = Encoding(format=format, mode="RGB", quality=80)
    synthesize(replace(plan, encoding=look, image_size=(20, 10)), noise, folder=tmp_path)
    paths = [path for path in (tmp_path / "synthetic").rglob("*") if path.is_file()]
    with Image.open(paths[0]) as image:
        assert (image.format, image.mode, image.size, paths[0].suffix) == (format, "RGB", (20, 10), suffix)


def test_a_real_pipeline_fills_the_plan(plan, tmp_path, stable_diffusion):
    from synaug.config import GenerateOptions

    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu", steps=1, guidance=0))
    assert synthesize(plan, generator, folder=tmp_path).accepted == 30
    assert set(provenance(plan, tmp_path)["pipeline"]) == {"StableDiffusionPipeline"}


def test_image_to_image_records_its_guide(plan, tmp_path):
    def copy(prompts, *, seeds, images):
        return [image.copy() for image in images]

    def guides(slot):
        return Guide((f"guide-of-{slot.index}",), Image.new("L", (12, 12), slot.index))

    synthesize(plan, copy, folder=tmp_path, guides=guides)
    table = provenance(plan, tmp_path)
    assert table["guide"].str.startswith("guide-of-").all()


_WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_synthesize import noise, odd_seeds
from synaug.synthesis.planning.plan_file import read_plan
from synaug.synthesis.execution.worker import synthesize
def slow(prompts, *, seeds):
    time.sleep(0.03)
    return noise(prompts, seeds=seeds)
slow.batch_size = 8
print("ready", flush=True)
synthesize(read_plan(Path(sys.argv[1])), slow, folder=Path(sys.argv[2]), gates=[odd_seeds])
"""


@pytest.mark.parametrize("after", [0.02, 0.08])
def test_a_killed_process_leaves_nothing_torn(plan, tmp_path, expected, after):
    from synaug.synthesis.planning.plan_file import write_plan

    write_plan(plan, tmp_path / "plan.json")
    folder = tmp_path / "run"
    command = [sys.executable, "-c", _WORKER, tmp_path / "plan.json", folder, os.path.dirname(__file__)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(after)
        process.kill()
    synthesize(plan, noise, folder=folder, gates=[odd_seeds])
    assert contents(folder) == expected
    for line in (folder / "journal" / "worker-0-of-1.jsonl").read_text().splitlines():
        json.loads(line)
