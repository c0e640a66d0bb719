import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from synaug.errors import DataError
from synaug.evaluation.predictions import evaluate_predictions, read_predictions

ANIMALS = pd.DataFrame(
    {
        "label": ["cat", "cat", "dog", "dog"],
        "prediction": ["cat", "dog", "dog", "dog"],
        "gender": ["f", "m", "f", "m"],
    }
)


def test_scores_that_can_be_counted_by_hand():
    found = evaluate_predictions(ANIMALS)
    assert found.pop("intervals")["per_class"]["dog"] == (pytest.approx(0.3424, abs=1e-4), 1.0)  # Wilson, 2 of 2
    assert found == {
        "num_images": 4,
        "notes": [],
        "accuracy": 0.75,
        "mean_recall": 0.75,
        "worst_class": 0.5,
        "per_class": {"cat": 0.5, "dog": 1.0},
    }


def test_fairness_of_two_classes_has_the_names_of_fairlearn():
    found = evaluate_predictions(ANIMALS, attributes=["gender"])["fairness"]["gender"]
    assert found["accuracy"] == {"f": 1.0, "m": 0.5}
    assert found["demographic_parity_difference"] == 0.5
    assert found["accuracy_by_group"] == {"cat x f": 1.0, "cat x m": 0.0, "dog x f": 1.0, "dog x m": 1.0}
    assert found["worst_group_accuracy"] == 0.0


def test_fairness_of_more_classes_names_worst_and_mean():
    three = pd.concat([ANIMALS, ANIMALS.replace({"dog": "eel"})], ignore_index=True)
    found = evaluate_predictions(three, attributes=["gender"])["fairness"]["gender"]
    assert {"equalized_odds_difference_worst", "equalized_odds_difference_mean"} <= set(found)
    assert "equalized_odds_difference" not in found


def test_rows_without_the_attribute_are_left_out_of_fairness_only():
    gaps = pd.concat([ANIMALS, pd.DataFrame({"label": ["cat"], "prediction": ["cat"], "gender": [None]})])
    found = evaluate_predictions(gaps, attributes=["gender"])
    assert (found["num_images"], found["fairness"]["gender"]["num_images"]) == (5, 4)


def test_numbers_and_names_are_both_labels():
    numbers = pd.DataFrame({"label": [2, 10, 10], "prediction": [2.0, 10.0, 2.0]})
    assert evaluate_predictions(numbers)["per_class"] == {"2": 1.0, "10": 0.5}


def test_a_class_that_is_only_predicted_has_no_recall():
    found = evaluate_predictions(pd.DataFrame({"label": ["a", "a"], "prediction": ["a", "b"]}))
    assert found["per_class"] == {"a": 0.5}


def test_a_missing_group_is_undefined():
    found = evaluate_predictions(ANIMALS.iloc[[0, 2, 3]], attributes=["gender"])["fairness"]["gender"]
    assert math.isnan(found["accuracy_by_group"]["cat x m"])


def test_classes_named_like_missing_values_stay_names(tmp_path):
    (tmp_path / "p.csv").write_text("label,prediction\nNA,NA\nnull,NA\n")
    assert evaluate_predictions(read_predictions(tmp_path / "p.csv"))["per_class"] == {"NA": 1.0, "null": 0.0}


def test_scores_can_be_written_as_json():
    json.dumps(evaluate_predictions(ANIMALS, attributes=["gender"]), allow_nan=False)


def test_a_missing_column_is_named_with_the_existing_ones():
    with pytest.raises(DataError, match=r"no attribute column 'age'\. Its columns: label, prediction, gender"):
        evaluate_predictions(ANIMALS, attributes=["age"])


def test_an_empty_table_is_refused():
    with pytest.raises(DataError, match="have no rows"):
        evaluate_predictions(ANIMALS.iloc[:0])


def test_an_empty_attribute_column_is_refused():
    with pytest.raises(DataError, match="column 'gender' is empty"):
        evaluate_predictions(ANIMALS.assign(gender=""), attributes=["gender"])


