"""Test readers: folders, tables, Parquet, Waterbirds, SubpopBench and UTKFace, and messages for bad data."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synaug.config import DataOptions
from synaug.data.images.ai_mark import marked
from synaug.data.images.codec import Encoding, encode
from synaug.data.manifest import read_image
from synaug.data.manifest_file import write_manifest
from synaug.data.readers import read_data
from synaug.errors import DataError, OptionError
from synaug.runtime import storage


def png(value=0):
    return encode(Image.fromarray(np.full((4, 4, 3), value, np.uint8)), Encoding())


def place(root, *paths):
    """Write a different small PNG to each path under the root."""
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(number))
    return root


def rows(manifest):
    """Return (id, class name, split) of every row."""
    names = [manifest.class_names[label] for label in manifest.labels]
    return list(zip(manifest.frame["id"], names, manifest.frame["split"], strict=True))


def table(root, text, name="images.csv"):
    (root / name).write_text(text, encoding="utf-8")
    return root / name


# ---------------------------------------------------------------- folders


def test_class_folders(tmp_path):
    place(tmp_path, "dog/1.png", "cat/deep/2.JPG", "cat/1.png")
    manifest = read_data(tmp_path)
    assert manifest.class_names == ("cat", "dog")
    assert rows(manifest) == [
        ("cat/1.png", "cat", "train"),
        ("cat/deep/2.JPG", "cat", "train"),
        ("dog/1.png", "dog", "train"),
    ]
    assert manifest.frame["sha256"][0] == storage.digest((tmp_path / "cat/1.png").read_bytes())
    assert set(manifest.frame["source"]) == {"real"}


def test_split_folders(tmp_path):
    place(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "test/dog/3.png")
    assert [split for _, _, split in rows(read_data(tmp_path))] == ["train", "train", "validation", "test"]


def test_classes_may_be_called_like_splits(tmp_path):
    place(tmp_path, "train/1.png", "test/1.png")
    assert rows(read_data(tmp_path, DataOptions(layout="classes"))) == [
        ("test/1.png", "test", "train"),
        ("train/1.png", "train", "train"),
    ]


def test_a_class_called_train_in_a_split_tree(tmp_path):
    place(tmp_path, "train/train/1.png", "train/bus/1.png", "test/train/1.png")
    assert read_data(tmp_path).class_names == ("bus", "train")


def test_split_folders_beside_others_are_unclear(tmp_path):
    place(tmp_path, "train/cat/1.png", "train/dog/1.png", "extra/1.png")
    with pytest.raises(DataError, match=r"split folder 'train' beside the folder 'extra'"):
        read_data(tmp_path)


def test_split_folders_without_training_images(tmp_path):
    place(tmp_path, "test/cat/1.png", "val/cat/1.png")
    with pytest.raises(DataError, match=r"no 'train'"):
        read_data(tmp_path)


def test_hidden_and_other_files_are_ignored(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png", "cat/._1.png", ".cache/2.png")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    assert len(read_data(tmp_path)) == 2


def test_numeric_class_names_stay_text_in_text_order(tmp_path):
    assert read_data(place(tmp_path, "10/1.png", "9/1.png")).class_names == ("10", "9")


def test_links_to_files_inside_are_read(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "dog" / "2.png").symlink_to(tmp_path / "cat" / "1.png")
    assert len(read_data(tmp_path)) == 3


def test_links_out_of_the_root_are_refused(tmp_path):
    place(tmp_path, "data/cat/1.png", "data/dog/1.png", "secret.png")
    (tmp_path / "data/dog/2.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match=r"'dog/2.png' is a link that leads out of"):
        read_data(tmp_path / "data")


@pytest.mark.parametrize("link", ["data/bird", "data/dog/deep"])
def test_links_to_folders_are_refused(tmp_path, link):
    place(tmp_path, "data/cat/1.png", "data/dog/1.png", "birds/1.png")
    (tmp_path / link).symlink_to(tmp_path / "birds")
    with pytest.raises(DataError, match=r"is a link to a folder"):
        read_data(tmp_path / "data")


def test_synthetic_images_are_recognized_by_their_mark(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "dog" / "2.png").write_bytes(marked(png(9)))
    assert read_data(tmp_path).is_synthetic.tolist() == [False, False, True]


# ---------------------------------------------------------------- bad folders


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "has no images"),
        (["1.png"], "images but no class folders"),
        (["cat/1.png"], "only one class, 'cat'"),
        (["cat/1.png", "Cat/1.png"], "'Cat' and 'cat' differ only by letter case"),
        (["caf\u00e9/1.png", "cafe\u0301/1.png"], "differ only by letter case or Unicode form"),
        (["cat/1.png", "dog./1.png"], "'dog.' ends with a dot or a space"),
        (["cat/1.png", "do\ng/1.png"], "has a control character"),
        (["cat/1.png", "do\\g/1.png"], "has a path separator"),
        (["train/cat/1.png", "train/dog/1.png", "test/cow/1.png"], "no training images in class 'cow'"),
    ],
)
def test_bad_folders(tmp_path, paths, words):
    with pytest.raises(DataError, match=words):
        read_data(place(tmp_path, *paths))


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"nowhere does not exist. Pass a folder"):
        read_data(tmp_path / "nowhere")


def test_a_class_folder_without_images_is_left_out_and_noted(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "cow").mkdir()
    (tmp_path / "cow" / "notes.txt").write_text("none yet")
    manifest = read_data(tmp_path)
    assert manifest.class_names == ("cat", "dog")
    assert manifest.notes == ("The folder 'cow' has no images, so it is left out.",)
    assert [(item.suffix, item.number) for item in manifest.left_out] == [(".txt", 1)]


def test_no_table(tmp_path):
    (tmp_path / "data.xlsx").write_bytes(b"")
    with pytest.raises(DataError, match=r"is not a table; supported suffixes: .csv, .tsv"):
        read_data(tmp_path / "data.xlsx")


def test_columns_do_not_go_with_a_tree(tmp_path):
    with pytest.raises(OptionError, match=r"columns,.*label 'x'"):
        read_data(place(tmp_path, "cat/1.png", "dog/1.png"), DataOptions(label="x"))


def test_unreadable_images_are_quarantined_by_name(tmp_path):
    place(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
    (tmp_path / "cat/2.png").write_bytes(b"")
    (tmp_path / "dog/2.png").write_bytes(png()[:-30])
    manifest = read_data(tmp_path, DataOptions(max_unreadable=0.5))
    assert manifest.frame["id"].tolist() == ["cat/1.png", "dog/1.png"]
    assert [item.path for item in manifest.quarantined] == ["cat/2.png", "dog/2.png"]
    assert "is not an image" in manifest.quarantined[0].reason
    assert "is not an image" in manifest.quarantined[1].reason


def test_too_many_unreadable_images_are_an_error(tmp_path):
    place(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png")
    (tmp_path / "cat/2.png").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"1.*3 images.*1.0%.*cat/2.png"):
        read_data(tmp_path)


def test_a_class_whose_images_are_all_unreadable(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png", "cow/1.png")
    (tmp_path / "cow/1.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no training images in class 'cow'"):
        read_data(tmp_path, DataOptions(max_unreadable=0.5))


def test_without_check_nothing_is_opened(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "cat/1.png").write_bytes(b"")
    manifest = read_data(tmp_path, check=False)
    assert manifest.frame["sha256"].tolist() == ["", ""]


def test_progress_reaches_the_total(tmp_path):
    seen = []
    read_data(place(tmp_path, "cat/1.png", "dog/1.png"), progress=lambda *call: seen.append(call))
    assert seen[-1] == ("checking images", 2, 2, "")


# ---------------------------------------------------------------- tables


def test_csv(tmp_path):
    place(tmp_path, "a.png", "b.png", "c.png")
    path = table(tmp_path, "path,label,split\na.png,dog,train\nb.png,cat,train\n./c.png,cat,test\n")
    manifest = read_data(path)
    assert rows(manifest) == [("a.png", "dog", "train"), ("b.png", "cat", "train"), ("c.png", "cat", "test")]
    assert read_image(manifest, 1).size == (4, 4)


def test_csv_with_byte_order_mark_and_semicolons(tmp_path):
    place(tmp_path, "a, b.png", "b.png")
    path = table(tmp_path, "\ufeffimage;label\na, b.png;NA\nb.png;null\n")
    assert read_data(path).class_names == ("NA", "null")


def test_tsv_with_chosen_columns_and_attribute(tmp_path):
    place(tmp_path, "a.png", "b.png", "c.png")
    text = "where\tkind\tlabel\tcolor\na.png\tx\t1\tred\nb.png\ty\t2\tblue\nc.png\ty\t3\t\n"
    options = DataOptions(path="where", label="kind", attribute="color")
    manifest = read_data(table(tmp_path, text, "images.tsv"), options)
    assert manifest.class_names == ("x", "y")
    assert manifest.attribute_names == ("blue", "red")
    assert manifest.attributes.tolist() == [1, 0, -1]


def test_whole_numbers_are_numbered_by_value_and_named_by_text(tmp_path):
    place(tmp_path, "a.png", "b.png")
    assert read_data(table(tmp_path, "path,label\na.png,10\nb.png,9\n")).class_names == ("9", "10")


def test_leading_zeros_stay(tmp_path):
    place(tmp_path, "a.png", "b.png")
    assert read_data(table(tmp_path, "path,label\na.png,010\nb.png,9\n")).class_names == ("010", "9")


def test_json_lines(tmp_path):
    place(tmp_path, "a.png", "b.png")
    lines = [{"file_name": "a.png", "label": 3}, {"file_name": "b.png", "label": 1}]
    path = table(tmp_path, "\n".join(map(json.dumps, lines)), "images.jsonl")
    assert rows(read_data(path)) == [("a.png", "3", "train"), ("b.png", "1", "train")]


def test_parquet_with_paths(tmp_path):
    place(tmp_path, "a.png", "b.png")
    pd.DataFrame({"path": ["a.png", "b.png"], "label": [1.0, 0.0]}).to_parquet(tmp_path / "x.parquet")
    assert read_data(tmp_path / "x.parquet").class_names == ("0", "1")


def test_parquet_of_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "ant"])})
    images = [{"bytes": png(1), "path": "1.png"}, {"bytes": png(2), "path": "2.png"}]
    data = datasets.Dataset.from_dict({"image": images, "label": [0, 1]}, features=features)
    data.to_parquet(tmp_path / "x.parquet")
    manifest = read_data(tmp_path / "x.parquet")
    assert rows(manifest) == [("1.png", "zebra", "train"), ("2.png", "ant", "train")]
    assert manifest.class_names == ("zebra", "ant")
    assert np.asarray(read_image(manifest, 1)).max() == 2


def test_parquet_with_text_labels_and_unnamed_images(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": png(1), "path": None}, {"bytes": png(2), "path": None}], kind)
    pq.write_table(pa.table({"image": images, "label": ["b", "a"]}), tmp_path / "x.parquet")
    assert rows(read_data(tmp_path / "x.parquet")) == [("row-0000000", "b", "train"), ("row-0000001", "a", "train")]


def test_metadata_of_waterbirds(tmp_path):
    place(tmp_path, "001.A/a.png", "002.B/b.png", "003.C/c.png", "004.D/d.png")
    header = "img_id,img_filename,y,split,place,place_filename\n"
    lines = ["1,001.A/a.png,0,0,0,f", "2,002.B/b.png,1,0,1,f", "3,003.C/c.png,1,1,0,f", "4,004.D/d.png,0,2,1,f"]
    table(tmp_path, header + "\n".join(lines), "metadata.csv")
    manifest = read_data(tmp_path)
    assert manifest.class_names == ("landbird", "waterbird")
    assert manifest.attribute_names == ("land", "water")
    assert manifest.labels.tolist() == [0, 1, 1, 0]
    assert manifest.attributes.tolist() == [0, 1, 0, 1]
    assert manifest.frame["split"].tolist() == ["train", "train", "validation", "test"]


def test_csv_of_subpopbench(tmp_path):
    place(tmp_path, "a.png", "b.png", "c.png")
    manifest = read_data(table(tmp_path, "id,filename,split,y,a\n0,a.png,0,0,1\n1,b.png,0,1,0\n2,c.png,2,1,1\n"))
    assert manifest.class_names == ("0", "1")
    assert manifest.attributes.tolist() == [1, 0, 1]
    assert manifest.frame["split"].tolist() == ["train", "train", "test"]


def test_an_image_listed_again_is_kept_once_and_named(tmp_path):
    place(tmp_path, "a.png", "b.png")
    manifest = read_data(table(tmp_path, "path,label\na.png,x\nb.png,y\na.png,x\n"))
    assert len(manifest) == 2
    assert manifest.quarantined[0].reason == "is listed again"


def test_a_manifest_is_returned_as_it_is_or_read_back(tmp_path):
    place(tmp_path, "data/cat/1.png", "data/dog/1.png")
    manifest = read_data(tmp_path / "data")
    assert read_data(manifest) is manifest
    write_manifest(manifest, tmp_path / "manifest.parquet")
    assert rows(read_data(tmp_path / "manifest.parquet")) == rows(manifest)


# ---------------------------------------------------------------- bad tables


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty or starts with an empty line"),
        ("path,label\n", "has no rows"),
        ("path,kind\na.png,x\n", "no label column with one of the usual names.*Its columns: path, kind.*--label"),
        ("where,label\na.png,x\n", "no path column with one of the usual names"),
        ("path,label,label\na.png,x,y\n", "has the column 'label' twice"),
        ("path,label\na.png,x\nb.png,\n", "column 'label' has no value in 1 of 2 rows, first in row 2"),
        ("path,label\na.png,x\nb.png\n", "line 3 has 1 cell, but the header has 2"),
        ("path,label\na.png,x,z\nb.png,y\n", "line 2 has 3 cells, but the header has 2"),
        ("path,label\n,x\nb.png,y\n", "column 'path' has no value"),
        ("path,label\na.png,x\nb.png,x\n", "only one class, 'x'"),
        ("path,label\na.png,x\na.png,y\n", "1 image with several labels; the first, 'a.png', has 'x' and 'y'"),
        ("path,label,split\na.png,x,0\na.png,x,2\n", "1 image with several splits"),
        (
            "path,label,split\na.png,x,1st\nb.png,y,0\n",
            "has values that name no split: '1st'. Known: train, val",
        ),
        ("path,label\n../a.png,x\nb.png,y\n", "'../a.png' is not allowed"),
        ("path,label\n/etc/a.png,x\nb.png,y\n", "'/etc/a.png' is not allowed"),
        ("path,label\na.png,t-shirt/top\nb.png,y\n", "'t-shirt/top' has a path separator"),
        ("path,label\na.png,.x\nb.png,y\n", "'.x' starts with a dot"),
        (f"path,label\na.png,{'x' * 256}\nb.png,y\n", "has 256 bytes, but at most 255 are allowed"),
        ("path,label,split\na.png,x,0\nb.png,y,2\n", "no training images in class 'y'"),
        ("path,label\na.png,x\nc.png,y\n", "c.png cannot be read: No such file"),
    ],
)
def test_bad_csv(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_data(table(place(tmp_path, "a.png", "b.png"), text))


def test_a_misspelled_column_names_the_nearest(tmp_path):
    path = table(tmp_path, "path,color\na.png,x\n")
    with pytest.raises(DataError, match=r"label column 'colour'..*'color'..*columns: path, col"):
        read_data(path, DataOptions(label="colour"))


def test_text_that_is_not_utf8(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"path,label\n\xff.png,x\n")
    with pytest.raises(DataError, match=r"x.csv is not UTF-8 text"):
        read_data(tmp_path / "x.csv")


def test_missing_and_fractional_labels_of_parquet(tmp_path):
    place(tmp_path, "a.png", "b.png")
    for labels, words in (([1.0, np.nan], "no value in 1 of 2 rows"), ([0.5, 1.0], "fractions such as 0.5")):
        pd.DataFrame({"path": ["a.png", "b.png"], "label": labels}).to_parquet(tmp_path / "x.parquet")
        with pytest.raises(DataError, match=words):
            read_data(tmp_path / "x.parquet")


def test_damaged_parquet(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"The table .*x.parquet cannot be read"):
        read_data(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("line", "words"),
    [("{", "line 2 is not JSON"), ("[1]", "line 2 is not an object"), ('{"a": 1, "a": 2}', "column 'a' twice")],
)
def test_bad_json_lines(tmp_path, line, words):
    path = table(tmp_path, '{"path": "a.png", "label": "x"}\n' + line + "\n", "x.jsonl")
    with pytest.raises(DataError, match=words):
        read_data(path)


def test_a_link_in_a_table_may_not_leave_its_folder(tmp_path):
    place(tmp_path, "data/a.png", "far/b.png")
    (tmp_path / "data/far").symlink_to(tmp_path / "far")
    path = table(tmp_path / "data", "path,label\na.png,x\nfar/b.png,y\n")
    with pytest.raises(DataError, match=r"'far/b.png' is a link that leads out of"):
        read_data(path)


def test_two_metadata_files(tmp_path):
    table(tmp_path, "path,label\n", "metadata.csv")
    table(tmp_path, "{}", "metadata.jsonl")
    with pytest.raises(DataError, match=r"has metadata.csv and metadata.jsonl; name the one to read"):
        read_data(tmp_path)


def test_no_fifo_is_opened(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png")
    os.mkfifo(tmp_path / "cat/2.png")
    with pytest.raises(DataError, match=r"cat/2.png.*(folder|named pipe),"):
        read_data(tmp_path)


# ---------------------------------------------------------------- UTKFace

FACES = ("5_0_0_20170116.jpg.chip.jpg", "36_1_2_20170116.jpg", "36_1_4_20170117.jpg", "80_0_1_20170118.jpg")


def test_utkface_label_and_attribute(tmp_path):
    manifest = read_data(place(tmp_path, *FACES), DataOptions(label="gender", attribute="race"))
    assert manifest.class_names == ("female", "male")
    assert manifest.attribute_names == ("asian", "black", "other", "white")
    assert [name.split("_")[0] for name in manifest.frame["id"]] == ["36", "36", "5", "80"]
    assert manifest.labels.tolist() == [0, 0, 1, 1]


def test_utkface_age_bands(tmp_path):
    assert read_data(place(tmp_path, *FACES), DataOptions(label="age_band")).class_names == ("0-19", "20-39", "60+")


def test_utkface_names_that_lack_a_field_are_quarantined(tmp_path):
    place(tmp_path, *FACES, "61_1_20170109142408075.jpg")
    manifest = read_data(tmp_path, DataOptions(label="gender", max_unreadable=0.3))
    assert len(manifest) == 4
    assert manifest.quarantined[0].path == "61_1_20170109142408075.jpg"
    with pytest.raises(DataError, match=r"1 of 5 images .*\[age\]_\[gender\]_\[race\]_\[time\]"):
        read_data(tmp_path, DataOptions(label="gender"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "the label must be chosen: --label with one of age_band, gender, race"),
        ({"label": "genders"}, "Unknown UTKFace label 'genders'. Did you mean 'gender'?"),
        ({"label": "race", "attribute": "race"}, "are both 'race'"),
    ],
)
def test_utkface_options(tmp_path, options, words):
    with pytest.raises(OptionError, match=words):
        read_data(place(tmp_path, *FACES), DataOptions(**options))
