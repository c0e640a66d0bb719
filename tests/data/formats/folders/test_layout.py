"""Test folder layouts: splits, parts, wrappers and non-data, recognized or rejected, never guessed silently."""

import io

import numpy as np
import pytest
from PIL import Image

from synaug.config import DataOptions
from synaug.data.account import reading_account
from synaug.data.formats.folders.split_names import is_part_name, split_of
from synaug.data.readers import read_data
from synaug.errors import DataError


def place(root, *paths, suffix_format=None):
    """Write a different small image to each path under the root; files without an image suffix get text."""
    for number, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in (".txt", ".csv", ".json", ".xml", ".db"):
            file.write_text("no image")
            continue
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, suffix_format or "PNG")
        file.write_bytes(buffer.getvalue())
    return root


def counted(root, **options):
    """Return images per split and class."""
    manifest = read_data(root, DataOptions(**options), check=False)
    found: dict[str, dict[str, int]] = {}
    for label, split in zip(manifest.labels, manifest.frame["split"], strict=True):
        classes = found.setdefault(split, {})
        classes[manifest.class_names[label]] = classes.get(manifest.class_names[label], 0) + 1
    return found


BOTH = {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}
PAIRS = [
    ("train", "test"), ("Train", "Test"), ("TRAIN", "TEST"), ("Training", "Testing"), ("training_set", "test_set"),
    ("train-set", "test-set"), ("trainset", "testset"), ("Training Set", "Test Set"), ("seg_train", "seg_test"),
    ("train2017", "test2017"), ("train_images", "test_images"), ("images_train", "images_test"), ("trn", "tst"),
    ("01_train", "02_test"), ("train_data", "evaluation"), ("train", "holdout"), ("train", "eval"),
    ("train", "held-out"),
]  # fmt: skip


@pytest.mark.parametrize(("train", "test"), PAIRS)
def test_splits_in_their_usual_spellings(tmp_path, train, test):
    place(tmp_path, f"{train}/cat/1.png", f"{train}/dog/1.png", f"{test}/cat/2.png", f"{test}/dog/2.png")
    assert counted(tmp_path) == BOTH


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev", "development", "valid_set", "val2014"])
def test_validation_splits(tmp_path, name):
    place(tmp_path, "train/cat/1.png", "train/dog/1.png", f"{name}/cat/2.png")
    assert counted(tmp_path)["validation"] == {"cat": 1}


def test_eval_beside_test_is_validation(tmp_path):
    place(tmp_path, *(f"{split}/{name}/1.png" for split in ("train", "eval", "test") for name in ("cat", "dog")))
    assert set(counted(tmp_path)) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    "name", ["bullet_train", "test-tube", "training shoe", "devon rex", "validator", "a test", "train_cat"]
)
def test_classes_with_a_split_in_their_name_are_not_splits(name):
    assert split_of(name) is None


def test_parts_are_named_by_numbers():
    assert is_part_name("Part 2")
    assert not any(map(is_part_name, ["class_1", "7", "cat2", "department 4"]))


TREES = {
    "a folder around the classes": ["PetImages/cat/1.png", "PetImages/dog/1.png", "readme.txt"],
    "two folders around them": ["a/b/cat/1.png", "a/b/dog/1.png"],
    "a folder of macOS": ["cat/1.png", "dog/1.png", "__MACOSX/cat/._1.png", ".DS_Store"],
    "metadata in class folders": ["cat/1.png", "dog/1.png", "cat/metadata.json", "dog/labels.csv", "notes.txt"],
    "parts": ["part1/cat/1.png", "part2/dog/1.png"],
    "only a train folder": ["train/cat/1.png", "train/dog/1.png"],
    "a folder of annotations": ["cat/1.png", "dog/1.png", "annotations/1.xml"],
    "deep classes": ["cat/images/1.png", "dog/images/1.png"],
    "classes that differ inside": ["cat/persian/1.png", "dog/poodle/1.png", "dog/terrier/2.png"][:2],
    "numbered parts of a split": ["train_part1/cat/1.png", "train_part2/dog/1.png"],
}


@pytest.mark.parametrize("kind", TREES)
def test_entries_around_the_classes_do_not_matter(tmp_path, kind):
    assert counted(place(tmp_path, *TREES[kind])) == {"train": {"cat": 1, "dog": 1}}


SPLIT_TREES = {
    "the same name twice": ["seg_train/seg_train/cat/1.png", "seg_train/seg_train/dog/1.png",
                            "seg_test/seg_test/cat/1.png",
                            "seg_test/seg_test/dog/1.png", "seg_pred/seg_pred/1.png"],
    "a folder around the splits": ["data/train/cat/1.png", "data/train/dog/1.png", "data/test/cat/1.png",
                                   "data/test/dog/1.png"],
    "a folder inside the splits": ["train/images/cat/1.png", "train/images/dog/1.png", "test/images/cat/1.png",
                                   "test/images/dog/1.png"],
    "classes above splits": ["cat/train/1.png", "dog/train/1.png", "cat/test/1.png", "dog/test/1.png"],
    "parts of splits": ["train/part1/cat/1.png", "train/part2/dog/1.png", "test/cat/1.png", "test/dog/1.png"],
    "metadata in splits": ["train/cat/1.png", "train/dog/1.png", "train/metadata.json", "test/cat/1.png",
                           "test/dog/1.png",
                           "test/labels.csv"],
    "a class called train": ["train/train/1.png", "train/bus/1.png", "test/train/1.png", "test/bus/1.png"],
}  # fmt: skip


