"""Measure calibration: whether predictions with 80 % confidence are right 80 times in 100."""

from __future__ import annotations

import numpy as np

from synaug.errors import DataError, OptionError
from synaug.evaluation.validation import check_positions


def expected_calibration_error(*, labels: np.ndarray, probabilities: np.ndarray, num_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins of confidence, weighted by images.

    Guo et al. 2017, equation 3. NaN without images.

    Args:
        labels: true classes, shape ``(N,)``.
        probabilities: shape ``(N, C)``, rows that sum to 1.
        num_bins: bins of equal width over (0, 1].

    Raises:
        OptionError: fewer than one bin.
        DataError: shapes differ, a label is out of range, or a row is not a distribution.
    """
    if num_bins < 1:
        raise OptionError(f"num_bins must be at least 1, got {num_bins}.")
    if probabilities.ndim != 2 or len(probabilities) != len(labels):
        raise DataError(f"probabilities has shape {probabilities.shape}; expected ({len(labels)}, C).")
    check_positions("label", labels, probabilities.shape[1])
    if not len(labels):
        return float("nan")
    if (probabilities < 0).any() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise DataError("probabilities must be 0 or more and sum to 1 in each row; apply softmax to logits first.")
    confidences = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidences * num_bins).astype(int) - 1, 0, num_bins - 1)
    gaps = np.bincount(bins, weights=right - confidences, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(labels))
