"""Score a table of anyone's predictions: recall per class, and fairness between attribute values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from synaug.data.formats.tables import named_column, read_table
from synaug.data.labels import (
    JOINT,
    SensitiveColumn,
    cell_text,
    check_plausible,
    flat_labels,
    label_texts,
    matched_predictions,
    sorted_names,
)
from synaug.data.labels.sensitive_columns import sensitive_columns
from synaug.errors import DataError, OptionError
from synaug.evaluation.fairness import FairnessReport, fairness_report
from synaug.evaluation.intervals import (
    Share,
    intervals_of,
    mean_interval,
    named_intervals,
    resamples,
    shares_of,
    wilson_interval,
    worst_interval,
)
from synaug.evaluation.longtail import class_recalls
from synaug.evaluation.scores import MIN_CELL, RESAMPLES, group_intervals

# the usual names of their columns, most specific first
LABELS = ("label", "y_true", "true_label", "true", "ground_truth", "target", "actual")
PREDICTIONS = ("prediction", "y_pred", "predicted_label", "predicted", "pred_label", "pred")


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
    min_cell: int = MIN_CELL,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scores of predictions as nested dicts of numbers, ready for the terminal and for JSON.

    Args:
        table: a frame, or a dict of columns: labels and predictions, names or numbers, and any attributes.
        attributes: the columns between whose values fairness is measured. ``"sex,age"`` stands for each of both and
            for their intersection. Rows without a value are left out; columns of many numbers become ranges.
        label: the column of true classes; default: the first of ``LABELS``, such as ``label`` or ``true``.
        prediction: the column of predicted classes; default: the first of ``PREDICTIONS``, such as ``pred``.
        min_cell: images that a rate needs to count in differences and ratios between attribute values; smaller groups
            are only shown. If no group is large enough, all count, and a note is added.
        seed: random seed of the intervals.

    Returns:
        ``num_images``, ``accuracy``, ``mean_recall``, ``worst_class``, ``per_class`` (of the classes that occur as
        labels) and, if attributes are given, ``fairness`` with one entry per attribute, NaN if undefined. Its worst
        and mean are over the groups with images; ``num_unmeasured_groups`` have none, ``num_small_groups`` have
        fewer than ``min_cell``.
        ``intervals``, here and in each such entry, has the ends of the 95 % interval of each number, by the same names:
        Wilson's for shares and their averages, the bootstrap's for gaps between attribute values.

    Raises:
        DataError: a column is missing, the table is empty, or a label or prediction is missing.
    """
    if isinstance(min_cell, bool) or not isinstance(min_cell, Integral) or min_cell < 1:
        raise OptionError(f"min_cell must be a whole number of at least 1, got {min_cell!r}.")
    frame = _as_frame(table)
    label = _column(frame, label, LABELS, "label")
    prediction = _column(frame, prediction, PREDICTIONS, "prediction")
    if not isinstance(attributes, str | Iterable) or getattr(attributes, "ndim", 1) == 0:
        raise OptionError(f"attributes must be a list of columns, got {attributes!r:.80}.")
    for name in (asked := [attributes] if isinstance(attributes, str) else [str(name) for name in attributes]):
        for part in [name] if name in frame.columns else name.split(JOINT):
            _column(frame, part.strip(), (), "attribute")
    (names, labels, predictions), notes = _encoded(_full(frame[label]), _full(frame[prediction]))

    scores: dict[str, Any] = {"num_images": len(frame), "notes": notes}
    scores |= _overall(names, labels=labels, predictions=predictions)
    if asked:
        scores["fairness"] = {
            name: _fairness(column, names, labels=labels, predictions=predictions, min_cell=int(min_cell), seed=seed)
            for name, column in sensitive_columns(frame, asked).items()
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
    """Return a frame whose column names are strings."""
    if isinstance(table, pd.DataFrame):
        frame = table.set_axis([str(name) for name in table.columns], axis=1)
        twice = frame.columns[frame.columns.duplicated()]
        if len(twice):
            raise DataError(f"The table of predictions has two columns {twice[0]!r}. Rename or remove one of them.")
        return frame
    if not isinstance(table, Mapping):
        raise DataError(f"The predictions are {type(table).__name__}; give a data frame or a dict of columns.")
    columns = {str(name): flat_labels(values, where=f"The column {name!r}") for name, values in table.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name!r} {length:,}" for name, length in lengths.items())
        raise DataError(f"The columns of the predictions differ in length: {said}.")
    return pd.DataFrame(columns)


def _column(frame: pd.DataFrame, asked: object, usual: Sequence[str], kind: str) -> str:
    wanted = None if asked is None else str(asked)  # columns may be numbered
    return named_column(wanted, usual, list(frame.columns), kind, "The table of predictions")


def _full(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the column if every row has a value."""
    if not len(column):
        raise DataError("The predictions have no rows, so there is nothing to evaluate.")
    empty = (column.isna() | (column.astype(str).str.strip() == "")).to_numpy()
    if empty.any():
        raise DataError(f"{empty.sum():,} rows have no {column.name}; the first is row {int(empty.argmax()) + 1}.")
    return column


def _encoded(
    label: pd.Series[Any], prediction: pd.Series[Any]
) -> tuple[tuple[list[str], np.ndarray, np.ndarray], list[str]]:
    """Return the class names that occur, labels and predictions as positions in them, and notes."""
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
    column: SensitiveColumn,
    names: Sequence[str],
    *,
    labels: np.ndarray,
    predictions: np.ndarray,
    min_cell: int,
    seed: int,
) -> dict[str, Any]:
    known, attribute_names, notes = column.positions >= 0, column.names, list(column.notes)
    labels, predictions, attributes = labels[known], predictions[known], column.positions[known]
    strata = labels * len(attribute_names) + attributes
    sizes = np.bincount(strata, minlength=len(names) * len(attribute_names))
    if sizes.max() < min_cell:
        notes.append(f"No group has {min_cell} images, so differences are between groups of fewer and can be chance.")
        min_cell = 1

    def report_of(rows: np.ndarray) -> FairnessReport:
        return fairness_report(
            labels=labels[rows],
            predictions=predictions[rows],
            attributes=attributes[rows],
            num_classes=len(names),
            num_attributes=len(attribute_names),
            min_cell=min_cell,
        )

    def measured(rows: np.ndarray) -> dict[str, Any]:
        return _named(report_of(rows), names, attribute_names)

    whole = report_of(np.arange(len(labels)))
    missing, small = whole.num_unmeasured_groups, whole.num_small_groups
    if missing:
        notes.append(f"Groups without images: {missing} of {sizes.size}. Worst and mean are of the others.")
    if small:
        notes.append(
            f"Groups with fewer than {min_cell} images: {small} of {sizes.size}. They are shown, but do not count in "
            "differences and ratios."
        )
    counts = dict(zip(attribute_names, np.bincount(attributes, minlength=len(attribute_names)).tolist(), strict=True))
    found = _named(whole, names, attribute_names)
    intervals = intervals_of([measured(rows) for rows in resamples(strata, RESAMPLES, seed=seed)])
    right = labels == predictions
    cells = shares_of(strata, right, len(names) * len(attribute_names))
    intervals |= group_intervals(cells, weights=[share.total for share in cells])
    intervals["accuracy"] = named_intervals(shares_of(attributes, right, len(attribute_names)), attribute_names)
    intervals["accuracy_by_group"] = named_intervals(cells, list(found["accuracy_by_group"]))
    intervals = {name: ends for name, ends in intervals.items() if name in found}
    facts = {
        "num_images": len(labels),
        "num_images_by_value": counts,
        "num_without_value": int((~known).sum()),
        "num_unmeasured_groups": missing,
        "num_small_groups": small,
        "min_cell": min_cell,
        "notes": notes,
    }
    return facts | found | {"intervals": intervals}


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
