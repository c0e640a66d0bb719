"""Score a table of anyone's predictions: recall of each class, and fairness between attribute values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synaug.data.names import cell_text
from synaug.errors import DataError
from synaug.evaluation.fairness import FairnessReport, fairness_report
from synaug.evaluation.longtail import class_recalls


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a CSV file of predictions, every cell as text.

    Raises:
        DataError: the file cannot be read as CSV.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}.") from error


def evaluate_predictions(frame: pd.DataFrame, *, attributes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the scores of predictions as nested dicts of numbers, ready for the terminal and for JSON.

    Args:
        frame: columns ``label`` and ``prediction``, names or numbers, and any attribute columns.
        attributes: the columns between whose values fairness is measured. Rows without a value are left out.

    Returns:
        ``num_images``, ``accuracy``, ``mean_recall``, ``worst_class``, ``per_class`` (of the classes that occur as
        labels) and, where attributes are given, ``fairness`` with one entry an attribute, NaN where undefined.

    Raises:
        DataError: a column is not there, the table is empty, or a label or prediction is missing.
    """
    _check_columns(frame, ["label", "prediction", *attributes])
    names, labels, predictions = _encoded(frame)
    recalls = class_recalls(labels=labels, predictions=predictions, num_classes=len(names))
    per_class = {name: recall for name, recall in zip(names, recalls.tolist(), strict=True) if recall == recall}
    scores: dict[str, Any] = {
        "num_images": len(frame),
        "accuracy": float((labels == predictions).mean()),
        "mean_recall": float(np.mean(list(per_class.values()))),
        "worst_class": min(per_class.values()),
        "per_class": per_class,
    }
    if attributes:
        scores["fairness"] = {
            column: _fairness(frame[column], names, labels=labels, predictions=predictions) for column in attributes
        }
    return scores


def _check_columns(frame: pd.DataFrame, wanted: Sequence[str]) -> None:
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise DataError(
            f"The predictions have no column {', '.join(map(repr, missing))}; "
            f"there are {', '.join(map(repr, frame.columns)) or 'none'}."
        )
    if not len(frame):
        raise DataError("The predictions have no rows, so there is nothing to measure.")
    for column in ("label", "prediction"):
        empty = (frame[column].isna() | (frame[column].astype(str).str.strip() == "")).to_numpy()
        if empty.any():
            raise DataError(f"{empty.sum():,} rows have no {column}; the first is row {int(empty.argmax()) + 1}.")


def _encoded(frame: pd.DataFrame) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the class names that occur, and labels and predictions as positions in them."""
    labels, predictions = _text(frame["label"]), _text(frame["prediction"])
    names = _sorted_names({*labels, *predictions})
    position = {name: number for number, name in enumerate(names)}
    return names, np.array([position[name] for name in labels]), np.array([position[name] for name in predictions])


def _text(column: pd.Series[Any]) -> list[str]:
    """Return the values as text; whole numbers alike whether they were read as 3 or as 3.0."""
    if pd.api.types.is_float_dtype(column) and (column == column.round()).all():
        column = column.astype(np.int64)
    return [cell_text(str(value).strip()) for value in column]


def _sorted_names(names: set[str]) -> list[str]:
    """Return the names in order, numbers by their size."""
    if all(name.isdecimal() for name in names):
        return sorted(names, key=int)
    return sorted(names)


def _fairness(
    column: pd.Series[Any], names: Sequence[str], *, labels: np.ndarray, predictions: np.ndarray
) -> dict[str, Any]:
    known = (column.notna() & (column.astype(str).str.strip() != "")).to_numpy()
    if not known.any():
        raise DataError(f"The column {column.name!r} is empty.")
    values = _text(column[known])
    attribute_names = _sorted_names(set(values))
    report = fairness_report(
        labels=labels[known],
        predictions=predictions[known],
        attributes=np.array([attribute_names.index(value) for value in values]),
        num_classes=len(names),
        num_attributes=len(attribute_names),
    )
    return {"num_images": int(known.sum())} | _named(report, names, attribute_names)


def _named(report: FairnessReport, names: Sequence[str], attribute_names: Sequence[str]) -> dict[str, Any]:
    scores: dict[str, Any] = asdict(report)
    by_attribute, by_group = scores.pop("accuracy_by_attribute"), scores.pop("accuracy_by_group")
    gaps = {name: scores.pop(name) for name in list(scores) if isinstance(scores[name], dict)}
    if len(names) == 2:
        flat = {name: value["positive"] for name, value in gaps.items()}
    else:
        flat = {f"{name}_{over}": value[over] for name, value in gaps.items() for over in ("worst", "mean")}
    return {
        "accuracy": dict(zip(attribute_names, by_attribute, strict=True)),
        **scores,
        **flat,
        "accuracy_by_group": {
            f"{name} x {attribute}": by_group[row][place]
            for row, name in enumerate(names)
            for place, attribute in enumerate(attribute_names)
        },
    }
