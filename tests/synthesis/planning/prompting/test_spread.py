"""Test phrases in turn: even, in every combination, optionally by class, without effect on plans that have none."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.images.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.errors import OptionError
from synaug.runtime import storage
from synaug.synthesis.planning.class_words import class_captions, class_prompts
from synaug.synthesis.planning.plan_file import read_plan, write_plan
from synaug.synthesis.planning.planner import make_plan
from synaug.synthesis.planning.prompting.spread import turns
from synaug.synthesis.planning.slots import slots


def plan_of(counts, **options):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    images = from_arrays(
        [np.zeros((4, 4), np.uint8)] * len(labels), labels, class_names=("dress", "coat")[: len(counts)]
    )
    return make_plan(
        images,
        options=PlanOptions(model="embedded", **options),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=(28, 28),
    )


BACKGROUNDS = {"background": ("on land", "on water")}


@given(st.lists(st.integers(1, 7), min_size=1, max_size=3))
def test_every_combination_comes_once_before_any_comes_twice(sizes):
    number = 1
    for size in sizes:
        number *= size
    places = list(islice(turns(sizes), number))
    assert len(set(places)) == number


@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 200))
def test_each_axis_is_even_at_any_length(first, second, number):
    counts = Counter(place[0] for place in islice(turns([first, second]), number))
    assert max(counts.values(), default=0) - min(counts.get(each, 0) for each in range(first)) <= 1


@pytest.mark.parametrize("number", [1, 2, 3, 20, 41])
def test_backgrounds_are_even_in_each_class(number):
    told = [slot.prompt for slot in slots(plan_of([number, 0], target=number, spread=BACKGROUNDS))]
    counts = [sum(prompt.endswith(phrase) for prompt in told) for phrase in BACKGROUNDS["background"]]
    assert sum(counts) == number
    assert max(counts) - min(counts) <= 1


def test_a_placeholder_sets_the_place_of_the_phrase():
    plan = plan_of([2, 0], template="{background}: a {modifier} {class}", modifiers=("",), spread=BACKGROUNDS)
    assert {slot.prompt for slot in slots(plan)} == {"on land: a coat", "on water: a coat"}


def test_a_class_may_have_names_and_phrases_of_its_own():
    spread = {"class": {"coat": ("parka", "anorak")}, "with": {"dress": ("with a belt",)}}
    plan = plan_of([0, 0], target=2, modifiers=("",), spread=spread)
    told = [slot.prompt for slot in slots(plan)]
    assert sorted(told) == [
        "a photo of a dress with a belt",
        "a photo of a dress with a belt",
        "a photo of a parka",
        "a photo of an anorak",
    ]
    assert class_captions(plan) == ["a photo of a dress", "a photo of a coat"]
    assert set(class_prompts(plan)[1]) == {"a photo of a parka", "a photo of an anorak"}


def test_a_plan_without_spread_keeps_its_ids():
    plain = plan_of([3, 0])
    assert plain.digest == plan_of([3, 0], spread={}).digest
    assert plain.digest != plan_of([3, 0], spread=BACKGROUNDS).digest


def test_the_plan_file_counts_phrases_and_is_read_back(tmp_path):
    plan = plan_of([5, 0], spread=BACKGROUNDS)
    write_plan(plan, tmp_path / "plan.json")
    counts = storage.read_json(tmp_path / "plan.json")["cells"][1]["spread"]["background"]
    assert sorted(counts.values()) == [2, 3]
    assert read_plan(tmp_path / "plan.json") == plan


def test_phrases_of_an_unknown_class_or_empty_ones_are_refused():
    with pytest.raises(OptionError, match=r"class.*spread.class 'cot'..*'coat'"):
        plan_of([2, 0], spread={"class": {"cot": ("parka",)}})
    with pytest.raises(ValueError, match="needs at least one phrase"):
        PlanOptions(spread={"background": ()})
    with pytest.raises(ValueError, match="is a reserved name"):
        PlanOptions(spread={"modifier": ("red",)})
