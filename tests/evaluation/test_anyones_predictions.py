"""Test that the metrics accept predictions as lists, series, tensors and arrays, with equal results."""

import numpy as np
import pandas as pd
import pytest
import torch

import synaug
from synaug.errors import DataError

LABELS, PREDICTIONS, ATTRIBUTES = [0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 0, 1]
KINDS = [list, np.array, pd.Series, torch.tensor]


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_tail_report_of_any_kind(kind):
    report = synaug.longtail_report(
        labels=kind(LABELS), predictions=kind(PREDICTIONS), num_classes=2, class_counts=kind([200, 10])
    )
    assert (report.accuracy, report.many, report.few) == (0.75, 0.5, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_fairness_and_spurious_reports_of_any_kind(kind):
    arrays = {
        "labels": kind(LABELS), "predictions": kind(PREDICTIONS), "attributes": kind(ATTRIBUTES),
        "num_classes": 2, "num_attributes": 2,
    }  # fmt: skip
    assert synaug.fairness_report(**arrays).demographic_parity_difference.positive == 0.5
    report = synaug.spurious_report(**arrays, train_group_counts=kind([95, 5, 5, 95]))
    assert report.by_group == (1.0, 0.0, 1.0, 1.0)
    assert report.train_weighted_accuracy == 0.975


def test_names_go_into_a_frame():
    with pytest.raises(DataError, match=r"labels.*'cat';.*0"):
        synaug.longtail_report(labels=["cat"], predictions=["cat"], num_classes=1, class_counts=[3])
    frame = pd.DataFrame({"label": ["cat", "dog"], "prediction": ["cat", "cat"]})
    assert synaug.evaluate_predictions(frame)["per_class"] == {"cat": 1.0, "dog": 0.0}
