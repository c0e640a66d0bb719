"""Errors: exit codes as documented, and hints for misspelt names."""

import pytest

from synaug import errors
from synaug.errors import unknown


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
