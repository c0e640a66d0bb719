"""Measure on features how far apart real and synthetic images are, and whether the difference is a shortcut.

Features are rows of one array from any source (a classifier's last layer, CLIP, pixels).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np

from synaug.errors import DataError, OptionError
from synaug.evaluation.gap.precision_recall import Manifold, diversity, manifold
from synaug.evaluation.validation import check_positions
from synaug.runtime import threads_for
from synaug.schemas import Gap as GapSection
from synaug.schemas import GapOfImages

_Pair = tuple[np.ndarray, np.ndarray]
"""Features of real and of synthetic images."""

MIN_PER_SIDE = 4
MIN_FOR_KID = 50  # images per side; with fewer, KID's own noise exceeds most differences


@dataclass(frozen=True)
class Kid:
    """Kernel inception distance (Bińkowski et al. 2018) over blocks: mean and standard deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Gap:
    """The distance between synthetic and real images; NaN if there are too few of either.

    ``probe_accuracy`` is that of a real-vs-synthetic classifier, balanced and cross-validated: 0.5 means
    indistinguishable, 1 always distinguishable. KID is measured on normalized features, so it can be compared between
    networks, and needs ``MIN_FOR_KID`` images per side. Diversity is the mean distance of two images.
    """

    num_real: int
    num_synthetic: int
    probe_accuracy: float
    kid: Kid
    manifold: Manifold
    real_diversity: float
    synthetic_diversity: float


@dataclass(frozen=True)
class GapReport:
    """The gap over all images, with equally many per class on each side, and within each class."""

    overall: Gap
    per_class: tuple[Gap, ...]


def gap_report(
    *,
    real: np.ndarray,
    synthetic: np.ndarray,
    real_labels: np.ndarray,
    synthetic_labels: np.ndarray,
    class_names: Sequence[str],
    real_cells: np.ndarray | None = None,
    synthetic_cells: np.ndarray | None = None,
    num_neighbors: int = 5,
    seed: int = 0,
) -> GapReport:
    """Measure the gap over all images and within each class.

    For the overall gap, each class has equally many real and synthetic images; otherwise the different class
    frequencies of a balanced set, whose rare classes are mostly synthetic, would count as a gap. With cells, each cell
    has equally many, within classes, too: synthetic images fill the rare groups, and a coat on land differs from coats
    on water however good it is. Cells without images on one side are left out.

    Args:
        real: features of real images, shape ``(N, D)``.
        synthetic: features of synthetic images, shape ``(M, D)``.
        real_labels: shape ``(N,)``.
        synthetic_labels: shape ``(M,)``.
        class_names: one name per class.
        real_cells: class and attribute of each real image as one number, shape ``(N,)``; default: classes alone count.
        synthetic_cells: the same of synthetic images, shape ``(M,)``.
        num_neighbors: k of precision, recall, density and coverage.
        seed: random seed of folds, blocks and the selected images of a class.

    Raises:
        DataError: shapes differ, a label is out of range, or a feature is not finite.
        OptionError: ``num_neighbors`` is below 1.
    """
    _check(real, synthetic, num_neighbors)
    for features, labels in ((real, real_labels), (synthetic, synthetic_labels)):
        check_positions("label", labels, len(class_names))
        if len(labels) != len(features):
            raise DataError(f"There are {len(features)} features but {len(labels)} labels.")
    sides = [(real[real_labels == label], synthetic[synthetic_labels == label]) for label in range(len(class_names))]
    rng = np.random.default_rng(seed)
    if real_cells is None or synthetic_cells is None:
        alike = [_alike(*both, rng) for both in sides]
    else:
        cells = [np.unique(real_cells[real_labels == label]) for label in range(len(class_names))]
        alike = sides = [
            _concatenated(
                [
                    (real[:0], synthetic[:0]),  # a class may have no real image
                    *(_alike(real[real_cells == cell], synthetic[synthetic_cells == cell], rng) for cell in of_class),
                ]
            )
            for of_class in cells
        ]
    overall = _concatenated(alike)
    return GapReport(
        overall=gap(real=overall[0], synthetic=overall[1], num_neighbors=num_neighbors, seed=seed),
        per_class=tuple(gap(real=r, synthetic=s, num_neighbors=num_neighbors, seed=seed) for r, s in sides),
    )


def _alike(real: np.ndarray, synthetic: np.ndarray, rng: np.random.Generator) -> _Pair:
    """Return equally many rows of both, drawn at random."""
    number = min(len(real), len(synthetic))
    return rng.permutation(real)[:number], rng.permutation(synthetic)[:number]


def _concatenated(pairs: Sequence[_Pair]) -> _Pair:
    return np.concatenate([real for real, _ in pairs]), np.concatenate([synthetic for _, synthetic in pairs])


