import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from synaug.errors import DataError
from synaug.evaluation.longtail import class_recalls, longtail_report


def test_a_report_that_can_be_counted_by_hand():
    report = longtail_report(
        labels=np.array([0, 0, 1, 1, 2, 2]),
        predictions=np.array([0, 0, 1, 0, 2, 0]),
        num_classes=3,
        class_counts=np.array([101, 50, 19]),
    )
    assert (report.many, report.medium, report.few) == (1.0, 0.5, 0.5)
    assert report.accuracy == report.mean_recall == 4 / 6
    assert (report.worst_class, report.worst_class_label) == (0.5, 1)
    assert report.per_class == (1.0, 0.5, 0.5)


def test_a_class_without_test_images_is_undefined_and_hides_the_worst():
    report = longtail_report(
        labels=np.array([0, 0]), predictions=np.array([0, 1]), num_classes=2, class_counts=np.array([500, 5])
    )
    assert math.isnan(report.per_class[1])
    assert math.isnan(report.few)
    assert math.isnan(report.worst_class)
    assert report.worst_class_label is None
    assert (report.many, report.mean_recall) == (0.5, 0.5)


def test_no_test_images_at_all_is_undefined_everywhere():
    none = np.array([], np.int64)
    report = longtail_report(labels=none, predictions=none, num_classes=2, class_counts=np.array([500, 5]))
    assert all(map(math.isnan, (report.accuracy, report.mean_recall, report.many, report.worst_class)))


def test_accuracy_weighs_images_and_mean_recall_weighs_classes():
    report = longtail_report(
        labels=np.array([0, 0, 0, 1]), predictions=np.zeros(4, int), num_classes=2, class_counts=np.array([9, 9])
    )
    assert (report.accuracy, report.mean_recall) == (0.75, 0.5)


def test_counts_of_other_classes_are_refused():
    with pytest.raises(DataError, match=r"class_counts.*\(3,\);.*2"):
        longtail_report(labels=np.array([0]), predictions=np.array([0]), num_classes=2, class_counts=np.ones(3, int))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_recalls_agree_with_scikit_learn(pairs):
    pairs = [*pairs, *((c, 0) for c in range(4))]
    labels, predictions = np.array(pairs).T
    recalls = class_recalls(labels=labels, predictions=predictions, num_classes=4)
    assert recalls.mean() == pytest.approx(balanced_accuracy_score(labels, predictions))
