"""Detect the shortcut of balanced sets: "is synthetic" may reveal the class or group to a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def shortcut_warnings(
    *, cells: np.ndarray, is_synthetic: np.ndarray, cell_names: Sequence[str], kind: str = "class"
) -> list[str]:
    """Return warnings if "is synthetic" reveals the class (or group), so that a model may learn that instead.

    Qraitem et al. 2024, "From Fake to Real".

    Args:
        cells: class or group of each training image, shape ``(N,)``.
        is_synthetic: shape ``(N,)``.
        cell_names: one name per class or group.
        kind: noun for a cell.
    """
    counts = np.zeros((len(cell_names), 2), np.int64)
    np.add.at(counts, (cells, is_synthetic.astype(np.int64)), 1)
    there = counts.sum(axis=1) > 0
    if counts.sum(axis=0).min() == 0:
        return []
    shares = counts[there, 1] / counts[there].sum(axis=1)
    names = [name for name, found in zip(cell_names, there, strict=True) if found]
    said = []
    information = normalized_information(counts)
    low, high = int(shares.argmin()), int(shares.argmax())
    if shares[high] - shares[low] > 0.5:
        said.append(
            f"Being synthetic is correlated with the {kind}: {100 * shares[low]:.0f} % of {names[low]} but "
            f"{100 * shares[high]:.0f} % of {names[high]} is synthetic (normalized mutual information "
            f"{information:.2f}). Mix real and synthetic images, and compare a last layer retrained on real ones only."
        )
    only = [name for name, share in zip(names, shares, strict=True) if share == 1]
    if only:
        said.append(f"There is no real image of {', '.join(only[:5])}{' and others' if len(only) > 5 else ''}.")
    return said


def normalized_information(counts: np.ndarray) -> float:
    """Return the mutual information of a table's rows and columns over the entropy of its columns, 0 to 1.

    >>> normalized_information(np.array([[5, 0], [0, 5]])), normalized_information(np.array([[2, 4], [1, 2]]))
    (1.0, 0.0)
    """
    joint = counts / counts.sum()
    rows, columns = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    entropy = -float(sum(p * math.log(p) for p in columns.ravel() if p > 0))
    if entropy == 0:
        return math.nan
    some = joint > 0
    information = float((joint[some] * np.log(joint[some] / (rows @ columns)[some])).sum())
    return min(max(information / entropy, 0.0), 1.0)
