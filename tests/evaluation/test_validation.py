import numpy as np
import pytest

from synaug.errors import DataError, OptionError
from synaug.evaluation.validation import check_attributes, check_predictions

TWO = np.array([0, 1])


def test_a_prediction_outside_the_classes_is_named():
    with pytest.raises(DataError, match=r"prediction.*2;.*0.*1"):
        check_predictions(labels=TWO, predictions=np.array([0, 2]), num_classes=2)


def test_a_negative_label_is_named():
    with pytest.raises(DataError, match=r"label.*-1;.*0.*1"):
        check_predictions(labels=np.array([-1, 0]), predictions=TWO, num_classes=2)


def test_unequal_lengths_are_named():
    with pytest.raises(DataError, match="There are 2 labels but 1 predictions"):
        check_predictions(labels=TWO, predictions=np.array([0]), num_classes=2)


def test_scores_in_place_of_predictions_are_refused():
    with pytest.raises(DataError, match=r"The predictions are float64 of shape \(2,\)"):
        check_predictions(labels=TWO, predictions=np.array([0.2, 0.8]), num_classes=2)


def test_no_classes_is_an_option_error():
    with pytest.raises(OptionError, match=r"num_classes.*1.*,.*0"):
        check_predictions(labels=TWO, predictions=TWO, num_classes=0)


def test_an_unknown_attribute_is_refused_with_a_way_out():
    with pytest.raises(DataError, match=r"An? attribute is -1.*Leave out the images"):
        check_attributes(labels=TWO, attributes=np.array([-1, 0]), num_attributes=2)


def test_attributes_of_another_length_are_refused():
    with pytest.raises(DataError, match="There are 2 labels but 3 attributes"):
        check_attributes(labels=TWO, attributes=np.array([0, 1, 0]), num_attributes=2)


def test_no_attributes_is_an_option_error():
    with pytest.raises(OptionError, match=r"num_attributes.*1.*,.*0"):
        check_attributes(labels=TWO, attributes=TWO, num_attributes=0)
