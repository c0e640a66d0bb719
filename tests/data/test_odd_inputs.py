"""Tables, labels and folders as people have them: read as meant, noted, or refused with the way out."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import synaug
from synaug.config import DataOptions
from synaug.data.groups import class_counts
from synaug.errors import DataError, OptionError

EXACT = DataOptions(near_duplicates=False)


@pytest.fixture
def folder(tmp_path, save_image):
    for number in range(12):
        save_image(tmp_path / "i" / f"{number}.png", seed=number)
    return tmp_path


def table(folder, labels, *, header="path,label\n", encoding="utf-8", separator=",", more=()):
    extra = [list(map(str, column)) for column in more]
    rows = zip((f"i/{number}.png" for number in range(12)), labels, *extra, strict=True)
    text = header + "".join(separator.join(row) + "\n" for row in rows)
    (folder / "t.csv").write_bytes(text.encode(encoding))
    return folder / "t.csv"


def counts(manifest):
    numbers = class_counts(manifest.labels, manifest.num_classes).tolist()
    return dict(zip(manifest.class_names, numbers, strict=True))


BOTH = ["cat", "dog"] * 6
SIX = {"cat": 6, "dog": 6}


@pytest.mark.parametrize(
    "form",
    [
        {"header": "sep=;\npath;label\n", "separator": ";"},
        {"header": '"sep=|"\npath|label\n', "separator": "|"},
        {"header": "SEP=\t\npath\tlabel\n", "separator": "\t"},
        {"header": " Path , LABEL \n"},
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
    ],
)
def test_dialects_of_csv(folder, form):
    assert counts(synaug.read_data(table(folder, BOTH, **form), EXACT)) == SIX


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_table_in_another_encoding_names_the_way_out(folder, encoding):
    with pytest.raises(DataError, match=r"not UTF-8 text .*Save it as UTF-8"):
        synaug.read_data(table(folder, ["Käse", "dog"] * 6, encoding=encoding))


@pytest.mark.parametrize("mark", ["\u200b", "\ufeff", "\u00a0", "\u200e", "\u2060", "\u00ad", "\u3000", "\t"])
@pytest.mark.parametrize("form", ["{}cat", "cat{}", "{0} cat {0}"])
def test_invisible_characters_around_a_label_do_not_count(folder, mark, form):
    labels = [form.format(mark), "cat"] * 5 + ["dog"] * 2
    assert counts(synaug.read_data(table(folder, labels), EXACT)) == {"cat": 10, "dog": 2}


def test_labels_that_look_the_same_are_refused(folder):
    with pytest.raises(DataError, match="differ only by"):
        synaug.read_data(table(folder, ["ca\u200bt", "cat", "dog"] * 4))


@pytest.mark.parametrize("word", ["nan", "NULL", "None", "<NA>", "?", "-", "unlabeled"])
def test_words_for_a_missing_label_are_noted(folder, word):
    found = synaug.read_data(table(folder, [word, "cat"] * 6), EXACT)
    assert counts(found) == {word: 6, "cat": 6}
    assert any("missing label" in note and repr(word) in note for note in found.notes)


def test_minus_one_beside_class_numbers_is_noted(folder):
    found = synaug.read_data(table(folder, ["-1", "0", "1"] * 4), EXACT)
    assert any("'-1' often stands for a missing label" in note for note in found.notes)
    assert not synaug.read_data(table(folder, ["-1", "-2", "1"] * 4), EXACT).notes


@pytest.mark.parametrize("form", ["{}", "{}?not=read", "FILE://localhost{}"])
def test_file_addresses_are_paths(folder, form):
    places = [(folder / "i" / f"{number}.png").as_uri() for number in range(12)]
    if "localhost" in form:
        places = [place.removeprefix("file://") for place in places]
    rows = [f"{form.format(place)},{label}\n" for place, label in zip(places, BOTH, strict=True)]
    (folder / "t.csv").write_text("path,label\n" + "".join(rows))
    assert counts(synaug.read_data(folder / "t.csv", EXACT)) == SIX


@pytest.mark.parametrize("place", ["https://example.org/a.png", "file://other/a.png", "s3://bucket/a.png"])
def test_other_addresses_are_refused(folder, place):
    (folder / "t.csv").write_text(f"path,label\n{place},cat\n")
    with pytest.raises(DataError, match="reads files only"):
        synaug.read_data(folder / "t.csv")


def test_a_file_address_outside_the_folder_of_the_table_is_refused(folder, tmp_path_factory, save_image):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.png"
    save_image(elsewhere, seed=1)
    (folder / "t.csv").write_text(f"path,label\n{elsewhere.as_uri()},cat\n")
    with pytest.raises(DataError, match="not allowed"):
        synaug.read_data(folder / "t.csv")


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.xlsx", "Save the sheet as CSV"), ("a.zip", "Unpack it"), ("a.json", "one JSON object per line"),
     ("a.npz", "in Python"), ("a.doc", "supported suffixes")],
)  # fmt: skip
def test_a_file_that_is_not_a_table_is_refused_with_the_way_out(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(DataError, match=words):
        synaug.read_data(tmp_path / name)


@pytest.mark.parametrize("values", [[1, 2], [2], [1], [1, 2, 3], [0, 3]])
def test_numbers_of_splits_that_may_count_from_one_are_refused(folder, values):
    path = table(folder, BOTH, header="path,label,split\n", more=[(values * 12)[:12]])
    with pytest.raises(DataError, match=r"--splits \d=train"):
        synaug.read_data(path, EXACT)
    named = {str(value): "train" for value in values}
    found = synaug.read_data(path, DataOptions(splits=named, near_duplicates=False))
    assert set(found.frame["split"]) == {"train"}


@pytest.mark.parametrize("values", [["0", "1"], ["0.0", "1.0"]])
def test_a_split_column_of_0_and_1_is_noted(folder, values):
    path = table(folder, BOTH, header="path,label,split\n", more=[sorted(values * 6)])
    found = synaug.read_data(path, EXACT)
    assert set(found.frame["split"]) == {"train", "validation"}
    assert any("--splits 1=test" in note for note in found.notes)
    assert not synaug.read_data(path, DataOptions(splits={"1": "test"}, near_duplicates=False)).notes


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_images_of_several_frames_are_noted(folder, suffix):
    frames = [Image.new("RGB", (16, 16), (color, 9, 9)) for color in (10, 120, 240)]
    frames[0].save(folder / f"animated{suffix}", save_all=True, append_images=frames[1:])
    (folder / "t.csv").write_text(f"path,label\nanimated{suffix},cat\ni/1.png,cat\ni/2.png,dog\n")
    found = synaug.read_data(folder / "t.csv", EXACT)
    assert [note for note in found.notes if "several frames" in note and f"animated{suffix}" in note]
    assert not synaug.read_data(table(folder, BOTH), EXACT).notes


def test_a_photograph_with_a_preview_is_not_noted(folder):
    picture = Image.new("RGB", (16, 16), (9, 9, 9))
    picture.save(folder / "phone.jpg", "MPO", save_all=True, append_images=[picture])
    (folder / "t.csv").write_text("path,label\nphone.jpg,cat\ni/1.png,cat\ni/2.png,dog\n")
    assert not synaug.read_data(folder / "t.csv", EXACT).notes


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull")],
)
def test_files_without_content_are_named_as_such(folder, data, words):
    (folder / "i" / "0.png").write_bytes(data)
    found = synaug.read_data(table(folder, BOTH), DataOptions(max_unreadable=0.5))
    assert [item.path for item in found.quarantined] == ["i/0.png"]
    assert words in found.quarantined[0].reason


SPLIT_FORMS = {
    "Split": (["train"] * 8 + ["test"] * 4, None),
    "subset": (["Training"] * 8 + ["Testing"] * 4, None),
    "fold": (["train"] * 8 + ["test"] * 4, None),
    "is_train": ([1] * 8 + [0] * 4, "is_train"),
    "train": (["True"] * 8 + ["False"] * 4, "train"),
    "is_test": (["no"] * 8 + ["yes"] * 4, "is_test"),
    "in_validation": ([0] * 8 + [1] * 4, "in_validation"),
}


@pytest.mark.parametrize("name", SPLIT_FORMS)
def test_split_columns_of_other_names(folder, name):
    values, option = SPLIT_FORMS[name]
    path = table(folder, BOTH, header=f"path,label,{name}\n", more=[values])
    found = synaug.read_data(path, DataOptions(split=option, near_duplicates=False))
    held_out = "validation" if "validation" in name else "test"
    assert found.frame["split"].tolist() == ["train"] * 8 + [held_out] * 4


@pytest.mark.parametrize(
    ("name", "values"), [("fold", [0, 1, 2, 3] * 3), ("is_train", [1, 0] * 6), ("set", ["x"] * 12)]
)
def test_a_column_that_may_be_the_split_is_named_if_it_is_not_read(folder, name, values):
    found = synaug.read_data(table(folder, BOTH, header=f"path,label,{name}\n", more=[values]), EXACT)
    assert set(found.frame["split"]) == {"train"}
    assert any(f"--split-column {name}" in note for note in found.notes)


def test_the_layout_distinguishes_recognized_columns_from_named_ones(folder):
    found = synaug.read_data(table(folder, BOTH), DataOptions(label="label", near_duplicates=False))
    assert "'label' (label, by option)" in found.layout
    assert "'path' (path)" in found.layout


def test_json_lines_in_utf_16_and_labels_stored_as_bytes(folder):
    rows = [{"path": f"i/{number}.png", "label": BOTH[number]} for number in range(12)]
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-16")
    assert counts(synaug.read_data(folder / "t.jsonl", EXACT)) == SIX
    pd.DataFrame(rows).assign(label=[label.encode() for label in BOTH]).to_parquet(folder / "t.parquet")
    assert counts(synaug.read_data(folder / "t.parquet", EXACT)) == SIX


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "Testing"), ("train", "test", "unlabeled")])
@pytest.mark.parametrize("above", ["", "images"])
def test_split_folders_without_class_folders_are_not_classes(tmp_path, save_image, names, above):
    for number, name in enumerate(names * 3):
        save_image(tmp_path / above / name / f"{number}.png", seed=number)
    with pytest.raises(DataError, match=r"no labels.*--layout classes"):
        synaug.read_data(tmp_path)
    if not above:
        assert synaug.read_data(tmp_path, DataOptions(layout="classes")).num_classes == len(names)


def test_one_class_may_be_called_train(tmp_path, save_image):
    for number, name in enumerate(("train", "car") * 3):
        save_image(tmp_path / name / f"{number}.png", seed=number)
    assert counts(synaug.read_data(tmp_path)) == {"car": 3, "train": 3}


@pytest.mark.parametrize("names", [("CON", "cat"), ("nul.txt", "cat"), ("what?", "cat"), ("a:b", "com1")])
def test_class_names_that_windows_refuses_are_noted(tmp_path, save_image, names):
    for number, name in enumerate(names * 3):
        save_image(tmp_path / name / f"{number}.png", seed=number)
    assert any("On Windows" in note for note in synaug.read_data(tmp_path).notes)


@pytest.mark.parametrize("name", ["console", "auxiliary", "com", "null", "icon"])
def test_other_class_names_are_not_noted(tmp_path, save_image, name):
    for number, each in enumerate((name, "cat") * 3):
        save_image(tmp_path / each / f"{number}.png", seed=number)
    assert not synaug.read_data(tmp_path).notes


@pytest.mark.parametrize(
    "source", ["", "  ", "https://example.org/t.csv", "s3://bucket/photos", "a\0b", "x" * 300, f"a/{'y' * 256}/b"]
)
def test_invalid_sources_are_refused(source):
    with pytest.raises((DataError, OptionError)):
        synaug.read_data(source)


def test_arrays_with_a_label_of_minus_one_are_noted():
    images = np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((12, 6, 6), np.uint8) * 20
    found = synaug.read_data((images, [-1, 0, 1] * 4), EXACT)
    assert any("'-1'" in note for note in found.notes)
