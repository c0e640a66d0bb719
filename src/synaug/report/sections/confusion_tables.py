"""Compute the confusion tables of the HTML report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synaug.errors import DataError
from synaug.report.results_table import method_title
from synaug.report.rows import ConfusionTable
from synaug.schemas import Report

MAX_CLASSES_IN_MATRIX = 12


def confusions(report: Report, methods: Sequence[str | None]) -> list[ConfusionTable]:
    """Return the confusion table of each method that has one; a cell is a share of the images of its class.

    Raises:
        DataError: the matrix of a method has another shape than the classes need.
    """
    names = report["data"]["class_names"]
    shown: list[ConfusionTable] = []
    for method in dict.fromkeys(methods):
        found = (report.get("confusions") or {}).get(method) if method else None
        if found is None:
            continue
        matrix = np.asarray(found["matrix"] or np.zeros((len(names), len(names)), int))
        if matrix.shape != (len(names), len(names)):
            raise DataError(
                f"The confusion matrix of {method} has shape {matrix.shape}; expected {(len(names), len(names))}."
            )
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        rows = list(zip(names, shares.tolist(), strict=True)) if found["matrix"] else []
        shown.append({"title": method_title(method), "names": names, "rows": rows, "pairs": found["pairs"]})
    return shown
