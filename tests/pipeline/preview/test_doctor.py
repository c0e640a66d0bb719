"""Test the facts reported about a data set before generating images."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from synaug.config import Recipe
from synaug.errors import DataError
from synaug.pipeline.preview.doctor import class_verdict, doctor
from synaug.runtime import storage


@pytest.fixture
def copied(photos, tmp_path, monkeypatch):
    """A tree of three classes to change; no pretrained weights are available."""
    monkeypatch.delenv("SYNAUG_WEIGHTS", raising=False)
    monkeypatch.setattr("synaug.training.networks.weights.SMALL_NETWORKS", ())
    monkeypatch.setattr("synaug.training.networks.weights.network_at_hand", lambda: None)
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    return root


def some(folder):
    return sorted(folder.iterdir())[0]


def test_a_clean_set_has_a_verdict_per_class_and_a_next_command(copied):
    content = doctor(copied, Recipe())
    assert content["counts"]["class_counts"] == {"ankle boot": 6, "bag": 24, "coat": 12}
    assert content["images_to_make"] == 18 + 12
    assert content["duplicates"] == {"exact": 0, "near": 0, "across_splits": 0, "contradictory": 0}
    assert content["baseline"] | {"mean_recall": None} == {"network": None, "num_images": 42, "mean_recall": None}
    assert all(len(row["recalls"]) == 3 for row in content["classes"].values())
    assert content["next"] == f"synaug run {copied} --dry-run"
    assert content["without_model"] == f"synaug run {copied} --target none"


def test_duplicates_and_contradictory_labels_are_counted(copied):
    shutil.copy(some(copied / "bag"), copied / "bag" / "again.png")
    shutil.copy(some(copied / "coat"), copied / "bag" / "other.png")
    content = doctor(copied, Recipe())
    assert content["duplicates"]["exact"] == 2
    assert content["duplicates"]["contradictory"] == 1
    assert any("different labels" in sentence for sentence in content["findings"])


def test_nearly_equal_images_do_not_count_as_exact_repetitions(copied):
    image = Image.open(some(copied / "bag")).convert("RGB")
    image.save(copied / "bag" / "again.jpg", quality=90)
    duplicates = doctor(copied, Recipe())["duplicates"]
    assert (duplicates["exact"], duplicates["near"] > 0) == (0, True)


def test_a_training_image_in_the_test_split_is_found(copied, tmp_path):
    root = tmp_path / "split"
    for name in ("bag", "coat", "ankle boot"):
        shutil.copytree(copied / name, root / "train" / name)
        storage.make_folder(root / "test" / name)
        shutil.copy(some(copied / name), root / "test" / name / "leak.png")
    assert doctor(root, Recipe())["duplicates"]["across_splits"] == 3


def test_a_swapped_label_is_suspected(tmp_path, monkeypatch):
    monkeypatch.setattr("synaug.training.networks.weights.SMALL_NETWORKS", ())
    monkeypatch.setattr("synaug.training.networks.weights.network_at_hand", lambda: None)
    rng = np.random.default_rng(0)
    for name, color in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
        storage.make_folder(tmp_path / name)
        for number in range(30):
            values = np.clip(rng.normal(color, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    shutil.move(tmp_path / "red" / "3.png", tmp_path / "blue" / "swapped.png")
    found = doctor(tmp_path, Recipe())["label_suspects"]
    assert [(row["path"], row["likelier"]) for row in found] == [("blue/swapped.png", "red")]


def test_one_class_is_refused(copied):
    for name in ("coat", "ankle boot"):
        shutil.rmtree(copied / name)
    with pytest.raises(DataError):
        doctor(copied, Recipe())


@pytest.mark.parametrize(
    ("images", "recalls", "verdict"),
    [
        (9, (1, 1, 1), "unknown"),
        (9, (0.2, 0.4, 0.6), "unknown"),
        (10, (1, 1, 1), "good"),
        (29, (0.5, 0.5, 0.5), "unknown"),
        (30, (0.5, 0.5, 0.5), "flat"),
        (50, (0.5, np.nan, np.nan), "unknown"),
        (50, (0.9, 0.94, 0.97), "good"),
        (50, (0.4, 0.6, 0.8), "would gain"),
        (50, (0.8, 0.8, 0.81), "flat"),
    ],
)
def test_the_verdict_follows_the_last_doubling(images, recalls, verdict):
    assert class_verdict(images, np.array(recalls)) == verdict


def test_ten_images_are_too_few_for_any_verdict(copied, synaug):
    for name in ("coat", "bag", "ankle boot"):
        for path in sorted((copied / name).iterdir())[5:]:
            path.unlink()
    shutil.rmtree(copied / "coat")
    printed = " ".join(synaug("doctor", copied).out.split())
    assert "hardly help" not in printed
    assert "Too few images to judge whether more would help: ankle boot, bag." in printed


def test_the_command_prints_a_table_or_json_and_writes_nothing(copied, synaug):
    before = sorted(path for path in copied.parent.rglob("*"))
    assert json.loads(synaug("doctor", copied, "--json").out)["images_to_make"] == 30
    printed = synaug("doctor", copied)
    assert printed.code == 0
    assert "ankle boot" in printed.out
    assert sorted(path for path in copied.parent.rglob("*")) == before
