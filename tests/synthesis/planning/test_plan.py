"""Test that plans balance counts, derive ids only from the image's properties, and survive their file."""

import json
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.images.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.errors import DataError, OptionError
from synaug.synthesis.planning.cost import Pace, estimate
from synaug.synthesis.planning.plan_file import read_plan, write_plan
from synaug.synthesis.planning.planner import make_plan
from synaug.synthesis.planning.slots import image_seed, safe_names, sample_slots, slots
from synaug.synthesis.planning.targets import target_counts


def manifest_of(counts, attributes=None, names=("bag", "ankle boot", "coat")):
    labels = np.repeat(np.arange(len(counts)), counts)
    return from_arrays(
        [np.zeros((4, 4), np.uint8)] * len(labels),
        labels,
        class_names=names[: len(counts)],
        attributes=attributes,
        attribute_names=("land", "water") if attributes is not None else (),
    )


def plan_of(counts, *, attributes=None, **options):
    return make_plan(
        manifest_of(counts, attributes),
        options=PlanOptions(**{"model": "embedded", **options}),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=(28, 28),
    )


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=50))
def test_after_a_uniform_plan_all_cells_are_equal(counts):
    assert set(target_counts(np.array(counts), "uniform")) == {max(counts)}


@given(st.lists(st.integers(0, 10_000), min_size=1), st.one_of(st.integers(1, 5000), st.floats(0.01, 0.99)))
def test_no_target_takes_images_away(counts, target):
    assert (target_counts(np.array(counts), target) >= counts).all()


@pytest.mark.parametrize(
    ("target", "expected"),
    [("uniform", [0, 6, 8]), (5, [0, 1, 3]), (0.5, [0, 1, 3]), (1, [0] * 3), ("none", [0] * 3)],
)
def test_num_to_generate_by_hand(target, expected):
    assert [cell.num_to_generate for cell in plan_of([10, 4, 2], target=target).cells] == expected


def test_a_target_by_name_leaves_the_other_classes_as_they_are():
    plan = plan_of([10, 4, 2], target={"ankle boot": 6, "bag": 3})
    assert [cell.num_to_generate for cell in plan.cells] == [0, 2, 0]


def test_a_cap_limits_each_cell():
    assert [cell.num_to_generate for cell in plan_of([10, 4, 2], cap=7).cells] == [0, 6, 7]


def test_waterbirds_needs_9197_images():
    labels, attributes = (
        np.repeat([0, 0, 1, 1], [3498, 184, 56, 1057]),
        np.repeat([0, 1, 0, 1], [3498, 184, 56, 1057]),
    )
    manifest = from_arrays(
        [np.zeros((1, 1), np.uint8)] * len(labels), labels, class_names=("landbird", "waterbird"),
        attributes=attributes, attribute_names=("land", "water"),
    )  # fmt: skip
    plan = make_plan(
        manifest,
        options=PlanOptions(by="group"),
        generate=GenerateOptions(),
        encoding=Encoding(),
        image_size=(8, 8),
    )
    assert [cell.have for cell in plan.cells] == [3498, 184, 56, 1057]
    assert plan.num_to_generate == 9197


def test_by_group_without_attributes_is_refused():
    with pytest.raises(OptionError, match="by 'group' needs an attribute"):
        plan_of([3, 1], by="group")


def test_by_group_prompts_carry_the_attribute():
    plan = plan_of(
        [2, 1],
        attributes=[0, 1, 1],
        by="group",
        modifiers=("",),
        attribute_phrases={"water": "{class} on water"},
    )
    assert {slot.prompt for slot in slots(plan)} == {"a photo of an ankle boot, land"}
    assert [cell.name for cell in plan.cells][:2] == ["bag | land", "bag | water"]


def test_a_balanced_set_needs_nothing():
    plan = plan_of([3, 3])
    assert plan.num_to_generate == 0
    assert list(slots(plan)) == []


def test_a_template_is_checked_before_anything_is_made():
    with pytest.raises(OptionError, match="Unknown placeholder"):
        plan_of([3, 1], template="a {classs}")


def test_intra_needs_a_real_image():
    with pytest.raises(OptionError, match=r"variant 'intra'.*images,.*'ankle boot'"):
        plan_of([3, 0], variant="intra")


def test_one_more_real_image_keeps_all_ids():
    before, after = ([slot.id for slot in slots(plan_of(counts))] for counts in ([9, 3], [9, 4]))
    assert after == before[:-1]


@pytest.mark.parametrize("change", [{"seed": 1}, {"template": "{class}"}, {"model": "other"}, {"negative_prompt": "x"}])
def test_everything_that_determines_the_images_changes_the_ids(change):
    before, after = (slots(plan_of([5, 1], **more)) for more in ({}, change))
    assert not {slot.id for slot in before} & {slot.id for slot in after}