@pytest.mark.parametrize("kind", SPLIT_TREES)
def test_splits_are_found_below_and_above(tmp_path, kind):
    found = counted(place(tmp_path, *SPLIT_TREES[kind]))
    assert [sum(classes.values()) for classes in found.values()] == [2, 2]
    assert set(found) == {"train", "test"}


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["2020/cat/1.png", "2020/dog/1.png", "2021/cat/1.png", "2021/dog/1.png"], "--layout classes"),
        (["2020/cat/1.png", "2020/dog/1.png", "2021/cat/1.png"], "--layout classes"),
        (["indoor/cat/1.png", "indoor/dog/1.png", "outdoor/cat/1.png", "outdoor/dog/1.png"], "--splits outdoor=test"),
        (["train/cat/1.png", "train/dog/1.png", "extra/1.png"], "--splits extra=none"),
        (["train/cat/1.png", "train/dog/1.png", "extra/cat/1.png"], "--splits extra=none"),
        (["test/cat/1.png", "val/cat/1.png"], "--splits test=train"),
        (["part1/1.png", "part2/2.png"], "--layout classes"),
    ],
)
def test_unclear_trees_are_refused_and_name_the_option_that_decides(tmp_path, paths, words):
    with pytest.raises(DataError, match=words):
        counted(place(tmp_path, *paths))


def test_the_options_decide(tmp_path):
    place(tmp_path, "2020/cat/1.png", "2020/dog/1.png", "2021/cat/1.png", "2021/dog/1.png")
    assert counted(tmp_path, layout="classes") == {"train": {"2020": 2, "2021": 2}}
    assert counted(tmp_path, splits={"2020": "train", "2021": "test"}) == BOTH
    assert counted(tmp_path, splits={"2020": "train", "2021": "none"}) == {"train": BOTH["train"]}


def test_the_command_line_takes_them(tmp_path, synaug):
    place(tmp_path, "2020/cat/1.png", "2020/dog/1.png", "2021/cat/2.png", "2021/dog/2.png")
    assert synaug("count", tmp_path).code == 4
    found = synaug("count", tmp_path, "--splits", "2020=train", "--splits", "2021=test")
    assert "a folder per split (2020 = train, 2021 = test)" in found.out
    assert '"2021"' in synaug("count", tmp_path, "--layout", "classes", "--json").out
    assert synaug("count", tmp_path, "--splits", "2021").code == 2


# ---------------------------------------------------------------- files that are skipped


def left_out(root, **options):
    account = reading_account(read_data(root, DataOptions(**options), check=False))
    return {(item["reason"], item["suffix"]): item["number"] for item in account["left_out"]}


def test_everything_that_is_not_read_is_counted_by_reason_and_suffix(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png", "loose.png", "cat/a.txt", "dog/b.txt", "cat/c.XML", "dog/.hidden.png",
          "__MACOSX/1.png", ".git/1.png", "dog/Thumbs.db")  # fmt: skip
    assert left_out(tmp_path) == {
        ("is not an image", ".txt"): 2,
        ("is not an image", ".xml"): 1,
        ("is not an image", ".db"): 1,
        ("is a hidden file", ".png"): 1,
        ("is a hidden folder", "folder"): 1,
        ("is a folder of the operating system", "folder"): 1,
        ("lies in no class folder", ".png"): 1,
    }


def test_unlabeled_images_of_a_split_are_counted_and_noted(tmp_path):
    place(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png", "unlabeled/3.png")
    manifest = read_data(tmp_path)
    assert set(manifest.frame["split"]) == {"train"}
    assert left_out(tmp_path) == {("lies in no class folder", ".png"): 3}
    assert len(manifest.notes) == 2


def test_images_are_recognized_by_content_whatever_their_names(tmp_path):
    names = ["1", "2.jfif", "3.jpe", "4.JPG", "5.image", "6.jpg_large", "7.0"]
    place(tmp_path, *(f"cat/{name}" for name in names), "dog/1.png", suffix_format="JPEG")
    assert counted(tmp_path) == {"train": {"cat": 7, "dog": 1}}


def test_folders_that_synaug_wrote_are_not_data(tmp_path):
    place(tmp_path, "cat/1.png", "dog/1.png", "runs/photos/synthetic/cat/1.png", "out/train/cat/2.png")
    (tmp_path / "runs/photos/synaug.lock.json").write_text("{}")
    (tmp_path / "out/.synaug").write_text('{"synaug": "export"}')
    assert counted(tmp_path) == {"train": {"cat": 1, "dog": 1}}
    assert left_out(tmp_path) == {("was written by synaug", "folder"): 2}
    with pytest.raises(DataError, match="was written by synaug"):
        read_data(tmp_path / "runs/photos")


def test_the_account_is_printed_and_in_json(tmp_path, synaug):
    place(tmp_path, "Training/cat/1.png", "Training/dog/1.png", "Testing/cat/2.png", "Testing/dog/2.png", "a.txt")
    printed = synaug("count", tmp_path).out
    assert "a folder per split (Training = train, Testing = test)" in printed
    assert "1 .txt: is not an image (a.txt)" in printed
    assert '"left_out"' in synaug("count", tmp_path, "--json").out
