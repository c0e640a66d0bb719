"""Rules for class names: the order in which they are numbered, spreadsheet cells, and portable folder names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from synaug.errors import DataError
from synaug.runtime.files import MAX_COMPONENT as MAX_BYTES
from synaug.runtime.files import component_fault, folded

_NOT_ON_WINDOWS = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?|.*[<>:\"|?*].*",
    re.IGNORECASE | re.DOTALL,
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_RANGE = re.compile(r"-?[0-9][0-9.]*(e[+-]?[0-9]+)? to ")
_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")


def sorted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names, sorted by value if all are whole numbers, otherwise as text.

    >>> sorted_names(["10", "9", "9"]), sorted_names(["10", "9", "cat"])
    (('9', '10'), ('10', '9', 'cat'))
    """
    distinct = set(names)
    if all(_WHOLE_NUMBER.fullmatch(name) for name in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def sorted_values(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct values of an attribute, sorted: ranges of numbers by their lower ends.

    >>> sorted_values(["100 to 120", "20 to below 100"]), sorted_values(["m", "f"])
    (('20 to below 100', '100 to 120'), ('f', 'm'))
    """
    starts = {name: _RANGE.match(name) for name in names}
    if starts and all(starts.values()):
        return tuple(sorted(starts, key=lambda name: float(name.split(" to ")[0])))
    return sorted_names(starts)


def plain_cell(text: str) -> str:
    """Return the text as a cell that no spreadsheet evaluates as a formula; whole numbers are unchanged.

    >>> plain_cell("=1+1"), plain_cell("-1"), plain_cell("cat")
    ("'=1+1", '-1', 'cat')
    """
    return f"'{text}" if text.startswith(_FORMULA) and not _WHOLE_NUMBER.fullmatch(text) else text


def cell_text(cell: str) -> str:
    """Return the original text of a cell made by ``plain_cell``.

    >>> cell_text("'=1+1"), cell_text("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


def check_class_names(names: Sequence[str]) -> None:
    """Check that every class name can be a folder name on every system.

    Raises:
        DataError: a name is not allowed, or two names differ only by letter case or Unicode form.
    """
    for name in names:
        if fault := component_fault(name):
            raise DataError(
                f"The class name {name!r} {fault}, so it cannot be a folder name. Rename the class without "
                "path separators, control characters, a dot at the start, or a dot or space at the end, "
                f"and with at most {MAX_BYTES} bytes."
            )
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(folded(name), name)
        if other is not name:
            raise DataError(
                f"The class names {other!r} and {name!r} differ only by letter case or Unicode form; "
                "on some systems they would be one folder. Rename or merge one of them."
            )


def windows_notes(names: Sequence[str]) -> tuple[str, ...]:
    """Return a note on class names that cannot be folders on Windows, or nothing.

    >>> windows_notes(["CON", "console"])[0][:53]
    "On Windows, no folder can have the class name 'CON': "
    """
    found = [repr(name) for name in names if _NOT_ON_WINDOWS.fullmatch(name)]
    if not found:
        return ()
    shown = ", ".join(found[:5]) + (f" and {len(found) - 5:,} more" if len(found) > 5 else "")
    what = "class name" if len(found) == 1 else "class names"
    return (f"On Windows, no folder can have the {what} {shown}: rename before you export a set for Windows.",)
