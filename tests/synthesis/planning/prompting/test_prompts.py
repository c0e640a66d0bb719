"""Test that prompts read like English and treat the user's text as data."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synaug.errors import OptionError
from synaug.synthesis.planning.prompting.prompts import MODIFIERS, prompt, readable_name

TEMPLATE = "a photo of a {modifier} {class}"


@pytest.mark.parametrize(
    ("modifier", "name", "expected"),
    [
        ("", "bag", "a photo of a bag"),
        ("", "ankle boot", "a photo of an ankle boot"),
        ("unusual", "coat", "a photo of an unusual coat"),
        ("bright", "ankle boot", "a photo of a bright ankle boot"),
        ("", "unicorn", "a photo of a unicorn"),
        ("", "hourglass", "a photo of an hourglass"),
    ],
)
def test_articles_are_right(modifier, name, expected):
    assert prompt(TEMPLATE, class_name=name, modifier=modifier) == expected


@pytest.mark.parametrize(
    ("article", "names"),
    [
        ("an", ["apple", "hour", "honest man", "X-ray", "x-ray", "F-16", "SUV", "LP record", "MP3 player", "8-ball"]),
        ("an", ["18-wheeler", "umbrella", "uninteresting thing", "onion", "Été", "I-beam", "11th floor"]),
        ("a", ["unicorn", "ukulele", "uakari", "euro coin", "one-way sign", "ewe", "UFO", "USB stick", "U-turn"]),
        ("a", ["Lynx", "house", "NASA rocket", "Siberian husky", "1st prize", "111 bus", "大衣"]),
    ],
)
def test_articles_follow_the_sound(article, names):
    assert [prompt("a {class}", class_name=name) for name in names] == [f"{article} {name}" for name in names]


def test_articles_of_names_stay_as_they_are():
    assert prompt("the {class}", class_name="vitamin A orange") == "the vitamin A orange"


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("red {class}", "a photo of a red ankle boot"),
        ("{class} on water", "a photo of an ankle boot on water"),
        (None, "a photo of an ankle boot, wet"),
    ],
)
def test_attribute_phrases_surround_the_class(phrase, expected):
    assert prompt(TEMPLATE, class_name="ankle boot", attribute="wet", attribute_phrase=phrase) == expected


def test_a_template_may_place_the_attribute_itself():
    assert prompt("a {attribute} {class}", class_name="bag", attribute="old") == "an old bag"


@pytest.mark.parametrize("template", ["a {clas}", "a {class} {0}", "{class!r}", "{class.__init__}"])
def test_unknown_placeholders_are_refused(template):
    with pytest.raises(OptionError, match="Unknown placeholder"):
        prompt(template, class_name="bag")


@given(st.text(), st.sampled_from(MODIFIERS))
@example("\x00", "bright")
def test_any_class_name_is_text_and_never_a_template(name, modifier):
    made = prompt("{modifier} {class}", class_name=name, modifier=modifier)
    assert made == " ".join(f"{modifier} {name}".replace("\x00", "").split())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("T-shirt/top", "T-shirt or top"),
        ("maple_tree", "maple tree"),
        ("pickUpTruck", "pick up truck"),
        ("iPhone", "iPhone"),
        ("n01440764", "n01440764"),
        ("007", "007"),
        ("8-ball", "8-ball"),
        ("747-400", "747-400"),
        ("2.5L_bottle", "2.5L bottle"),
        ("7.Sooty_Tern", "Sooty Tern"),
        ("大衣", "大衣"),
    ],
)
def test_names_become_readable(name, expected):
    assert readable_name(name) == expected


def test_an_alias_wins():
    assert readable_name("crane", {"crane": "crane bird"}) == "crane bird"
