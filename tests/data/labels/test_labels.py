"""Test labels: equal values are one class in any notation, and impossible classes are rejected."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synaug.data.labels.label_checks import check_plausible, matched_predictions
from synaug.data.labels.labels import flat_labels, label_texts
from synaug.errors import DataError

ONE_TWO = {
    "list": [1, 2, 2],
    "column": np.array([[1], [2], [2]]),
    "nested lists": [[1], [2], [2]],
    "tuples": [(1,), (2,), (2,)],
    "floats": [1.0, 2.0, 2.0],
    "texts": ["1", "2", "2"],
    "texts of floats": ["1.0", "2.0", "2"],
    "texts with exponents": ["1e+00", "2.0e+00", "2"],
    "blanks": [" 1", "2 ", "\t2"],
    "numpy scalars": [np.int8(1), np.float32(2), np.uint64(2)],
    "bytes": [b"1", b"2", b"2"],
    "mixed": [1, "2", 2.0],
    "tensor": torch.tensor([[1.0], [2.0], [2.0]], requires_grad=True),
    "list of tensors": [torch.tensor(1), torch.tensor([2]), torch.tensor(2.0)],
    "series": pd.Series([1, 2, 2], index=[5, 6, 7]),
    "series of lists": pd.Series([[1], [2], [2]]),
    "nullable": pd.Series([1, 2, 2], dtype="Int64"),
    "categorical": pd.Categorical([1, 2, 2]),
    "frame": pd.DataFrame({"y": [1, 2, 2]}),
    "one-hot with a column for 0": np.eye(3)[[1, 2, 2]],
    "one-hot lists": [[0, 1, 0], [0, 0, 1], [0, 0, 1]],
    "one-hot truth values": np.eye(3, dtype=bool)[[1, 2, 2]],
}


@pytest.mark.parametrize("kind", ONE_TWO)
def test_the_same_labels_in_any_form_are_the_same_texts(kind):
    assert label_texts(ONE_TWO[kind], where="y").tolist() == ["1", "2", "2"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([True, False], ["True", "False"]),
        (["true", "FALSE"], ["True", "False"]),
        ([True, 0], ["1", "0"]),
        (["010", "9"], ["010", "9"]),  # codes keep their zeros
        (["NA", "null"], ["NA", "null"]),  # names, as there is no number beside them
        (["true", "cat"], ["true", "cat"]),
        ([2**64 - 1, 1], ["18446744073709551615", "1"]),
        (["1.5b", "2.0"], ["1.5b", "2.0"]),
    ],
)
def test_texts_of_values(values, texts):
    assert label_texts(values, where="y").tolist() == texts


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.25, 1.0], "fractions such as 0.25"),
        (["0.25", "1"], "fractions such as 0.25"),
        ([np.inf, 1.0], "inf, which is out of range"),
        ([1e300, 1.0], "1e[+]300, which is out of range"),
        ([[1, 2], [3, 4]], r"shape \(2, 2\)"),
        ([(3, 1), (2, 1)], r"shape \(2, 2\)"),
        ([[1, 1], [0, 1]], "2 ones in row 1.*multi-label"),
        ([[0, 0], [0, 1]], "0 ones in row 1.*multi-label"),
        (np.array([[0.3, 0.7], [0.6, 0.4]]), "probabilities"),
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\)"),
        ([["cat", "fish"], ["dog"]], "several values in a row.*multi-label"),
        ([["cat", "fish"], ["dog", "fish"]], "several values in a row.*multi-label"),
        ([{"cat", "fish"}, {"dog"}], "several values in a row"),
        ([{"cat": 1}, {"dog": 1}], "dict values"),
        ([1j, 2j], "complex values"),
        ([None, "cat"], "no value in 1 of 2 rows, first in row 1"),
        (["  ", "cat"], "no value in 1 of 2 rows"),
        (["", "1.0"], "no value in 1 of 2 rows"),
        (["nan", "1.0"], "no value in 1 of 2 rows"),
        ([np.nan, 1.0], "no value in 1 of 2 rows"),
        ([[], ["cat"]], "no value in 1 of 2 rows"),
        ([b"\xff", b"a"], "not UTF-8"),
        ("cat", "is str, not one label per image"),
        (7, "is int"),
    ],
)
def test_values_that_are_not_a_single_class_are_refused(values, words):
    with pytest.raises(DataError, match=words):
        label_texts(values, where="y")


def test_missing_labels_may_be_allowed():
    assert label_texts([1, None, float("nan"), 2], where="y", may_lack=True).tolist() == ["1", "", "", "2"]


def test_numbers_stand_for_class_names_and_others_are_missing():
    texts = label_texts([0, 1, -1, 7], where="y", class_names=("cat", "dog"), may_lack=True)
    assert texts.tolist() == ["cat", "dog", "", ""]
    assert label_texts(["dog", "0"], where="y", class_names=("cat", "dog")).tolist() == ["dog", "cat"]


def test_the_index_of_a_series_does_not_matter():
    assert flat_labels(pd.Series(["a", "b"], index=[9, 9]), where="y").index.tolist() == [0, 1]


@given(st.lists(st.integers(-(2**52), 2**52), min_size=1))
def test_whole_numbers_are_written_alike_whatever_holds_them(numbers):
    expected = [str(number) for number in numbers]
    for held in (
        numbers,
        np.array(numbers),
        np.array(numbers, float),
        [f"{n}.0" for n in numbers],
        [[n] for n in numbers],
    ):
        assert label_texts(held, where="y").tolist() == expected


@given(st.lists(st.text(), min_size=1))
def test_any_texts_stay_or_are_refused_but_never_fail_otherwise(values):
    try:
        texts = label_texts(values, where="y", may_lack=True)
    except DataError:
        return
    assert len(texts) == len(values)
    assert label_texts(texts, where="y", may_lack=True).tolist() == texts.tolist()  # normalizing twice changes nothing


# ---------------------------------------------------------------- plausible classes


def checked(values):
    return check_plausible(pd.Series(values, dtype=object), where="y")


@pytest.mark.parametrize(
    "values",
    [
        ["cat|fish", "cat"],
        ["cat;fish", "dog;fish"],
        ["cat, fish", "cat", "fish"],
        ["cat,dog", "dog,cat"],
        ["[0]", "[1]"],
        ["[0 1]", "[1 0]"],
        ["['cat']", "['dog']"],
        ["(0, 1)", "(1, 0)"],
        ["{'cat'}", "{'dog'}"],
        [str(number) for number in range(60)],
        ["a"] * 20 + [f"image-{number}.png" for number in range(60)],
    ],
)
def test_implausible_classes_are_refused(values):
    with pytest.raises(DataError):
        checked(values)


@pytest.mark.parametrize(
    "values",
    [
        ["maillot", "maillot, tank suit", "crane"],
        ["Pepper,_bell___healthy", "Pepper,_bell___Bacterial_spot", "Tomato"],
        ["(other)", "[UNK]", "t-shirt/top", "Corn_(maize)"],
        [str(number) for number in range(10)],
        [str(number % 25) for number in range(50)],
    ],
)
def test_unusual_class_names_are_not_refused(values):
    assert isinstance(checked(values), list)


def test_doubtful_classes_are_noted():
    assert any("'cat|fish' may be several labels" in note for note in checked(["cat|fish", "dog"]))
    assert any("12 different values in 12 rows" in note for note in checked([f"x{number}" for number in range(12)]))
    assert checked(["cat", "dog"]) == []


# ---------------------------------------------------------------- predictions


def matched(labels, predictions):
    texts, notes = matched_predictions(label_texts(labels, where="y"), label_texts(predictions, where="p"))
    return texts.tolist(), notes


@pytest.mark.parametrize(
    ("labels", "predictions", "expected"),
    [
        ([0, 1, 1], [False, True, True], ["0", "1", "1"]),
        (["False", "True"], [0, 1], ["False", "True"]),
        (["Cat", "Dog"], ["cat", "DOG"], ["Cat", "Dog"]),
        (["Cat", "dog"], ["cat", "dog"], ["Cat", "dog"]),
    ],
)
def test_predictions_are_written_as_the_labels(labels, predictions, expected):
    texts, notes = matched(labels, predictions)
    assert texts == expected
    assert len(notes) == 1


def test_equal_writings_need_no_note():
    assert matched([1.0, 2.0], ["1", "2"]) == (["1", "2"], [])


def test_ambiguous_letter_case_is_not_matched():
    texts, notes = matched(["Cat", "cat", "dog"], ["CAT", "cat", "dog"])
    assert texts == ["CAT", "cat", "dog"]
    assert any("'CAT'" in note for note in notes)


def test_predictions_that_no_label_has_are_refused_or_noted():
    with pytest.raises(DataError, match="no prediction is among the labels"):
        matched(["cat", "dog"], [0, 1])
    with pytest.raises(DataError, match="no prediction is among the labels"):
        matched(["cat", "cat"], ["0", "0"])
    assert any("1 predictions name 'cow'" in note for note in matched(["cat", "dog"], ["cat", "cow"])[1])


def test_all_images_of_a_single_class_may_be_wrong():
    texts, notes = matched(["cat", "cat"], ["dog", "dog"])
    assert texts == ["dog", "dog"]
    assert "they count as wrong" in notes[0]
