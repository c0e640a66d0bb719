"""Read the split of each row from a column of a table: split names, numbers, or yes and no of ``is_train``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from synaug.data.formats.folders import NOT_READ, SPLIT_NAMES, SPLIT_NUMBERS, is_unlabeled_name, split_of
from synaug.errors import DataError

SPLIT_COLUMNS = ("split", "subset", "set", "partition", "phase", "fold", "usage", "data_split", "dataset_split")
TRUE, FALSE = ("true", "1", "yes", "y", "t"), ("false", "0", "no", "n", "f")


def usual_split(frame: pd.DataFrame, taken: set[str | None]) -> str | None:
    """Return the column ``split``, or one of another usual name whose values all name splits, training among them."""
    lower = {str(name).casefold(): str(name) for name in reversed(frame.columns) if str(name) not in taken}
    if SPLIT_COLUMNS[0] in lower:
        return lower[SPLIT_COLUMNS[0]]
    for name in SPLIT_COLUMNS[1:]:
        if (column := lower.get(name)) is not None:
            values = {str(value).strip() for value in frame[column].dropna().unique()}
            splits = {split_of(value) for value in values}
            if "train" in splits and len(splits) > 1 and None not in splits:
                return column
    return None


def unread_split_notes(names: Sequence[str], taken: set[str | None], where: Path | str) -> list[str]:
    """Return a note if a column looks like splits or folds but is not read as such.

    >>> unread_split_notes(["path", "fold"], {"path"}, "t.csv")
    ["t.csv: the column 'fold' is not read. If it contains the splits, name it with --split-column fold."]
    """
    free = [name for name in names if name not in taken]
    found = [name for name in free if name.casefold() in SPLIT_COLUMNS or _split_in(name)]
    return [
        f"{where}: the column {name!r} is not read. If it contains the splits, name it with --split-column {name}."
        for name in found[:1]
    ]


def _split_in(column: str) -> str | None:
    """Return the split in the name of a column such as ``is_train``, or None."""
    words = [word for word in re.split(r"[^a-z]+", column.casefold()) if word not in ("is", "in", "use", "for", "")]
    return split_of(" ".join(words)) if words else None


def split_texts(values: pd.Series[str], column: str, given: Mapping[str, str], where: Path | str) -> pd.Series[str]:
    """Return the split of each row; ``none`` and the value for rows that are not read.

    Args:
        values: values of the column, as text.
        column: its name; in one such as ``is_train``, truth values mark the rows of that split.
        given: the split of each value that the user assigned.
        where: name of the table in messages.

    Raises:
        DataError: a value names no split.
    """
    distinct = set(values)
    others = {value for value in distinct - given.keys() if value.isdecimal()} - SPLIT_NUMBERS.keys()
    are_splits = "0" in distinct and not others  # 0 to 4 are folds, and 1 and 2 may count from 1
    numbers = _meant_by_truth(column, distinct) or (SPLIT_NUMBERS if are_splits else {})
    named: dict[str, str] = {}
    for value in distinct:
        split = given.get(value) or numbers.get(value.casefold()) or split_of(value)
        if split is None and is_unlabeled_name(value):
            split = NOT_READ
        named[value] = f"{NOT_READ} {value}" if split == NOT_READ else split or ""
    if unknown := sorted(value for value in distinct if not named[value]):
        what = "numbers of folds" if all(value.isdecimal() for value in distinct) else "values that name no split"
        raise DataError(
            f"{where}: the split column {column!r} has {what}: {', '.join(map(repr, unknown[:5]))}. "
            f"Known: {', '.join(SPLIT_NAMES)} and their usual spellings; 0, 1, 2, unless 0 is missing or there are "
            f"other numbers. Assign others with --splits {unknown[0]}=train (data.splits), or choose another column "
            "with --split-column (data.split)."
        )
    return values.map(named)


def number_notes(values: pd.Series[str], column: str, given: Mapping[str, str], where: Path | str) -> list[str]:
    """Return a note if a column of splits has just 0 and 1, where 1 could also be the test split.

    >>> number_notes(pd.Series(["0", "1"]), "split", {}, "t.csv")
    ["t.csv: in the column 'split', 1 was read as validation. If it is the test split, use --splits 1=test."]
    """
    if set(values) != {"0", "1"} or given or _meant_by_truth(column, {"0", "1"}):
        return []
    return [
        f"{where}: in the column {column!r}, 1 was read as validation. If it is the test split, use --splits 1=test."
    ]


def _meant_by_truth(column: str, values: set[str]) -> dict[str, str]:
    """Return the split of yes and no in a column such as ``is_train``; empty if it is not such a column.

    >>> _meant_by_truth("is_train", {"0", "1"})["1"], _meant_by_truth("is_test", {"True", "False"})["true"]
    ('train', 'test')
    """
    split = _split_in(column)
    if split is None or not {value.casefold() for value in values} <= {*TRUE, *FALSE}:
        return {}
    other = "test" if split == "train" else "train"
    return dict.fromkeys(TRUE, split) | dict.fromkeys(FALSE, other)
