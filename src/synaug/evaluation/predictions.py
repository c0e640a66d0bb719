"""Score a table of anyone's predictions: recall of each class, and fairness between attribute values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from synaug.data.class_names import cell_text, sorted_names
from synaug.data.formats.table_files import read_table
from synaug.data.formats.tables import named_column
from synaug.data.label_checks import check_plausible, matched_predictions
from synaug.data.labels import flat_labels, label_texts
from synaug.errors import DataError
from synaug.evaluation.bootstrap import intervals_of, resamples
from synaug.evaluation.fairness import FairnessReport, fairness_report
from synaug.evaluation.longtail import class_recalls
from synaug.evaluation.proportions import (
    Share,
    mean_interval,
    named_intervals,
    shares_of,
    wilson_interval,
    worst_interval,
)
from synaug.evaluation.scores import RESAMPLES, group_intervals

LABELS, PREDICTIONS = ("label", "y_true"), ("prediction", "y_pred")  # the usual names of their columns


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table of predictions: CSV, TSV, JSON lines or Parquet.

    Raises:
        DataError: the file cannot be read, or has no rows.
    """
    if not path.exists():
        raise DataError(f"{path} is missing.")
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path} is not a regular file. Write the table into a file first.")
    if path.is_dir():
        raise DataError(f"{path} is a folder. Give the table of predictions, such as {path / 'predictions.csv'}.")
    return read_table(path).frame


