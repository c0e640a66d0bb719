"""Weight real images so that a judge of classes learns nothing from an attribute that goes along with the class."""

from __future__ import annotations

import numpy as np

_FULL_WEIGHT = 4  # images; a smaller cell weighs less, so that one odd image cannot stand for a whole group


def cell_weights(labels: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return a weight per image with mean 1: equal sums per class, and within a class equal sums per cell.

    If 95 % of the dresses are on land and 95 % of the coats on water, a classifier with equal sums per class alone
    takes the background for the class, and finds that dresses on water look like coats. These are exactly the images
    that are generated to fill such a set (Sagawa et al. 2020 describe the shortcut, and weights against it).

    Args:
        labels: class per image, shape ``(N,)``.
        cells: class and attribute per image as one number, shape ``(N,)``; a cell belongs to one class.

    >>> cell_weights(np.array([0] * 8 + [1] * 8), np.array([0] * 8 + [2] * 4 + [3] * 4)).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    >>> cell_weights(np.array([0] * 16), np.array([0] * 12 + [1] * 4)).round(2).tolist()[11:13]
    [0.67, 2.0]
    """
    _, cell_of, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    _, class_of = np.unique(labels, return_inverse=True)
    weights = (np.minimum(sizes, _FULL_WEIGHT) / sizes)[cell_of]
    sums = np.bincount(class_of, weights)
    return np.asarray(weights / sums[class_of] * len(labels) / len(sums))
