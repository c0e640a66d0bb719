"""The mean over classes or groups of a per-image value, with equal weight per group, and its standard error."""

from __future__ import annotations

import numpy as np

ENOUGH = 10  # images from which a group's own variance is trusted


def group_mean(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the mean of the group means; NaN if there are no images.

    >>> group_mean(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 0, 1]))
    0.3333333333333333
    """
    means = [values[groups == group].mean() for group in np.unique(groups)]
    return float(np.mean(means)) if means else float("nan")


def group_mean_error(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the standard error of ``group_mean``; NaN if no group has two images.

    The images of a group are treated as one random sample. A few images often agree by chance, which would make the
    error 0, so groups of fewer than ``ENOUGH`` images use at least the variance pooled over all groups.

    >>> group_mean_error(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 1]))
    0.3535533905932738
    """
    parts = [values[groups == group] for group in np.unique(groups)]
    freedom = sum(len(part) - 1 for part in parts)
    if freedom < 1:
        return float("nan")
    pooled = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / freedom
    variances = [
        max(float(part.var(ddof=1)) if len(part) > 1 else 0.0, pooled if len(part) < ENOUGH else 0.0) / len(part)
        for part in parts
    ]
    return float(np.sqrt(sum(variances))) / len(parts)