def test_rows_without_a_prediction_are_counted():
    with pytest.raises(DataError, match=r"1 rows.*prediction;.*row 3"):
        evaluate_predictions(ANIMALS.assign(prediction=["cat", "dog", "", "dog"]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"p\.csv is missing"):
        read_predictions(tmp_path / "p.csv")


def test_a_file_that_is_not_a_table_is_refused(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_predictions(tmp_path / "p.csv")


def test_the_usual_column_names_of_others_and_dicts_of_columns_are_accepted():
    columns = {"y_true": ANIMALS["label"], "y_pred": ANIMALS["prediction"].to_numpy(), "gender": ["f", "m", "f", "m"]}
    assert evaluate_predictions(columns, attributes=["gender"]) == evaluate_predictions(ANIMALS, attributes=["gender"])
    columns = {"y_true": pd.Series(["a", "b"], index=[7, 8]), "guess": ["a", "a"]}
    assert evaluate_predictions(columns, prediction="guess")["per_class"] == {"a": 1.0, "b": 0.0}
    with pytest.raises(DataError, match="differ in length: 'label' 2, 'prediction' 1"):
        evaluate_predictions({"label": [0, 1], "prediction": [0]})


def test_intervals_have_the_names_of_the_numbers_and_follow_the_seed():
    many = pd.concat([ANIMALS] * 25, ignore_index=True)
    found = evaluate_predictions(many, attributes=["gender"])
    low, high = found["intervals"]["accuracy"]
    assert low < found["accuracy"] == 0.75 < high
    fairness = found["fairness"]["gender"]
    assert fairness["num_images_by_value"] == {"f": 50, "m": 50}
    facts = {name for name in fairness if name.startswith("num_")} | {"min_cell", "notes", "intervals"}
    assert set(fairness["intervals"]) == set(fairness) - facts
    assert fairness["intervals"]["accuracy_by_group"]["cat x m"] == (0.0, pytest.approx(0.1332, abs=1e-4))  # 0 of 25
    other, again = (evaluate_predictions(many, attributes=["gender"], seed=seed) for seed in (1, 0))
    assert again == found
    assert other["intervals"] == found["intervals"]  # shares are not


@pytest.mark.parametrize(
    "rows",
    [
        "0,0.0\n1,1.0\n1,1.0\n0,0.0\n",
        "0,False\n1,True\n1,True\n0,False\n",
        "Cat,cat\nDog,dog\n",
        "cat, cat\ndog,dog \n",
    ],
)
def test_predictions_written_differently_from_the_labels_are_matched(tmp_path, rows):
    (tmp_path / "p.csv").write_text("label,prediction\n" + rows)
    assert evaluate_predictions(read_predictions(tmp_path / "p.csv"))["accuracy"] == 1.0


def test_how_predictions_were_matched_is_printed(tmp_path, synaug):
    (tmp_path / "p.csv").write_text("label,prediction\nCat,cat\nDog,dog\n")
    assert "'cat' was read as 'Cat'" in synaug("evaluate", tmp_path / "p.csv").out


def test_scores_in_place_of_classes_are_refused():
    rng = np.random.default_rng(0)
    table = {"label": rng.integers(0, 2, 1500), "prediction": rng.random(1500), "sex": rng.integers(0, 2, 1500)}
    with pytest.raises(DataError, match="fractions"):
        evaluate_predictions(table, attributes=["sex"])


def test_columns_of_one_and_one_hot_rows_are_read():
    assert evaluate_predictions({"label": [[0], [1]], "prediction": np.eye(2)})["accuracy"] == 1.0


def column(values):
    return {"label": [0, 1] * 10, "prediction": values}


@pytest.mark.parametrize(
    "table",
    [
        column(np.random.default_rng(0).random((20, 2))),
        column(np.where(np.arange(20) == 0, np.inf, 1.0)),
        column(["cat", None] * 10),
        column([0, 1]),
        column(None),
        column(5),
        column([object()] * 20),
        {"label": [0, 1]},
        pd.DataFrame(np.zeros((3, 3)), columns=["label", "prediction", "prediction"]),
        pd.DataFrame({"label": [], "prediction": []}),
        [[0, 1]],
        None,
        "predictions.csv",
    ],
)
def test_a_table_without_predictions_is_refused(table):
    with pytest.raises(DataError):
        evaluate_predictions(table)


@pytest.mark.parametrize(
    "values",
    [
        np.array([0, 1] * 10)[:, None],
        torch.tensor([0.0, 1.0] * 10, requires_grad=True),
        np.eye(2)[[0, 1] * 10],
        pd.Categorical([0, 1] * 10),
        [np.int8(0), np.float32(1)] * 10,
        [False, True] * 10,
    ],
)
def test_any_holder_of_classes_is_a_column(values):
    assert evaluate_predictions(column(values))["accuracy"] == 1


def test_columns_can_be_numbered():
    frame = pd.DataFrame({0: [0, 1], 1: [0, 1], 2: ["f", "m"]})
    assert evaluate_predictions(frame, label=0, prediction=1, attributes=[2])["accuracy"] == 1


@pytest.mark.parametrize("true", ["label", "y_true", "True", "target", "actual", "ground_truth", "true_label"])
@pytest.mark.parametrize("predicted", ["prediction", "y_pred", "Pred", "predicted", "predicted_label"])
def test_the_usual_names_of_columns_are_recognized(true, predicted):
    content = evaluate_predictions({true: ["a", "a", "b", "b"], predicted: ["a", "a", "b", "a"]})
    assert content["accuracy"] == 0.75


def test_the_most_specific_name_wins():
    content = evaluate_predictions(
        {"target": ["b", "b"], "label": ["a", "b"], "pred": ["b", "b"], "y_pred": ["a", "b"]}
    )
    assert content["accuracy"] == 1
