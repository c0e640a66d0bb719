"""Test that long prompts lose words from their middle, never a class or an attribute without an error."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.images.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.errors import OptionError
from synaug.synthesis.planning.planner import make_plan
from synaug.synthesis.planning.prompt_length import check_prompt_length, long_prompts, prompt_notes, shortened

LONG = "a detailed studio picture made with a good camera in soft light on plain ground of one"


def plan_of(names=("boot", "bag"), *, attributes=(), **options):
    labels = np.repeat([0, 1], [4, 2])
    manifest = from_arrays(
        [np.zeros((4, 4), np.uint8)] * 6,
        labels,
        class_names=names,
        attributes=np.array([0, 0, 0, 1, 0, 1]) if attributes else None,
        attribute_names=attributes,
    )
    return make_plan(
        manifest,
        options=PlanOptions(**{"model": "embedded", "by": "group" if attributes else "class", **options}),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=(4, 4),
    )


def at_most(number):
    return lambda prompt: shortened(prompt, lambda text: len(text.split()) <= number)


@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, max_size=20), st.integers(1, 20))
def test_the_middle_goes_and_as_little_as_possible(words, limit):
    kept = at_most(limit)(" ".join(words)).split()
    number = min(limit, len(words))
    assert kept == words[: number // 2] + words[len(words) - (number - number // 2) :]


def test_of_a_word_that_does_not_fit_nothing_is_left():
    assert shortened("incomprehensibilities", lambda text: len(text) < 9) is None


def test_prompts_that_fit_are_not_mentioned():
    assert prompt_notes(plan_of(), at_most(8)) == []


def test_a_long_prompt_is_noted_with_the_text_that_the_model_receives():
    plan = plan_of(template=LONG + " {class}")
    check_prompt_length(plan, at_most(6))
    (note,) = prompt_notes(plan, at_most(6))
    assert "21 prompts" in note
    assert "'a detailed studio of one bag'" in note


@pytest.mark.parametrize("names", [("boot", "bag"), ("boot", "leather bag with handles")])
def test_a_class_that_would_be_cut_is_refused_and_noted(names):
    plan = plan_of(names, template="one and only one very detailed {class} in soft light on a plain gray ground")
    with pytest.raises(OptionError) as refused:
        check_prompt_length(plan, at_most(3))
    for text in (prompt_notes(plan, at_most(3))[0], str(refused.value)):
        assert repr(names[1]) in text
        assert "--aliases" in text


def test_a_class_without_missing_images_raises_no_questions():
    plan = plan_of(("one boot with a very long name of its own", "bag"))
    assert not list(long_prompts(plan, at_most(6)))


@pytest.mark.parametrize("phrases", [{}, {"water": "a {class} on open water"}])
def test_an_attribute_that_would_be_cut_is_refused(phrases):
    plan = plan_of(attributes=("land", "water"), template="one {class} " + LONG, attribute_phrases=phrases)
    with pytest.raises(OptionError, match="water"):
        check_prompt_length(plan, at_most(5))


def test_a_phrase_that_names_the_class_may_not_be_cut():
    plan = plan_of(template=f"{LONG} {{class}} {LONG}", spread={"class": {"bag": ["satchel"]}})
    with pytest.raises(OptionError, match="satchel"):
        check_prompt_length(plan, at_most(10))


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("ankle_boot", "AnkleBoot"), {}),
        (("bag", "Bag"), {}),
        (("boot", "bag"), {"aliases": {"bag": "boot"}}),
        (("boot", "bag"), {"template": "a nice photo"}),
        (("boot", "bag"), {"spread": {"class": {"bag": ["boot", "satchel"]}}}),
    ],
)
def test_equal_prompts_of_two_classes_are_an_error(names, options):
    with pytest.raises(OptionError, match=f"{re.escape(repr(names[0]))} and {names[1]!r}.*--aliases"):
        plan_of(names, **options)


def test_an_alias_settles_equal_prompts():
    assert plan_of(("bag", "Bag"), aliases={"Bag": "paper bag"}).num_to_generate == 2
