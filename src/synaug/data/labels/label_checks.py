"""Check that labels are plausible classes, and that predictions and labels use the same names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from synaug.data.labels.labels import MISSING, MULTI_LABEL
from synaug.errors import DataError
from synaug.runtime.files import folded

_MANY_ROWS = 40  # with this many rows, mostly distinct values are an error; with fewer, a note
_FEW_ROWS = 10
_LISTED = re.compile(r"\s*[\[({](.*)[\])}]\s*", re.DOTALL)
_LIST_CONTENT = re.compile(r"""[,'"]|^[\s\d.+-]*$""")
_STRONG_SEPARATORS, _WEAK_SEPARATORS = "|;", ","
_MISSING_WORDS = frozenset((
    "nan", "none", "null", "nil", "na", "n/a", "<na>", "#n/a", "?", "-", "--", "missing", "unlabeled", "unlabelled",
    "no label", "not available", "undefined",
))  # fmt: skip
_SHOWN = 3


def check_plausible(texts: pd.Series[str], *, where: str) -> list[str]:
    """Return notes on labels that may not be classes.

    Args:
        texts: labels as returned by ``label_texts``.
        where: name of the column in messages.

    Raises:
        DataError: the values are lists, contain several labels per cell, or are nearly all different.
    """
    counts = texts[texts != MISSING].value_counts()
    names = [str(name) for name in counts.index]
    _refuse_lists(names, where)
    notes = [*_several_in_a_cell(names, where), *_like_missing(names, where)]
    return notes + _mostly_distinct(len(names), int(counts.sum()), names, where)


def _refuse_lists(names: Sequence[str], where: str) -> None:
    for name in names:
        inside = _LISTED.fullmatch(name)
        if inside and _LIST_CONTENT.search(inside[1]):
            raise DataError(
                f"{where} has the value {name!r}, which is a list written as text, not a class. Write the class "
                f"itself. {MULTI_LABEL}"
            )


def spelling_notes(names: Sequence[str], where: str) -> list[str]:
    """Return notes on attribute values that may stand for a missing value, or for one another."""
    notes = [f"{where}: {_listed(found)} may stand for a missing value." for found in [_missing_words(names)] if found]
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(folded(name), []).append(name)
    return notes + [
        f"{where}: {_listed(group)} differ only by letter case or Unicode form and are read as different values."
        for group in alike.values()
        if len(group) > 1
    ]


def _missing_words(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.casefold() in _MISSING_WORDS]


def _like_missing(names: Sequence[str], where: str) -> list[str]:
    """Note values that often stand for a missing label, but are read as a class."""
    others = [name for name in names if name != "-1"]
    is_number = bool(others) and all(re.fullmatch(r"\d+", name) for name in others)
    found = _missing_words(names) + (["-1"] if is_number and "-1" in names else [])
    if not found:
        return []
    return [
        f"{where}: {_listed(found)} often stands for a missing label and is read as a class. If these images have no "
        "label, remove them."
    ]


def _several_in_a_cell(names: Sequence[str], where: str) -> list[str]:
    """Reject cells such as ``cat|fish`` if the parts are classes of their own; note cells that look like it."""
    notes = []
    for separator in _STRONG_SEPARATORS + _WEAK_SEPARATORS:
        parts = {name: [part.strip() for part in name.split(separator)] for name in names if separator in name}
        owners: dict[str, set[str]] = {name: {name} for name in names}
        for name, split in parts.items():
            for part in split:
                owners.setdefault(part, set()).add(name)
        for name, split in parts.items():
            known = [bool(part) and bool(owners[part] - {name}) for part in split]
            if all(known) or (any(known) and separator in _STRONG_SEPARATORS):
                raise DataError(
                    f"{where} has the value {name!r}, several labels in one cell ({' and '.join(map(repr, split))}). "
                    f"{MULTI_LABEL}"
                )
        suspects = [name for name in parts if separator in _STRONG_SEPARATORS or set(parts[name]) & set(names)]
        if suspects:
            notes.append(f"{where}: {_listed(suspects)} may be several labels in one cell; read as one class.")
    return notes


def _mostly_distinct(num_names: int, num_rows: int, names: Sequence[str], where: str) -> list[str]:
    if num_rows < _FEW_ROWS or num_names <= num_rows / 2:
        return []
    text = (
        f"{where} has {num_names:,} different values in {num_rows:,} rows, such as {_listed(names)}. "
        "That looks like names of images or scores, not classes."
    )
    if num_rows >= _MANY_ROWS:
        raise DataError(f"{text} Name the column that holds the class.")
    return [text]


def matched_predictions(
    labels: pd.Series[str], predictions: pd.Series[str], *, where: str = "The table of predictions"
) -> tuple[pd.Series[str], list[str]]:
    """Return the predictions spelled like the labels, and notes on how they were matched.

    Booleans match 0 and 1, and predictions without an exact match ignore letter case if that is unambiguous.

    Raises:
        DataError: no prediction is among the labels, unless these are of a single class, all of which may be missed.
    """
    known, predicted = set(labels), set(predictions)
    renamed, how = _as_numbers(known, predicted), "as 0 and 1"
    if not renamed:
        renamed, how = _as_spelled(known, predicted - known), "by letter case or Unicode form"
    notes = []
    if renamed:
        before, after = next(iter(sorted(renamed.items())))
        notes.append(f"Predictions were matched to the labels {how}: {before!r} was read as {after!r}.")
        predictions = predictions.map(lambda name: renamed.get(name, name))
        predicted = set(predictions)
    may_miss_all = len(known) == 1 and len({_is_number(name) for name in known | predicted}) == 1
    if known and predicted and not known & predicted and not may_miss_all:
        raise DataError(
            f"{where}: no prediction is among the labels. Predictions are {_listed(sorted(predicted))}; labels are "
            f"{_listed(sorted(known))}. Write both in the same way, as names or as numbers."
        )
    if strange := sorted(predicted - known):
        number = int(np.isin(predictions.to_numpy(), strange).sum())
        notes.append(f"{number:,} predictions name {_listed(strange)}, which no label has; they count as wrong.")
    return predictions, notes


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _as_numbers(known: set[str], predicted: set[str]) -> dict[str, str]:
    """Return how to rename booleans to 0 and 1 or back, if one side uses the former and the other side the latter."""
    numbers, words = {"0", "1"}, {"False", "True"}
    if predicted <= words and known <= numbers:
        return {"False": "0", "True": "1"}
    if predicted <= numbers and known <= words:
        return {"0": "False", "1": "True"}
    return {}


def _as_spelled(known: set[str], predicted: set[str]) -> dict[str, str]:
    alike: dict[str, list[str]] = {}
    for name in known:
        alike.setdefault(folded(name), []).append(name)
    return {name: alike[folded(name)][0] for name in predicted if len(alike.get(folded(name), ())) == 1}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 40 else f"{name[:37]}...") for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN:,} more"
