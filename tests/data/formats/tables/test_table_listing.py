"""Test tables: paths in common notations, boolean columns, unlabeled splits, and rejections with a way out."""

import json

import numpy as np
import pytest
from PIL import Image

from synaug.config import DataOptions
from synaug.data.account import reading_account
from synaug.data.readers import read_data
from synaug.data.subsets import with_test_split
from synaug.errors import DataError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "i").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "i" / f"{number:03d}.png")
    return tmp_path


def table(folder, header, rows, name="t.csv", encoding="utf-8"):
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return folder / name


WRITINGS = {
    "plain": ("path,label", "i/{n:03d}.png,{c}"),
    "a dot": ("path,label", "./i/{n:03d}.png,{c}"),
    "blanks": ("path, label", " i/{n:03d}.png , {c} "),
    "backslashes": ("path,label", "i\\{n:03d}.png,{c}"),
    "names alone": ("filename,label", "{n:03d}.png,{c}"),
    "names without suffix": ("image_id,label", "{n:03d},{c}"),
    "folder without suffix": ("image_id,label", "i/{n:03d},{c}"),
    "empty columns": ("path,label,,", "i/{n:03d}.png,{c},,"),
    "semicolons": ("path;label", "i/{n:03d}.png;{c}"),
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_paths_as_people_write_them(folder, writing, encoding):
    header, row = WRITINGS[writing]
    rows = [row.format(n=n, c="cat" if n < 8 else "dog") for n in range(12)]
    manifest = read_data(table(folder, header, rows, encoding=encoding))
    assert (manifest.class_names, len(manifest)) == (("cat", "dog"), 12)
    assert sorted(manifest.frame["path"]) == [f"i/{n:03d}.png" for n in range(12)]


def test_absolute_paths_inside_the_folder(folder):
    rows = [f"{folder}/i/{n:03d}.png,{'cat' if n < 8 else 'dog'}" for n in range(12)]
    manifest = read_data(table(folder, "path,label", rows))
    assert manifest.frame["path"][0] == "i/000.png"
    assert any("absolute" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("path,label", ["https://example.org/1.png,cat", "https://example.org/2.png,dog"], "has the URL"),
        ("path,label", ["i/000.png,cat|fish", "i/001.png,cat"], "several labels in one cell"),
        ("path,label,split", [f"i/00{n}.png,cat,{n}" for n in range(5)], "numbers of folds.*--splits 0=train"),
        ("path,label,is_synthetic", ["i/000.png,cat,maybe", "i/001.png,dog,no"], "'maybe' in row 1"),
        ("path,label,is_synthetic", ["i/000.png,cat,", "i/001.png,dog,no"], "'' in row 1"),
        ("name,label", ["i/000.png,cat", "i/001.png,dog"], r"--path \(data\.path"),
    ],
)
def test_unreadable_input_names_the_way_out(folder, header, rows, words):
    with pytest.raises(DataError, match=words):
        read_data(table(folder, header, rows))


def test_folds_can_be_named(folder):
    rows = [f"i/{n:03d}.png,{'cat' if n < 6 else 'dog'},{n % 3 + 2}" for n in range(12)]
    options = DataOptions(splits={"2": "train", "3": "test", "4": "none"})
    manifest = read_data(table(folder, "path,label,split", rows), options)
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 4, "test": 4}
    assert sum(item.number for item in manifest.left_out) == 4


