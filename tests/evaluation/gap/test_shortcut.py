import math

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from synaug.evaluation.gap.shortcut import normalized_information, shortcut_warnings


def warnings_of(*counts, kind="class"):
    """Counts are (real, synthetic) of each class."""
    cells = np.concatenate([np.full(sum(pair), label) for label, pair in enumerate(counts)])
    synthetic = np.concatenate([np.repeat([False, True], pair) for pair in counts])
    return shortcut_warnings(cells=cells, is_synthetic=synthetic, cell_names=["bag", "coat", "hat"], kind=kind)


def test_a_warning_names_a_class_that_is_mostly_synthetic_beside_one_that_is_not():
    said = warnings_of((500, 0), (10, 490), (250, 250))
    assert len(said) == 1
    assert "0 % of bag but 98 % of coat is synthetic" in said[0]


def test_an_even_share_is_not_a_shortcut():
    assert warnings_of((100, 50), (200, 100), (20, 10)) == []


def test_a_class_without_real_images_is_named():
    assert "There is no real image of coat." in warnings_of((500, 0), (0, 500), (9, 9))


def test_groups_are_named_groups():
    assert "with the group" in warnings_of((500, 0), (10, 490), (5, 5), kind="group")[0]


def test_without_synthetic_images_there_is_no_warning():
    assert warnings_of((500, 0), (10, 0), (3, 0)) == []


def test_a_class_without_any_image_is_ignored():
    assert warnings_of((5, 5), (0, 0), (5, 5)) == []


def test_information_agrees_with_scikit_learn():
    counts = np.array([[30, 2], [5, 20], [9, 9]])
    rows = np.repeat([0, 0, 1, 1, 2, 2], counts.ravel())
    columns = np.repeat([0, 1, 0, 1, 0, 1], counts.ravel())
    shares = counts.sum(axis=0) / counts.sum()
    expected = mutual_info_score(rows, columns) / -(shares * np.log(shares)).sum()
    assert normalized_information(counts) == pytest.approx(expected)


def test_information_about_a_constant_is_undefined():
    assert math.isnan(normalized_information(np.array([[3, 0], [4, 0]])))
