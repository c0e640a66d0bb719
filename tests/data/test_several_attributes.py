"""Several attributes at once: each alone, their combinations, and images without any, from the table to the report."""

import json

import numpy as np
import pandas as pd
import pytest

import synaug as package
from synaug.config import DataOptions
from synaug.data.groups import summary
from synaug.data.manifest_file import read_manifest, write_manifest
from synaug.errors import DataError, OptionError

SEXES = ["f", "m", None, "f"] * 6
AGES = ["old", "young", "old", ""] * 6
LABELS = ["cat", "dog", "cat"] * 8


def frame(**columns):
    images = [np.full((6, 6), 9 * row, np.uint8) for row in range(24)]
    return pd.DataFrame({"image": images, "label": LABELS, "sex": SEXES, "age": AGES} | columns)


@pytest.fixture
def table(tmp_path, save_image):
    """A table of 24 files with two attributes that some rows lack."""
    for row in range(24):
        save_image(tmp_path / f"{row}.png", seed=row)
    frame(image=[f"{row}.png" for row in range(24)]).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def counted(labels, values):
    rows = pd.Series([f"{label} x {value}" for label, value in zip(labels, values, strict=True)])
    return rows.value_counts().to_dict()


@pytest.mark.parametrize("asked", ["sex,age", "sex, age", " sex ,age,sex"])
def test_each_alone_and_the_combination_are_counted(asked):
    found = summary(package.read_data(frame(), DataOptions(attribute=asked, near_duplicates=False)))
    for name, values in (("sex", SEXES), ("age", AGES)):
        known = [(label, value) for label, value in zip(LABELS, values, strict=True) if value]
        counts = {group: number for group, number in found["group_counts_by_attribute"][name].items() if number}
        assert counts == counted(*zip(*known, strict=True))
    both = [(c, f"{s} & {a}") for c, s, a in zip(LABELS, SEXES, AGES, strict=True) if s and a]
    assert {name: number for name, number in found["group_counts"].items() if number} == counted(
        *zip(*both, strict=True)
    )
    assert found["num_without_attribute"] == 24 - len(both)
    assert sum(found["group_counts"].values()) + found["num_without_attribute"] == found["num_images"]


def test_a_column_whose_name_has_a_comma_is_one_attribute():
    found = package.read_data(frame(**{"sex,age": SEXES}), DataOptions(attribute="sex,age", near_duplicates=False))
    assert (found.attribute_names, found.single_attributes) == (("f", "m"), ())


def test_a_manifest_keeps_the_single_attributes(table, tmp_path):
    manifest = package.read_data(table, DataOptions(attribute="sex,age"))
    write_manifest(manifest, tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert again.single_attributes == ("sex", "age")
    assert summary(again) == summary(manifest)


def test_numbers_are_counted_in_ranges_in_order():
    ages = [5.5 + 10 * row for row in range(24)]
    found = package.read_data(frame(years=ages), DataOptions(attribute="sex,years", near_duplicates=False))
    names = found.by_single_attribute("years").attribute_names
    assert [name.split(" ")[0] for name in names] == sorted((name.split(" ")[0] for name in names), key=float)
    assert any("ranges" in note for note in found.notes)


def test_a_missing_column_is_named_with_the_nearest():
    with pytest.raises(DataError, match=r"'ages'.*Did you mean 'age'"):
        package.read_data(frame(), DataOptions(attribute="sex,ages"))


def test_the_faces_of_utkface_are_counted_by_gender_and_race(tmp_path, save_image):
    for row, (age, gender, race) in enumerate([(10, 0, 0), (30, 0, 1), (30, 1, 1), (10, 1, 0), (30, 1, 0)]):
        save_image(tmp_path / f"{age}_{gender}_{race}_{row}.jpg", seed=row)
    found = summary(package.read_data(tmp_path, DataOptions(label="age_band", attribute="gender,race")))
    assert found["group_counts_by_attribute"]["race"]["20-39 x black"] == 2
    assert found["group_counts"]["20-39 x female & black"] == 1
    with pytest.raises(OptionError, match="both 'age_band'"):
        package.read_data(tmp_path, DataOptions(label="age_band", attribute="gender,age_band"))


def test_count_and_plan_show_them(synaug, table, tmp_path):
    done = synaug("count", table, "--attribute", "sex,age")
    assert all(title in done.out for title in ("class x sex ", "class x age ", "class x sex & age"))
    assert "have no attribute" in done.out
    command = [
        "plan",
        table,
        "--attribute",
        "sex,age",
        "--by",
        "group",
        "--model",
        "embedded",
        "--out",
        tmp_path / "run",
    ]
    planned = synaug(*command, "--json")
    content = json.loads(planned.out)
    assert "cat | f & old" in content["num_to_generate"]
    assert any("lack one of the attributes" in note for note in content["data"]["notes"])


def test_the_report_of_a_run_has_each_alone_and_the_combination(synaug, recipe, tmp_path, save_image):
    import yaml

    rows = []
    for row in range(80):
        save_image(tmp_path / "data" / f"{row}.png", seed=row, size=(16, 16))
        sex, age = ("f", "m")[row % 2], ("old", "young")[row % 8 == 0]
        rows.append((f"{row}.png", ("cat", "dog")[row % 3 == 0], sex, age, ("train", "test")[row >= 40]))
    columns = ["path", "label", "sex", "age", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "data" / "t.csv", index=False)
    options = recipe.model_dump(exclude_unset=True) | {"quality": {"gates": []}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(options))))
    done = synaug(
        "run", tmp_path / "data" / "t.csv", "--attribute", "sex,age", "--recipe", tmp_path / "r.yaml",
        "--methods", "cross_entropy", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    result = report["results"][0]
    assert set(result["by_attribute"]) == {"sex", "age"}
    assert set(result["by_attribute"]["sex"]["per_group"]) == {"cat x f", "cat x m", "dog x f", "dog x m"}
    assert len(result["per_group"]) == 2 * len(
        set(zip(*(pd.DataFrame(rows)[column] for column in (2, 3)), strict=True))
    )
    assert result["min_cell"] == 10
    assert result["num_small_groups"] == sum(0 < number < 10 for number in report["data"]["test_group_counts"].values())
    page = (tmp_path / "run" / "report.html").read_text()
    assert "fewer than 10 test images" in page
    assert "groups of sex" in page
    predictions = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert {"attribute", "sex", "age"} <= set(predictions.columns)
