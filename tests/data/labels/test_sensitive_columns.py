"""Test sensitive attributes: missing values, ranges of numbers, intersections, empty and small groups."""

import math

import numpy as np
import pandas as pd
import pytest

from synaug.data.labels.sensitive_columns import sensitive_columns
from synaug.errors import DataError, OptionError
from synaug.evaluation.predictions import evaluate_predictions

RNG = np.random.default_rng(0)
LABELS = np.tile([0, 1], 100)
TABLE = pd.DataFrame(
    {
        "label": LABELS,
        "prediction": np.where(RNG.random(200) < 0.8, LABELS, 1 - LABELS),
        "sex": np.repeat(["f", "m"], 100),
        "age": RNG.integers(18, 90, 200),
        "income": RNG.random(200) * 1e5,
    }
)


def fairness(table, *attributes, **options):
    found = evaluate_predictions(table, attributes=attributes, **options)["fairness"]
    return found[attributes[0]] if len(attributes) == 1 and attributes[0] in found else found


@pytest.mark.parametrize("lacking", [None, np.nan, "", "  "])
def test_rows_without_a_value_are_counted_and_noted(lacking):
    found = fairness(TABLE.assign(sex=[lacking] * 5 + ["f"] * 95 + ["m"] * 100), "sex")
    assert (found["num_images"], found["num_without_value"]) == (195, 5)
    assert "no value in 5 of 200 rows" in " ".join(found["notes"])


@pytest.mark.parametrize("name", ["age", "income"])
def test_a_column_of_many_numbers_is_compared_in_four_ranges(name):
    found = fairness(TABLE, name)
    assert len(found["num_images_by_value"]) == 4
    assert sum(found["num_images_by_value"].values()) == 200
    assert min(found["num_images_by_value"].values()) > 35
    assert "ranges" in found["notes"][0]


def test_every_number_is_in_the_range_that_its_name_gives():
    column = sensitive_columns(TABLE, ["age"])["age"]
    for number, place in zip(TABLE["age"], column.positions, strict=True):
        low, _, rest = column.names[place].partition(" to ")
        high = float(rest.removeprefix("below "))
        assert float(low) <= number < high or (number == high and "below" not in rest)


def test_few_numbers_stay_values():
    assert list(fairness(TABLE.assign(site=np.arange(200) % 3), "site")["num_images_by_value"]) == ["0", "1", "2"]


def test_names_of_persons_are_not_groups():
    with pytest.raises(DataError, match="200 different values in 200 rows"):
        fairness(TABLE.assign(person=[f"p{i}" for i in range(200)]), "person")


def test_several_attributes_are_compared_alone_and_together():
    found = evaluate_predictions(TABLE, attributes=["sex,age"])["fairness"]
    assert list(found) == ["sex", "age", "sex,age"]
    assert found["sex"] == fairness(TABLE, "sex")
    joint = found["sex,age"]["num_images_by_value"]
    assert len(joint) == 8
    assert sum(number for name, number in joint.items() if name.startswith("f & ")) == 100


def test_a_column_whose_name_has_a_comma_is_one_column():
    found = evaluate_predictions(TABLE.rename(columns={"sex": "sex,age at entry"}), attributes=["sex,age at entry"])
    assert list(found["fairness"]) == ["sex,age at entry"]


def test_an_intersection_lacks_rows_that_lack_one_value():
    table = TABLE.assign(sex=[None] * 5 + ["f"] * 95 + ["m"] * 100, site=["a"] * 195 + [""] * 5)
    assert evaluate_predictions(table, attributes=["sex,site"])["fairness"]["sex,site"]["num_without_value"] == 10


def test_empty_groups_are_counted_and_worst_and_mean_are_of_the_others():
    table = TABLE.assign(prediction=LABELS)
    table = table[~((table["sex"] == "m") & (table["label"] == 1))]
    found = fairness(table, "sex")
    assert math.isnan(found["accuracy_by_group"]["1 x m"])
    assert (found["worst_group_accuracy"], found["mean_group_accuracy"]) == (1.0, 1.0)
    assert found["num_unmeasured_groups"] == 1
    assert "Groups without images: 1 of 4" in " ".join(found["notes"])


def test_a_small_group_is_shown_and_drives_no_difference():
    strange = pd.DataFrame({"label": [0, 1, 1], "prediction": [1, 0, 0], "sex": "x"})
    small = fairness(pd.concat([TABLE, strange]), "sex")
    whole = fairness(TABLE, "sex")
    assert small["accuracy"]["x"] == 0
    assert small["num_small_groups"] == 2
    assert "fewer than 10 images: 2 of 6" in " ".join(small["notes"])
    gaps = [name for name in whole if name.endswith(("_difference", "_ratio"))]
    assert len(gaps) == 6
    assert {name: small[name] for name in gaps} == {name: whole[name] for name in gaps}
    counted = fairness(pd.concat([TABLE, strange]), "sex", min_cell=1)
    assert counted["equal_opportunity_difference"] > whole["equal_opportunity_difference"]


def test_a_small_table_is_measured_all_the_same_with_a_note():
    found = fairness(TABLE.iloc[[0, 1, 100, 101]], "sex")
    assert not math.isnan(found["demographic_parity_difference"])
    assert "can be chance" in " ".join(found["notes"])


@pytest.mark.parametrize("min_cell", [0, -1, 2.5, True, "3"])
def test_min_cell_is_a_number_of_images(min_cell):
    with pytest.raises(OptionError, match="min_cell"):
        fairness(TABLE, "sex", min_cell=min_cell)
