"""Test errors: documented exit codes, and hints for misspelled names."""

import pytest

from synaug import errors
from synaug.config import Recipe
from synaug.errors import unknown
from synaug.recipes import with_settings


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SynaugError", 1),
        ("OptionError", 2),
        ("IncompleteError", 3),
        ("DataError", 4),
        ("EnvironmentFault", 5),
        ("Interrupted", 75),
    ],
)
def test_exit_codes_are_those_of_the_docstring(name, code):
    assert getattr(errors, name).exit_code == code
    assert f"{name} ({code})" in errors.__doc__


def test_bad_values_are_value_errors():
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.DataError, ValueError)


def test_a_near_miss_gets_a_hint_and_a_far_one_does_not():
    assert "Did you mean 'uniform'?" in str(unknown("target", "unifrom", ["uniform"]))
    assert str(unknown("target", "xyz", ["b", "a"])) == "Unknown target 'xyz'. Known: a, b."


def test_of_many_names_the_nearest_five_are_shown_with_the_way_to_the_list():
    names = [f"loss_{letter}" for letter in "abcdefghijklmnopqrst"]
    shown = str(unknown("method", "loss_bb", names))
    assert shown.startswith("Unknown method 'loss_bb'. Did you mean 'loss_b'? The nearest of 20: loss_b, ")
    assert shown.count("loss_") == 7
    assert shown.endswith("All of them: synaug methods")


@pytest.mark.parametrize(
    ("got", "near"),
    [
        ("train.epochs", "train.stage1.epochs"),
        ("train.learning_rate", "train.stage1.learning_rate"),
        ("stage1.batch_size", "train.stage1.batch_size"),
        ("plan.strength", "generate.strength"),
        ("train.stage1.epoch", "train.stage1.epochs"),
        ("plan.targt", "plan.target"),
    ],
)
def test_an_option_in_another_section_is_found(got, near):
    with pytest.raises(errors.OptionError) as raised:
        with_settings(Recipe(), [f"{got}=1"])
    assert f"Did you mean {near!r}?" in str(raised.value)