@pytest.mark.parametrize(
    ("yes", "no"), [("True", "False"), ("true", "false"), ("1", "0"), ("yes", "no"), (" YES", "No "), ("1.0", "0.0")]
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_synthetic_images_of_a_table_are_counted_separately_and_never_tested_on(folder, synaug, yes, no, suffix):
    rows = [(f"i/{n:03d}.png", "cat" if n < 8 else "dog", yes if n % 2 else no) for n in range(12)]
    if suffix == ".jsonl":
        lines = [json.dumps(dict(zip(("path", "label", "is_synthetic"), row, strict=True))) for row in rows]
        path = folder / "t.jsonl"
        path.write_text("\n".join(lines))
    else:
        separator = "," if suffix == ".csv" else "\t"
        path = table(folder, separator.join(("path", "label", "is_synthetic")), [separator.join(row) for row in rows],
                     name=f"t{suffix}")  # fmt: skip
    manifest = read_data(path)
    assert int(manifest.is_synthetic.sum()) == 6
    assert not with_test_split(manifest, 0.4, 0).split("test").is_synthetic.any()
    counted = json.loads(synaug("count", path, "--json").out)
    assert counted["class_counts"] == {"cat": 4, "dog": 2}
    assert counted["synthetic"] == {"cat": 4, "dog": 2}


@pytest.mark.parametrize("name", ["Is_Synthetic", "is synthetic", "isSynthetic", "IS-SYNTHETIC", "synthetic"])
def test_the_column_of_synthetic_images_is_recognized_in_any_spelling(folder, name):
    rows = [f"i/{n:03d}.png,{'cat' if n < 6 else 'dog'},{'synthetic' if n % 3 == 0 else 'real'}" for n in range(12)]
    assert int(read_data(table(folder, f"path,label,{name}", rows)).is_synthetic.sum()) == 4


def test_a_label_column_called_synthetic_is_a_label(folder):
    rows = [f"i/{n:03d}.png,{'yes' if n < 6 else 'no'}" for n in range(12)]
    manifest = read_data(table(folder, "path,synthetic", rows), DataOptions(label="synthetic"))
    assert (manifest.class_names, int(manifest.is_synthetic.sum())) == (("no", "yes"), 0)


def test_two_columns_of_synthetic_images_are_refused(folder):
    rows = [f"i/{n:03d}.png,{'cat' if n < 6 else 'dog'},0,1" for n in range(12)]
    with pytest.raises(DataError, match="both mark synthetic images"):
        read_data(table(folder, "path,label,is_synthetic,synthetic", rows))


def test_synthetic_rows_of_a_test_split_are_left_out_and_counted(folder):
    rows = [f"i/{n:03d}.png,{'cat' if n < 6 else 'dog'},{'test' if n % 2 else 'train'},{n % 3 == 0}" for n in range(12)]
    manifest = read_data(table(folder, "path,label,split,is_synthetic", rows))
    assert not manifest.split("test").is_synthetic.any()
    assert [item["number"] for item in reading_account(manifest)["left_out"]] == [2]


def test_an_unlabeled_test_split_is_left_out_and_counted(folder):
    rows = [
        f"i/{n:03d}.png,{'' if n % 3 == 0 else 'cat' if n < 6 else 'dog'},{'test' if n % 3 == 0 else 'train'}"
        for n in range(12)
    ]
    manifest = read_data(table(folder, "path,label,split", rows))
    assert set(manifest.frame["split"]) == {"train"}
    assert [item.number for item in manifest.left_out] == [4]


def test_rows_without_attribute_are_counted(folder):
    rows = [f"i/{n:03d}.png,{'cat' if n < 6 else 'dog'},{'' if n == 3 else 'f'}" for n in range(12)]
    manifest = read_data(table(folder, "path,label,sex", rows), DataOptions(attribute="sex"))
    assert any("'sex' has no value in 1 of 12 rows" in note for note in manifest.notes)


def test_classes_that_cannot_be_tested_name_the_option_that_decides(folder, synaug):
    rows = [f"i/{n:03d}.png,{('cat', 'dog', 'cow')[min(n // 5, 2)]}" for n in range(11)]
    path = table(folder, "path,label", rows)
    refused = synaug("plan", path, "--model", "embedded", "--dry-run")
    assert refused.code == 4
    assert "data.incomplete_classes: drop" in refused.err
    (folder / "r.yaml").write_text("data: {incomplete_classes: drop}\n")
    assert "'cow'" in synaug("plan", path, "--model", "embedded", "--dry-run", "--recipe", folder / "r.yaml").out


def test_numbers_may_be_keys_of_a_recipe(folder, synaug):
    rows = [f"i/{n:03d}.png,{int(n > 7)}" for n in range(12)]
    path = table(folder, "path,label", rows)
    (folder / "r.yaml").write_text("plan: {target: {0: 12, 1: 12}}\n")
    done = synaug("plan", path, "--model", "embedded", "--dry-run", "--recipe", folder / "r.yaml")
    assert done.code == 0
    assert "class names are numbers" in done.out
    (folder / "r.yaml").write_text("plan: {target: {no: 12}}\n")
    assert "in quotes" in synaug("plan", path, "--dry-run", "--recipe", folder / "r.yaml").err


def test_a_single_contradiction_is_one_image(folder):
    rows = [f"i/{number:03d}.png,{number % 2}" for number in range(12)]
    with pytest.raises(DataError, match="lists 1 image with several labels"):
        read_data(table(folder, "path,label", [*rows, "i/000.png,1"]))
