"""Turn how many images each cell has into how many it shall have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synaug.errors import unknown

Target = Callable[[np.ndarray, float], np.ndarray]


def uniform(counts: np.ndarray, _value: float = 1.0) -> np.ndarray:
    """Every cell gets as many images as the largest one has."""
    return np.full(len(counts), counts.max(initial=0))


def number(counts: np.ndarray, value: float) -> np.ndarray:
    """Every cell gets ``value`` images."""
    return np.full(len(counts), int(value))


def share(counts: np.ndarray, value: float) -> np.ndarray:
    """Every cell gets at least this share of what the largest one has, rounded."""
    return np.full(len(counts), round(counts.max(initial=0) * value))


TARGETS: dict[str, Target] = {"uniform": uniform, "number": number, "share": share}


def target_counts(counts: np.ndarray, target: float | str) -> np.ndarray:
    """Return how many images each cell shall have; never fewer than it has.

    Args:
        counts: images there are, shape ``(K,)``.
        target: ``"uniform"``, a whole number of images, or a share of the largest cell below 1; see ``config``.

    >>> target_counts(np.array([8, 3]), "uniform").tolist(), target_counts(np.array([8, 3]), 0.5).tolist()
    ([8, 8], [8, 4])
    """
    if isinstance(target, str):
        return TARGETS[target](counts, 1.0)
    return np.maximum(counts, TARGETS["number" if target >= 1 else "share"](counts, target))


def named_targets(counts: np.ndarray, wanted: dict[str, int], names: list[str]) -> np.ndarray:
    """Return the counts, raised to the number wanted where a cell is named.

    Raises:
        OptionError: a name is none of ``names``.
    """
    targets = counts.copy()
    for name, number in wanted.items():
        if name not in names:
            raise unknown("class in target", name, names)
        targets[names.index(name)] = max(number, counts[names.index(name)])
    return targets