def test_a_scheduler_that_is_named_changes_the_ids():
    plan = plan_of([5, 1])
    named = replace(plan, generate=GenerateOptions(scheduler="DDIMScheduler"))
    assert not {slot.id for slot in slots(plan)} & {slot.id for slot in slots(named)}


def test_batch_size_and_device_do_not_change_the_digest():
    plan = plan_of([5, 1])
    other = make_plan(
        manifest_of([5, 1]),
        options=plan.options,
        generate=GenerateOptions(batch_size=3, device="cpu"),
        encoding=Encoding(mode="L"),
        image_size=(28, 28),
    )
    assert plan.digest == other.digest


def test_modifiers_are_used_equally_often():
    plan = plan_of([100, 37], modifiers=("", "bright", "dark"))
    uses = Counter(slot.modifier for slot in slots(plan))
    assert max(uses.values()) - min(uses.values()) == 0
    assert sum(uses.values()) == 63


@given(st.integers(1, 7))
def test_shards_are_disjoint_and_complete(num):
    plan = plan_of([30, 11, 2])
    parts = [slot.id for i in range(num) for slot in slots(plan, (i, num))]
    assert sorted(parts) == sorted(slot.id for slot in slots(plan))


@given(st.integers(2, 7))
def test_shards_of_whole_classes_are_disjoint_complete_and_even(num):
    plan = plan_of([30, 11, 2])
    parts = [list(slots(plan, (i, num), whole_classes=True)) for i in range(num)]
    assert sorted(slot.id for part in parts for slot in part) == sorted(slot.id for slot in slots(plan))
    of_class = [{slot.cell.label for slot in part} for part in parts]
    assert sum(map(len, of_class)) == len(set.union(*of_class))
    if num == 2:
        assert [len(part) for part in parts] == [28, 19]


def test_a_wrong_shard_is_refused():
    with pytest.raises(OptionError, match=r"shard.*i/n.*0 <=.*<.*3/3"):
        slots(plan_of([2, 1]), (3, 3))


def test_ids_differ_even_for_names_without_letters():
    plan = make_plan(
        manifest_of([9, 1, 1], names=("犬", "猫", "鳥")),
        options=PlanOptions(),
        generate=GenerateOptions(),
        encoding=Encoding(),
        image_size=(8, 8),
    )
    ids = [slot.id for slot in slots(plan)]
    assert len(set(ids)) == 16
    assert all(name.isascii() for name in ids)
    assert safe_names(("a b", "a-b", "../x")) == ["a-b-0", "a-b-1", "x"]


def test_slots_come_one_by_one_even_for_a_million():
    plan = plan_of([1, 1], target=1_000_000)
    assert next(slots(plan)).id.startswith("bag-000000-")
    assert [slot.index for slot in islice(slots(plan, (9_999, 50_000)), 3)] == [9_999, 59_999, 109_999]


def test_seeds_differ_by_slot_and_attempt():
    seeds = {image_seed(f"bag-{i}", attempt) for i in range(100) for attempt in range(4)}
    assert len(seeds) == 400
    assert image_seed("bag-0", 0) == image_seed("bag-0", 0) < 2**53


def test_a_plan_survives_its_file(tmp_path):
    plan = plan_of([5, 1], aliases={"bag": "handbag"}, modifiers=("", "old"))
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_text())["cells"][1]["prompts"][:2] == [
        slot.prompt for slot in islice(slots(plan), 2)
    ]


def test_a_plan_of_another_version_is_refused(tmp_path):
    (tmp_path / "plan.json").write_text('{"schema_version": 99}')
    with pytest.raises(DataError, match=r"version 1 \(found 99\)"):
        read_plan(tmp_path / "plan.json")


def test_a_damaged_plan_is_refused(tmp_path):
    (tmp_path / "plan.json").write_text('{"schema_version": 1, "cells": 3}')
    with pytest.raises(DataError, match="is not a complete plan"):
        read_plan(tmp_path / "plan.json")


def test_samples_are_the_first_slots_of_each_cell():
    plan = plan_of([9, 1, 7])
    assert [(slot.cell.name, slot.index) for slot in sample_slots(plan, per_cell=2)] == [
        ("ankle boot", 0), ("ankle boot", 1), ("coat", 0), ("coat", 1),
    ]  # fmt: skip
    assert next(sample_slots(plan)) == next(slots(plan))


def test_the_estimate_by_hand():
    found = estimate(plan_of([5, 1]), Pace(0.5, "cpu"))
    assert found == {
        "images": 4, "disk_bytes": 4 * 4096, "seconds": 2.0, "images_per_second": 2.0, "gpu_hours": None,
    }  # fmt: skip
    assert estimate(plan_of([5, 1]), Pace(900, "cuda"))["gpu_hours"] == 1.0
    assert estimate(plan_of([5, 1]))["seconds"] is None
