"""Test random folders, tables and arrays of known content: counted correctly, omissions listed, or rejected clearly."""

import csv
import io
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from synaug.config import DataOptions
from synaug.data.readers import read_data
from synaug.errors import DataError

FEW = settings(max_examples=30, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=1000, suppress_health_check=list(HealthCheck))

CLASSES = st.lists(
    st.sampled_from(["cat", "dog", "bullet_train", "7", "t-shirt", "caf\u00e9", "test-tube", "part", "N A"]),
    min_size=2, max_size=4, unique=True,
)  # fmt: skip
SPLITS = {
    "train": ["train", "Training", "TRAIN", "train_set", "seg_train", "train2017", "trn"],
    "validation": ["val", "valid", "Validation", "dev"],
    "test": ["test", "Testing", "test_set", "seg_test", "tst"],
}
AROUND = ["", "data", "a/b", "Set of Pets"]
JUNK = ["notes.txt", "labels.csv", ".DS_Store", "__MACOSX/._1.png", "readme.md", "Thumbs.db", "x.mp4"]
SUFFIXES = {
    "PNG": [".png", ".PNG", "", ".jpg"],
    "JPEG": [".jpg", ".jfif", ".jpe", ".image"],
    "WEBP": [".webp"],
    "AVIF": [".avif"],
}


def encoded(number, kind):
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((16, 16), Image.Resampling.NEAREST).save(buffer, kind)
    return buffer.getvalue()


IMAGES = {kind: [encoded(number, kind) for number in range(60)] for kind in SUFFIXES}


@st.composite
def trees(draw):
    """Return files (path -> bytes), the expected (split, class) counts, and the number of non-data paths."""
    names, around = draw(CLASSES), draw(st.sampled_from(AROUND))
    used = draw(st.sampled_from([(), ("train", "test"), ("train", "validation", "test"), ("train",)]))
    spelled = {split: draw(st.sampled_from(SPLITS[split])) for split in used}
    files, expected, number = {}, Counter(), 0
    for split in used or ("train",):
        for name in names:
            for _ in range(draw(st.integers(1, 3))):
                kind = draw(st.sampled_from(sorted(SUFFIXES)))
                suffix = draw(st.sampled_from(SUFFIXES[kind]))
                place = os.path.join(around, spelled.get(split, ""), name, f"{number}{suffix}")
                files[place] = IMAGES[kind][number % 60]
                expected[split, name] += 1
                number += 1
    junk = draw(st.lists(st.sampled_from(JUNK), max_size=3, unique=True))
    folders = sorted({os.path.dirname(path) for path in files} | {""})
    for name in junk:
        files[os.path.join(draw(st.sampled_from(folders)), name)] = b"no image"
    return files, expected, len(junk)


def written(files, root):
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def counts(manifest):
    names = [manifest.class_names[label] for label in manifest.labels]
    return Counter(zip(manifest.frame["split"], names, strict=True))


def check_tree(tree):
    files, expected, num_junk = tree
    root = Path(tempfile.mkdtemp())
    try:
        written(files, root)
        manifest = read_data(root, DataOptions(near_duplicates=False))
        omitted = sum(item.number for item in manifest.left_out) + len(manifest.quarantined)
        assert counts(manifest) == expected
        assert omitted == num_junk
        assert manifest.layout
    finally:
        shutil.rmtree(root)


@st.composite
def tables(draw):
    """Return the text of a table, its expected counts, and the number of non-data rows."""
    names = draw(st.sampled_from([["cat", "dog"], ["0", "1"], ["a b", "c"], ["True", "False"], ["10", "9", "8"]]))
    blank = draw(st.sampled_from(["", " "]))
    as_float = names[0].isdecimal() and draw(st.booleans())
    with_split, with_origin = draw(st.booleans()), draw(st.booleans())
    rows, expected, left_out = [], Counter(), 0
    for number in range(draw(st.integers(len(names), 12))):
        name = names[number % len(names)]
        split = (
            draw(st.sampled_from(["train", "Test", "dev", "unlabeled"]))
            if with_split and number >= len(names)
            else "train"
        )
        origin = draw(st.sampled_from(["true", "0", "no"])) if with_origin else "0"
        rows.append([f"{number}.png", blank + (f"{name}.0" if as_float else name), split, origin])
        usual = {"train": "train", "Test": "test", "dev": "validation"}.get(split)
        if usual is None or (origin == "true" and usual != "train"):
            left_out += 1
        else:
            expected[usual, name] += 1
    columns = ["path", "label", *(["split"] if with_split else []), *(["is_synthetic"] if with_origin else [])]
    kept = [0, 1, *([2] if with_split else []), *([3] if with_origin else [])]
    return columns, [[row[place] for place in kept] for row in rows], expected, left_out


def check_table(table):
    columns, rows, expected, num_left_out = table
    root = Path(tempfile.mkdtemp())
    try:
        written({f"{number}.png": IMAGES["PNG"][number] for number in range(12)}, root)
        with open(root / "t.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
        manifest = read_data(root / "t.csv", DataOptions(near_duplicates=False))
        assert counts(manifest) == expected
        assert sum(item.number for item in manifest.left_out) == num_left_out
        assert not (manifest.is_synthetic & (manifest.frame["split"] != "train")).any()
    finally:
        shutil.rmtree(root)


@st.composite
def arrays(draw):
    number, num_classes = draw(st.integers(2, 12)), draw(st.integers(2, 3))
    positions = [n % num_classes for n in range(max(number, num_classes))]
    forms = {
        "list": positions,
        "column": np.array(positions)[:, None],
        "one-hot": np.eye(num_classes)[positions],
        "floats": np.array(positions, float),
        "texts": [f" {position} " for position in positions],
        "several": [[position, 1] for position in positions],
        "scores": np.array(positions) + 0.25,
    }
    form = draw(st.sampled_from(sorted(forms)))
    return forms[form], positions, form in ("several", "scores")


def check_arrays(case):
    labels, positions, is_refused = case
    images = np.random.default_rng(0).integers(0, 256, (len(positions), 6, 6, 3), dtype=np.uint8)
    if is_refused:
        with pytest.raises(DataError, match=r"several|scores|one-hot"):
            read_data((images, labels))
        return
    manifest = read_data((images, labels), DataOptions(near_duplicates=False))
    assert [manifest.class_names[label] for label in manifest.labels] == [str(position) for position in positions]


test_random_trees = FEW(given(trees())(check_tree))
test_random_tables = FEW(given(tables())(check_table))
test_random_arrays = FEW(given(arrays())(check_arrays))


@pytest.mark.long
@pytest.mark.parametrize(("cases", "check"), [(trees(), check_tree), (tables(), check_table), (arrays(), check_arrays)])
def test_a_thousand_random_inputs_of_each_kind(cases, check):
    MANY(given(cases)(lambda case: check(case)))()
