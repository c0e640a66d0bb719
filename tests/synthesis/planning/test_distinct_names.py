"""Test that one name means one thing: folders, ids, groups, export files and results of methods stay distinct."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.export.file_index import ExportedFiles
from synaug.data.images.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.errors import DataError, OptionError
from synaug.recipes import make_recipe
from synaug.run_directory import RunPaths, method_and_seed
from synaug.synthesis.planning.plan_file import read_plan, write_plan
from synaug.synthesis.planning.planner import make_plan
from synaug.synthesis.planning.slots import safe_names, slots

NEAR = st.text("ab|\\ -2Bé大β/_.", min_size=1, max_size=6)
ANY = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
NAMES = st.lists(NEAR | ANY, min_size=2, max_size=8, unique=True)


@given(NAMES)
def test_safe_names_differ_on_every_file_system(names):
    safe = safe_names(tuple(names))
    assert len({name.casefold() for name in safe}) == len(names)
    assert all(name.isascii() and name.strip("-") and "/" not in name for name in safe)


@pytest.mark.parametrize(
    "names",
    [
        ("Type", "Type 2", "Type β"),
        ("item-3", "大", "a", "大衣"),
        ("a", "A", "a-1"),
        ("x" * 50, "x" * 51, "x" * 40 + "-1"),
    ],
)
def test_names_that_are_shortened_alike(names):
    assert len(set(safe_names(names))) == len(names)


def test_names_that_never_collided_keep_theirs():
    assert safe_names(("T-shirt/top", "Été", "大衣", "上衣")) == ["t-shirt-top", "t", "item-2", "item-3"]


def test_a_name_given_twice_is_refused():
    with pytest.raises(DataError, match=r"'a' occurs twice"):
        safe_names(("a", "b", "a"))


def plan_of(class_names, attribute_names=(), target=3):
    pairs = [(label, a) for label in range(len(class_names)) for a in range(max(1, len(attribute_names)))]
    manifest = from_arrays(
        np.zeros((len(pairs), 2, 2), np.uint8),
        [label for label, _ in pairs],
        class_names=class_names,
        attributes=[a for _, a in pairs] if attribute_names else None,
        attribute_names=attribute_names,
    )
    aliases = {name: f"thing {number}" for number, name in enumerate(class_names)}  # equal prompts are rejected
    by = "group" if attribute_names else "class"
    options = PlanOptions(by=by, target=target, model="embedded", aliases=aliases)
    return make_plan(manifest, options=options, generate=GenerateOptions(), encoding=Encoding(), image_size=(2, 2))


@settings(max_examples=30)
@given(NAMES, NAMES)
def test_groups_and_ids_differ(class_names, attribute_names):
    plan = plan_of(class_names, attribute_names)
    assert len({cell.name for cell in plan.cells}) == len(class_names) * len(attribute_names)
    ids = [slot.id for slot in slots(plan)]
    assert len(ids) == 2 * len(plan.cells)
    assert len({name.casefold() for name in ids}) == len(ids)


def test_groups_with_ambiguous_names_get_distinct_ones():
    plan = plan_of(["a", "a | b"], ["c", "b | c"])
    assert [cell.name for cell in plan.cells] == [r"a | c", r"a | b \| c", r"a \| b | c", r"a \| b | b \| c"]


def test_a_plan_with_two_groups_of_one_name_is_refused(tmp_path):
    plan = plan_of(["a", "b"])
    write_plan(plan, tmp_path / "plan.json")
    text = (tmp_path / "plan.json").read_text().replace('"name": "b"', '"name": "a"')
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(DataError, match=r"are called 'a'"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": "PNG"', '"format": "png/../../x"'),
        ('"label": 1', '"label": 7'),
        ('"label": 1', '"label": "1"'),
        ('"num_to_generate": 2', '"num_to_generate": -1'),
        ('"num_to_generate": 2', '"num_to_generate": 10000000000'),
    ],
)
def test_a_plan_that_somebody_changed_is_refused(tmp_path, old, new):
    write_plan(plan_of(["a", "b"]), tmp_path / "plan.json")
    text = (tmp_path / "plan.json").read_text()
    assert old in text
    (tmp_path / "plan.json").write_text(text.replace(old, new))
    with pytest.raises(DataError, match=r"not a complete plan"):
        read_plan(tmp_path / "plan.json")


# ---------------------------------------------------------------- files of an export


@given(st.lists(NEAR | ANY, min_size=1, max_size=8, unique=True))
def test_files_of_an_export_differ(ids):
    assert_files_differ(ids)


@pytest.mark.parametrize("ids", [["cat/001.png", "001-a27aebec"], ["A", "a"], ["x" * 101, "x" * 102]])
def test_ids_that_would_collide_get_files_of_their_own(ids):
    assert_files_differ(ids)


def assert_files_differ(ids):
    manifest = from_arrays(np.zeros((len(ids), 2, 2), np.uint8), [0] * len(ids), class_names=["a"])
    frame = manifest.frame.assign(id=pd.Series(ids, dtype=object))
    files = ExportedFiles(type(manifest)(frame, manifest.class_names))
    places = [files.place(row, ".png") for row in range(len(ids))]
    assert len({place.casefold() for place in places}) == len(ids)


# ---------------------------------------------------------------- methods and arms


@given(st.lists(st.tuples(st.text("ab-01", min_size=1, max_size=5), st.integers(0, 20)), unique=True, max_size=8))
def test_results_of_methods_and_seeds_are_in_separate_folders(pairs):
    run = RunPaths(Path("run"))
    places = [run.checkpoint(method, seed).name for method, seed in pairs]
    assert len(set(places)) == len(pairs)
    assert [method_and_seed(name) for name in places] == pairs


@pytest.mark.parametrize("name", ["../../evil", "a/b", ".a", "a\\b", "", "a\nb", "x" * 101, ".."])
def test_a_method_or_an_arm_that_cannot_name_a_file_is_refused(name):
    for content in ({"methods": {name: {}}}, {"bench": {"arms": {name: {"methods": ["mixup"]}}}}):
        with pytest.raises(OptionError, match=r"cannot name a file"):
            make_recipe(content)


@pytest.mark.parametrize("names", [("mine", "Mine"), ("caf\u00e9", "cafe\u0301")])
def test_methods_that_some_file_systems_take_for_one_are_refused(names):
    with pytest.raises(OptionError, match=r"differ only by letter case or Unicode form"):
        make_recipe({"methods": {name: {"method": "mixup"} for name in names}})


def test_a_method_name_from_a_file_cannot_leave_the_run(tmp_path):
    with pytest.raises(DataError, match=r"has a path separator"):
        RunPaths(tmp_path).checkpoint("../../evil", 0)
