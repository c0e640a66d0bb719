"""Turn the number of images each cell has into the number it should have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synaug.config import AUTO, NONE
from synaug.errors import unknown

ROUNDS = (0.25, 0.5, 1.0)  # shares of the missing images to generate, by round of target auto

Target = Callable[[np.ndarray, float], np.ndarray]


def uniform(counts: np.ndarray, _value: float = 1.0) -> np.ndarray:
    """Give every cell as many images as the largest cell has."""
    return np.full(len(counts), counts.max(initial=0))


def none(counts: np.ndarray, _value: float = 1.0) -> np.ndarray:
    """Leave every cell as it is."""
    return counts.copy()


def number(counts: np.ndarray, value: float) -> np.ndarray:
    """Give every cell ``value`` images."""
    return np.full(len(counts), int(value))


def share(counts: np.ndarray, value: float) -> np.ndarray:
    """Give every cell at least this share of the largest cell's number, rounded."""
    return np.full(len(counts), round(counts.max(initial=0) * value))


TARGETS: dict[str, Target] = {"uniform": uniform, AUTO: uniform, NONE: none, "number": number, "share": share}


def target_counts(counts: np.ndarray, target: float | str) -> np.ndarray:
    """Return the number of images each cell should have, never fewer than it has.

    Args:
        counts: existing images, shape ``(K,)``.
        target: ``"uniform"``, ``"none"``, a whole number of images, or a share of the largest cell below 1; see
            ``config``.

    >>> target_counts(np.array([8, 3]), "uniform").tolist(), target_counts(np.array([8, 3]), 0.5).tolist()
    ([8, 8], [8, 4])
    """
    if isinstance(target, str):
        return TARGETS[target](counts, 1.0)
    return np.maximum(counts, TARGETS["number" if target >= 1 else "share"](counts, target))


def named_targets(counts: np.ndarray, wanted: dict[str, int], names: list[str]) -> np.ndarray:
    """Return the counts, raised to the wanted number for each named cell.

    Raises:
        OptionError: a name is not in ``names``.
    """
    targets = counts.copy()
    for name, number in wanted.items():
        if name not in names:
            raise unknown("class in target", name, names)
        targets[names.index(name)] = max(number, counts[names.index(name)])
    return targets