def evaluate_predictions(
    table: pd.DataFrame | Mapping[str, ArrayLike],
    *,
    attributes: Sequence[str] = (),
    label: str | None = None,
    prediction: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scores of predictions as nested dicts of numbers, ready for the terminal and for JSON.

    Args:
        table: a frame, or a dict of columns: labels and predictions, names or numbers, and any attributes.
        attributes: the columns between whose values fairness is measured. Rows without a value are left out.
        label: the column of true classes; without it, ``label`` or ``y_true``.
        prediction: the column of chosen classes; without it, ``prediction`` or ``y_pred``.
        seed: of the intervals.

    Returns:
        ``num_images``, ``accuracy``, ``mean_recall``, ``worst_class``, ``per_class`` (of the classes that occur as
        labels) and, where attributes are given, ``fairness`` with one entry an attribute, NaN where undefined.
        ``intervals``, here and in each such entry, has the ends of the 95 % interval of each number, by the same names:
        Wilson's for shares and their averages, the bootstrap's for gaps between attribute values.

    Raises:
        DataError: a column is not there, the table is empty, or a label or prediction is missing.
    """
    frame = _as_frame(table)
    label = _column(frame, label, LABELS, "label")
    prediction = _column(frame, prediction, PREDICTIONS, "prediction")
    attributes = [_column(frame, name, (), "attribute") for name in attributes]
    (names, labels, predictions), notes = _encoded(_full(frame[label]), _full(frame[prediction]))

    scores: dict[str, Any] = {"num_images": len(frame), "notes": notes}
    scores |= _overall(names, labels=labels, predictions=predictions)
    if attributes:
        scores["fairness"] = {
            column: _fairness(frame[column], names, labels=labels, predictions=predictions, seed=seed)
            for column in attributes
        }
    return scores


def _overall(names: Sequence[str], *, labels: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
    recalls = class_recalls(labels=labels, predictions=predictions, num_classes=len(names))
    per_class = {name: recall for name, recall in zip(names, recalls.tolist(), strict=True) if recall == recall}
    right = labels == predictions
    shares = [share for share in shares_of(labels, right, len(names)) if share.total]
    found = {
        "accuracy": wilson_interval(Share(int(right.sum()), len(right))),
        "mean_recall": mean_interval(shares),
        "worst_class": worst_interval(shares),
    }
    ends: dict[str, Any] = {name: astuple(interval) for name, interval in found.items()}
    return {
        "accuracy": float((labels == predictions).mean()),
        "mean_recall": float(np.mean(list(per_class.values()))),
        "worst_class": min(per_class.values()),
        "per_class": per_class,
        "intervals": ends | {"per_class": named_intervals(shares, list(per_class))},
    }


def _as_frame(table: pd.DataFrame | Mapping[str, ArrayLike]) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    columns = {name: flat_labels(values, where=f"The column {name!r}") for name, values in table.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name!r} {length:,}" for name, length in lengths.items())
        raise DataError(f"The columns of the predictions differ in length: {said}.")
    return pd.DataFrame(columns)


def _column(frame: pd.DataFrame, asked: str | None, usual: Sequence[str], kind: str) -> str:
    names = [name for name in frame.columns if isinstance(name, str)]
    return named_column(asked, usual, names, kind, "The table of predictions")


def _full(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the column, of which every row must have a value."""
    if not len(column):
        raise DataError("The predictions have no rows, so there is nothing to measure.")
    empty = (column.isna() | (column.astype(str).str.strip() == "")).to_numpy()
    if empty.any():
        raise DataError(f"{empty.sum():,} rows have no {column.name}; the first is row {int(empty.argmax()) + 1}.")
    return column


def _encoded(
    label: pd.Series[Any], prediction: pd.Series[Any]
) -> tuple[tuple[list[str], np.ndarray, np.ndarray], list[str]]:
    """Return the class names that occur, labels and predictions as positions in them, and notes on what was read."""
    known, predicted = _text(label), _text(prediction)
    notes = [
        note
        for texts, column in ((known, label), (predicted, prediction))
        for note in check_plausible(texts, where=f"The column {str(column.name)!r}")
    ]
    predicted, matched = matched_predictions(known, predicted)
    names = list(sorted_names({*known, *predicted}))
    position = {name: number for number, name in enumerate(names)}
    return (names, known.map(position).to_numpy(np.int64), predicted.map(position).to_numpy(np.int64)), notes + matched


def _text(column: pd.Series[Any]) -> pd.Series[str]:
    return label_texts(column, where=f"The column {str(column.name)!r}").map(cell_text)


def _fairness(
    column: pd.Series[Any], names: Sequence[str], *, labels: np.ndarray, predictions: np.ndarray, seed: int
) -> dict[str, Any]:
    known = np.flatnonzero(column.notna() & (column.astype(str).str.strip() != ""))
    if not len(known):
        raise DataError(f"The column {column.name!r} is empty.")
    values = _text(column.iloc[known])
    attribute_names = list(sorted_names(values))
    attributes = values.map({name: number for number, name in enumerate(attribute_names)}).to_numpy(np.int64)
    labels, predictions = labels[known], predictions[known]

    def measured(rows: np.ndarray) -> dict[str, Any]:
        report = fairness_report(
            labels=labels[rows],
            predictions=predictions[rows],
            attributes=attributes[rows],
            num_classes=len(names),
            num_attributes=len(attribute_names),
        )
        return _named(report, names, attribute_names)

    counts = dict(zip(attribute_names, np.bincount(attributes).tolist(), strict=True))
    strata = labels * len(attribute_names) + attributes
    found = measured(np.arange(len(known)))
    intervals = intervals_of([measured(rows) for rows in resamples(strata, RESAMPLES, seed=seed)])
    right = labels == predictions
    cells = shares_of(strata, right, len(names) * len(attribute_names))
    intervals |= group_intervals(cells, weights=[share.total for share in cells])
    intervals["accuracy"] = named_intervals(shares_of(attributes, right, len(attribute_names)), attribute_names)
    intervals["accuracy_by_group"] = named_intervals(cells, list(found["accuracy_by_group"]))
    intervals = {name: ends for name, ends in intervals.items() if name in found}
    return {"num_images": len(known), "num_images_by_value": counts} | found | {"intervals": intervals}


def _named(report: FairnessReport, names: Sequence[str], attribute_names: Sequence[str]) -> dict[str, Any]:
    return {
        "accuracy": dict(zip(attribute_names, report.accuracy_by_attribute, strict=True)),
        "worst_group_accuracy": report.worst_group_accuracy,
        "mean_group_accuracy": report.mean_group_accuracy,
        **report.disparities(num_classes=len(names)),
        "accuracy_by_group": {
            f"{name} x {attribute}": report.accuracy_by_group[row][place]
            for row, name in enumerate(names)
            for place, attribute in enumerate(attribute_names)
        },
    }
