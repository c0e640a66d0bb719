import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.errors import DataError, OptionError
from synaug.evaluation.calibration import expected_calibration_error

SURE = np.array([[0.9, 0.1]] * 10)


def test_ninety_percent_sure_and_right_nine_times_in_ten_is_calibrated():
    labels = np.array([0] * 9 + [1])
    assert expected_calibration_error(labels=labels, probabilities=SURE) == pytest.approx(0)


def test_ninety_percent_sure_and_right_half_the_time_is_off_by_forty():
    labels = np.array([0] * 5 + [1] * 5)
    assert expected_calibration_error(labels=labels, probabilities=SURE) == pytest.approx(0.4)


def test_two_bins_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.6, 0.4]])
    labels = np.array([0, 1, 0, 0])
    # Bin of 0.95: right 1 of 2, gap 0.45; bin of 0.6: right 2 of 2, gap 0.4; each has half of the images.
    assert expected_calibration_error(labels=labels, probabilities=probabilities, num_bins=10) == pytest.approx(0.425)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_with_one_bin_it_is_the_gap_of_the_means(pairs):
    first = np.array([share for share, _ in pairs])
    labels = np.array([label for _, label in pairs])
    probabilities = np.stack([first, 1 - first], axis=1)
    right = (probabilities.argmax(axis=1) == labels).mean()
    found = expected_calibration_error(labels=labels, probabilities=probabilities, num_bins=1)
    assert found == pytest.approx(abs(right - probabilities.max(axis=1).mean()), abs=1e-9)


def test_without_images_it_is_undefined():
    assert math.isnan(expected_calibration_error(labels=np.array([], int), probabilities=np.zeros((0, 3))))


def test_logits_are_refused():
    with pytest.raises(DataError, match="apply softmax"):
        expected_calibration_error(labels=np.array([0]), probabilities=np.array([[3.0, -1.0]]))


def test_another_number_of_rows_is_refused():
    with pytest.raises(DataError, match=r"probabilities.*\(10, 2\);.*\(1, C\)"):
        expected_calibration_error(labels=np.array([0]), probabilities=SURE)


def test_no_bins_are_refused():
    with pytest.raises(OptionError, match=r"num_bins.*1,.*0"):
        expected_calibration_error(labels=np.array([0]), probabilities=SURE, num_bins=0)
