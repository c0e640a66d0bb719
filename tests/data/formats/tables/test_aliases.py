"""Test aliases from a table or from YAML; invalid names are rejected."""

import pytest

from synaug.data.formats.tables.aliases import read_aliases
from synaug.errors import DataError, OptionError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "class,name\ncrane,crane bird\n007,spy\n"),
        ("a.tsv", "name\tclass\ncrane bird\tcrane\nspy\t007\n"),
        ("a.yaml", 'crane: crane bird\n"007": spy\n'),
    ],
)
def test_aliases_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_aliases(tmp_path / name) == {"crane": "crane bird", "007": "spy"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "class,alias\ncrane,x\n", "has no column 'name'"),
        ("a.csv", "class,name\ncrane,a\ncrane,b\n", "gives the class 'crane' two names: 'a' and 'b'"),
        ("a.csv", "class,name\ncrane,\n", "must give each class a name in words"),
        ("a.yaml", "- crane\n", "must hold lines 'class: name', not list"),
        ("a.yaml", "yes: one\n", "quote numbers"),
        ("a.yaml", "a: [\n", "cannot be read"),
    ],
)
def test_invalid_aliases_are_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        read_aliases(tmp_path / name)


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"\.csv, .*got a\.txt"):
        read_aliases(tmp_path / "a.txt")