def gap_section(report: GapReport, class_names: Sequence[str]) -> GapSection:
    """Return the report as the ``gap`` of ``report.json``: overall and by class name."""
    sections = [cast("GapOfImages", asdict(found)) for found in (report.overall, *report.per_class)]
    return {"overall": sections[0], "per_class": dict(zip(class_names, sections[1:], strict=True))}


def gap(*, real: np.ndarray, synthetic: np.ndarray, num_neighbors: int = 5, seed: int = 0) -> Gap:
    """Measure the gap between two sets of features, shapes ``(N, D)`` and ``(M, D)``."""
    _check(real, synthetic, num_neighbors)
    return Gap(
        num_real=len(real),
        num_synthetic=len(synthetic),
        probe_accuracy=probe_accuracy(real=real, synthetic=synthetic, seed=seed),
        kid=_normalized_kid(real, synthetic, seed),
        manifold=manifold(real=real, synthetic=synthetic, num_neighbors=num_neighbors),
        real_diversity=diversity(real),
        synthetic_diversity=diversity(synthetic),
    )


def _normalized_kid(real: np.ndarray, synthetic: np.ndarray, seed: int) -> Kid:
    if min(len(real), len(synthetic)) < MIN_FOR_KID:
        return Kid(math.nan, math.nan)
    return kernel_distance(real=normalized(real), synthetic=normalized(synthetic), seed=seed)


def normalized(features: np.ndarray) -> np.ndarray:
    """Return the features scaled to length ``sqrt(D)`` per image, shape ``(N, D)``; zeros stay zero.

    The kernel of KID then lies between 0 and 8 for any network.

    >>> normalized(np.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [[0.849, 1.131], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1) * math.sqrt(features.shape[1])


def probe_accuracy(*, real: np.ndarray, synthetic: np.ndarray, num_folds: int = 5, seed: int = 0) -> float:
    """Return the balanced accuracy of a linear real-vs-synthetic classifier on folds that it was not fitted on.

    The larger side is subsampled to the size of the smaller, so 0.5 is chance. NaN with fewer than ``MIN_PER_SIDE``
    images per side.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    size = min(len(real), len(synthetic))
    if size < MIN_PER_SIDE:
        return math.nan
    rng = np.random.default_rng(seed)
    sides = [side[rng.permutation(len(side))[:size]] for side in (real, synthetic)]
    folds = StratifiedKFold(min(num_folds, size), shuffle=True, random_state=seed)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    with threads_for(sides[0].size), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = cross_val_score(probe, np.concatenate(sides), np.repeat([0, 1], size), cv=folds)
    return float(scores.mean())


def kernel_distance(
    *, real: np.ndarray, synthetic: np.ndarray, block_size: int = 500, num_blocks: int = 20, seed: int = 0
) -> Kid:
    """Return the unbiased squared MMD with the kernel ``(x.y / D + 1) ** 3``, mean and deviation over blocks.

    Equal distributions have mean 0, so small negative values are correct. Blocks are no larger than the smaller side.
    If both sides fit into one block, there is only that block, and no deviation.
    """
    size = min(len(real), len(synthetic), block_size)
    if size < MIN_PER_SIDE:
        return Kid(math.nan, math.nan)
    if max(len(real), len(synthetic)) <= block_size:
        return Kid(squared_mmd(real, synthetic), math.nan)
    rng = np.random.default_rng(seed)
    values = [
        squared_mmd(*(side[rng.choice(len(side), size, replace=False)] for side in (real, synthetic)))
        for _ in range(num_blocks)
    ]
    return Kid(float(np.mean(values)), float(np.std(values, ddof=1)))


def squared_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """Return the unbiased squared maximum mean discrepancy with the polynomial kernel of KID.

    Gretton et al. 2012, equation 3.

    >>> x = np.array([[0.0], [1.0]])
    >>> squared_mmd(x, x)  # 1 + 1 - 2 * (1 + 1 + 1 + 8) / 4
    -3.5
    """

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    first, second = first.astype(np.float64), second.astype(np.float64)
    return within(first) + within(second) - 2 * float(kernel(first, second).mean())


def _check(real: np.ndarray, synthetic: np.ndarray, num_neighbors: int) -> None:
    if num_neighbors < 1:
        raise OptionError(f"num_neighbors must be at least 1, got {num_neighbors}.")
    if real.ndim != 2 or synthetic.ndim != 2 or real.shape[1] != synthetic.shape[1]:
        raise DataError(f"Features have shapes {real.shape} and {synthetic.shape}; expected (N, D) and (M, D).")
    if not (np.isfinite(real).all() and np.isfinite(synthetic).all()):
        raise DataError("Features must be finite numbers; leave out the images whose features are not.")
