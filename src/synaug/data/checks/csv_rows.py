"""Read the rows of a hand-edited CSV file strictly: nothing is skipped, padded or guessed.

An unclosed quote swallows every row after it, and a missing cell shifts the others; a lenient reader notices neither.
Here both are errors with the line number at which the row begins.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from synaug.errors import DataError


def separator_of(header: str, candidates: Sequence[str] = (",", ";", "\t")) -> str:
    """Return the most frequent separator in the header line."""
    return max(candidates, key=header.count)


def csv_rows(
    lines: Iterable[str], *, separator: str, where: Path | str, skip_spaces: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and cells of each row, starting with the header; empty lines are skipped.

    Args:
        lines: lines of the file, with their line ends.
        separator: character between cells.
        where: name of the file in errors.
        skip_spaces: ignore spaces after a separator, so that a quote may follow them.

    Raises:
        DataError: a quote is unclosed or inside a cell, a row has more or fewer cells than the header, or a line
            contains a NUL character; the message has the line number.
    """
    rows = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=skip_spaces)
    num_columns, end = 0, 0
    while True:
        start = end + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise DataError(f"{where}, line {start}: {_explained(error, rows.line_num, start)}") from None
        if cells is None:
            return
        end = rows.line_num
        if not cells or (len(cells) == 1 and not cells[0].strip() and num_columns != 1):
            continue
        if any("\0" in cell for cell in cells):
            raise DataError(f"{where}, line {start} contains a NUL character. Save the file as UTF-8 text.")
        num_columns = num_columns or len(cells)
        if len(cells) != num_columns:
            raise DataError(
                f"{where}, line {start} has {len(cells)} cell{'s' if len(cells) > 1 else ''}, but the header has "
                f"{num_columns}. "
                f"Add or remove a {_name(separator)}, or put a cell that contains one in double quotes."
            )
        yield start, cells


def _name(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}.get(separator, repr(separator))


def _explained(error: csv.Error, line: int, start: int) -> str:
    to = f" (up to line {line})" if line > start else ""
    if "field larger" in str(error):
        return (
            f"a cell has more than {csv.field_size_limit():,} characters{to}. A double quote at its beginning may "
            "lack its partner; remove it or add the closing one."
        )
    return (
        f"the double quotes do not pair up{to}. Write a cell that contains a quote, separator or line break as "
        '"...", and each quote inside it twice.'
    )
