"""Test that equal plans give equal ids, seeds and bytes: for any order, number of shards, and interruption."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault
from synaug.synthesis.execution import worker as synthesis
from synaug.synthesis.execution.provenance import accepted_records
from synaug.synthesis.execution.worker import synthesize
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.planning.plan_file import read_plan, write_plan
from synaug.synthesis.planning.slots import image_seed, slots
from synaug.synthesis.quality.gates import Verdict


def noise(batch_size, calls):
    """Return a generator that fails after a number of calls."""
    left = [calls]

    def generate(prompts, *, seeds):
        left[0] -= 1
        if left[0] < 0:
            raise InterruptedError
        return [Image.fromarray(np.random.default_rng(s).integers(0, 256, (12, 12), dtype=np.uint8)) for s in seeds]

    generate.batch_size = batch_size
    return generate


def even_only(candidates):
    """Reject about half of the images, by their pixels."""
    return [Verdict(int(np.asarray(each.image, int).sum()) % 2 == 0, "odd") for each in candidates]


def made(plan, folder):
    """Return the record of each accepted image by id, and the digest of its file."""
    return {
        each["id"]: (each["seed"], each["attempt"], each["prompt"],
                     hashlib.sha256((folder / each["path"]).read_bytes()).hexdigest())
        for each in accepted_records(plan, folder)
    }  # fmt: skip


@pytest.fixture(scope="module")
def expected(plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    synthesize(plan, noise(16, 99), folder=folder, gates=[even_only])
    return made(plan, folder)


@settings(max_examples=12)
@given(st.data())
def test_neither_shards_nor_their_order_nor_batches_nor_interruptions_change_an_image(
    plan, expected, tmp_path_factory, data
):
    folder, num = tmp_path_factory.mktemp("made"), data.draw(st.integers(1, 4), label="shards")
    for shard in data.draw(st.permutations(range(num)), label="order"):
        for calls in [*data.draw(st.lists(st.integers(0, 2), max_size=2), label="calls before a failure"), 99]:
            generator = noise(data.draw(st.integers(1, 9), label="batch size"), calls)
            try:
                synthesize(plan, generator, folder=folder, gates=[even_only], shard=(shard, num))
            except InterruptedError:
                continue
    assert made(plan, folder) == expected
    shutil.rmtree(folder)


@given(st.integers(1, 40), st.integers(0, 2**32))
def test_ids_and_seeds_follow_from_the_plan_alone(plan, num, salt):
    plan = dataclasses.replace(plan, options=plan.options.model_copy(update={"seed": salt}))
    whole = {slot.id: image_seed(slot.id, 0) for slot in slots(plan)}
    parts = [slot.id for shard in reversed(range(num)) for slot in slots(plan, (shard, num))]
    assert sorted(parts) == sorted(whole)
    assert len(set(whole.values())) == len(whole) == plan.num_to_generate


def test_a_plan_read_back_gives_the_same_ids(plan, tmp_path):
    write_plan(plan, tmp_path / "plan.json")
    assert list(slots(read_plan(tmp_path / "plan.json"))) == list(slots(plan))


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_out_of_memory_at_any_batch_size_costs_no_image_and_changes_no_id(plan, tmp_path, stable_diffusion, limit):
    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu", steps=1, guidance=0, batch_size=16))
    sizes = []

    def fail_above_the_limit(_module, args):
        sizes.append(len(args[0]))
        if len(args[0]) > limit:
            raise torch.cuda.OutOfMemoryError("no more")

    generator.pipeline.unet.register_forward_pre_hook(fail_above_the_limit)
    assert synthesize(plan, generator, folder=tmp_path).accepted == plan.num_to_generate
    assert {each["id"]: each["seed"] for each in accepted_records(plan, tmp_path)} == {
        slot.id: image_seed(slot.id, 0) for slot in slots(plan)
    }
    tried = sorted(set(sizes), reverse=True)
    assert tried[0] > limit
    assert generator.batch_size == max(size for size in (16, 8, 4, 2, 1) if size <= limit)


def test_images_that_will_not_fit_on_the_disk_are_refused_before_any_is_made(plan, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=50_000)
    monkeypatch.setattr(synthesis.shutil, "disk_usage", lambda _: usage)
    words = r"The 30 missing images need about 0\.1 MB, but 0\.1 MB are free .* Free some space"
    with pytest.raises(EnvironmentFault, match=words):
        synthesize(plan, noise(4, 0), folder=tmp_path)
    assert not (tmp_path / "synthetic").exists()
