"""Test that an edited CSV file is read completely, or rejected with a line number."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.data.checks.csv_rows import csv_rows, separator_of
from synaug.data.formats.tables.aliases import read_aliases
from synaug.data.formats.tables.table_files import read_table
from synaug.errors import DataError
from synaug.evaluation.predictions import read_predictions

BAD = {
    'id,note\na,"open\nb,x\nc,y\n': "line 2: the double quotes do not pair up",
    'id,note\na,x\nb,"open\nc,"open\n': "line 3: the double quotes do not pair up",
    'id,note\na,"x"y\n': "line 2: the double quotes do not pair up",
    "id,note\na,x,y\n": "line 2 has 3 cells, but the header has 2",
    'id,note\n"a\nb",x\nc\n': "line 4 has 1 cell, but the header has 2",
    "id,note\na,x\0y\n": "line 2 contains a NUL",
    'id,note\na,"' + 140_000 * "x" + '"\n': "line 2: a cell has more than 131,072 characters",
}


def rows(text, separator=","):
    return list(csv_rows(io.StringIO(text, newline=""), separator=separator, where="t.csv"))


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=range(len(BAD)))
def test_a_malformed_table_stops_with_the_line_for_every_reader(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        rows(text)
    path = tmp_path / "table.csv"
    path.write_text(text)
    for read in (read_table, read_predictions, read_aliases):
        with pytest.raises(DataError, match=message):
            read(path)


def test_quoted_separators_quotes_and_line_breaks_are_cells():
    found = rows('id;note\r\na;"x;""y""\nz"\r\n\r\nb;\r\n', ";")
    assert found == [(1, ["id", "note"]), (2, ["a", 'x;"y"\nz']), (5, ["b", ""])]
    assert separator_of("id\tdecision\tnote") == "\t"


CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL.map(lambda text: f"x{text}")), min_size=1, max_size=5))
def test_rows_that_csv_writes_are_read_back(table):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    assert [tuple(cells) for _, cells in rows(text.getvalue())] == table
