"""Test class names: accepted names are valid folder names, and no two of them collide."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.data.labels.class_names import check_class_names, sorted_names
from synaug.errors import DataError
from synaug.runtime.files.names import component_fault


@given(st.text(min_size=1, max_size=300))
def test_an_accepted_name_can_be_a_folder(tmp_path_factory, name):
    if component_fault(name) is None:
        folder = tmp_path_factory.getbasetemp() / "names"
        os.makedirs(folder / name, exist_ok=True)
        assert name in os.listdir(folder)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("a/b", "has a path separator"),
        ("a\\b", "has a path separator"),
        ("a\0b", "has a control character"),
        ("a\nb", "has a control character"),
        ("..", "starts with a dot"),
        ("etc.", "ends with a dot or a space"),
        ("cat ", "ends with a dot or a space"),
        ("é" * 128, "has 256 bytes, but at most 255 are allowed"),
    ],
)
def test_faults(name, fault):
    assert component_fault(name) == fault
    with pytest.raises(DataError, match=rf"{fault},.*folder.*class"):
        check_class_names(["cat", name])


@pytest.mark.parametrize("name", ["train", "test-tube", "naïve ☃", "50% off", "null", "__bg__", "a" * 255, "Ⅷ"])
def test_odd_but_allowed(name):
    check_class_names(["cat", name])


@pytest.mark.parametrize("pair", [("Cat", "cat"), ("straße", "STRASSE"), ("caf\u00e9", "cafe\u0301")])
def test_names_that_differ_only_by_case_or_form_are_refused(pair):
    with pytest.raises(DataError, match="differ only by letter case or Unicode form"):
        check_class_names(pair)


@given(st.lists(st.integers(-50, 50).map(str) | st.text(max_size=3)))
def test_sorting_keeps_the_names(names):
    assert set(sorted_names(names)) == set(names)
