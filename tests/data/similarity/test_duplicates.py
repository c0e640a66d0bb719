"""Test duplicates: found across splits and labels, kept together by new test splits, dropped on request."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from synaug.config import DataOptions
from synaug.data.images.thumbnails import thumbnails
from synaug.data.manifest_file import read_manifest, write_manifest
from synaug.data.readers import read_data
from synaug.data.similarity.similarity_search import near_pairs
from synaug.data.subsets import with_test_split
from synaug.errors import DataError


def picture(seed):
    """Return a smooth random image; different seeds give dissimilar ones."""
    coarse = np.random.default_rng(seed).integers(0, 220, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC)


def place(root, images):
    for path, image in images.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / path)
    return root


CHANGES = {
    "equal": lambda image: image,
    "mirrored": ImageOps.mirror,
    "brighter": lambda image: image.point(lambda value: value + 25),
    "gray": lambda image: image.convert("L"),
    "larger": lambda image: image.resize((96, 96), Image.Resampling.BICUBIC),
    "shifted": lambda image: Image.fromarray(np.pad(np.asarray(image), ((0, 3), (0, 3), (0, 0)), "edge")[3:, 3:]),
}


@pytest.fixture
def tree(tmp_path):
    return place(
        tmp_path, {f"{name}/{n}.png": picture(20 * c + n) for c, name in enumerate(("cat", "dog")) for n in range(20)}
    )


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_another_class_is_found(tree, change):
    place(tree, {"dog/copy.png": CHANGES[change](picture(3))})
    found = read_data(tree).duplicates
    assert found.num_two_labels == 2
    pair = found.two_labels[0]
    assert (pair.first, pair.second, pair.is_equal) == ("cat/3.png", "dog/copy.png", change == "equal")


def test_different_images_are_not_alike(tree):
    manifest = read_data(tree)
    assert manifest.duplicates.num_two_labels == 0
    assert manifest.frame["cluster"].is_unique
    assert manifest.notes == ()


def test_a_recompressed_copy_is_found_across_splits(tmp_path):
    place(
        tmp_path, {f"train/{name}/{n}.png": picture(20 * c + n) for c, name in enumerate(("a", "b")) for n in range(9)}
    )
    place(tmp_path, {"test/a/1.jpg": picture(2), "test/b/1.png": picture(25), "test/b/2.png": picture(99)})
    manifest = read_data(tmp_path)
    assert (manifest.duplicates.num_leaked, manifest.duplicates.num_two_labels) == (2, 0)
    assert "2 validation or test images" in manifest.notes[0]


def test_the_search_for_nearly_equal_images_can_be_off(tree):
    place(tree, {"dog/copy.png": picture(3), "dog/other.jpg": picture(4)})
    assert read_data(tree, DataOptions(near_duplicates=False)).duplicates.num_two_labels == 2


def test_duplicates_are_dropped_from_training_or_refused(tmp_path):
    place(
        tmp_path, {f"train/{name}/{n}.png": picture(20 * c + n) for c, name in enumerate(("a", "b")) for n in range(9)}
    )
    place(tmp_path, {"train/b/copy.png": picture(5), "test/a/1.png": picture(2), "test/b/1.png": picture(99)})
    manifest = read_data(tmp_path, DataOptions(duplicates="drop"))
    gone = {"train/a/2.png", "train/a/5.png", "train/b/copy.png"}
    assert not gone & set(manifest.frame["id"])
    assert len(manifest) == 9 + 9 + 1 + 2 - len(gone)
    assert sum(item.number for item in manifest.left_out) == len(gone)
    with pytest.raises(DataError, match=r"data\.duplicates: drop"):
        read_data(tmp_path, DataOptions(duplicates="error"))


def test_nearly_equal_images_share_a_side_of_the_test_split_across_classes(tree):
    place(tree, {f"dog/copy-{n}.jpg": picture(n) for n in range(0, 20, 2)})
    manifest = read_data(tree)
    for seed in range(5):
        split = with_test_split(manifest, 0.3, seed).frame
        assert split.groupby("cluster")["split"].nunique().max() == 1
        assert set(split.loc[split["split"] == "test", "label"]) == {0, 1}
        assert set(split.loc[split["split"] == "train", "label"]) == {0, 1}


def test_groups_stay_together(tree):
    rows = [f"{name}/{n}.png,{name},p{n % 7}" for name in ("cat", "dog") for n in range(20)]
    (tree / "t.csv").write_text("path,label,patient\n" + "\n".join(rows))
    manifest = read_data(tree / "t.csv", DataOptions(group="patient"))
    split = with_test_split(manifest, 0.3, 0).frame
    sides = split.assign(patient=[int(name.split("/")[1][:-4]) % 7 for name in split["id"]])
    assert sides.groupby("patient")["split"].nunique().max() == 1
    assert set(sides["split"]) == {"train", "test"}


def test_groups_in_two_splits_are_noted(tree):
    rows = [
        f"{name}/{n}.png,{name},p{n % 7},{'test' if n < 7 else 'train'}" for name in ("cat", "dog") for n in range(20)
    ]
    (tree / "t.csv").write_text("path,label,patient,split\n" + "\n".join(rows))
    assert read_data(tree / "t.csv", DataOptions(group="patient")).duplicates.num_split_groups == 7


def test_duplicates_notes_and_layout_are_kept_with_the_manifest(tree, tmp_path):
    place(tree, {"dog/copy.png": picture(3)})
    manifest = read_data(tree)
    write_manifest(manifest, tmp_path / "manifest.parquet")
    back = read_manifest(tmp_path / "manifest.parquet")
    assert (back.duplicates, back.notes, back.layout) == (manifest.duplicates, manifest.notes, manifest.layout)


def test_count_prints_duplicates_with_an_example(tree, synaug):
    place(tree, {"dog/copy.png": picture(3)})
    assert "cat/3.png = dog/copy.png" in synaug("count", tree).out
    assert '"num_two_labels": 2' in synaug("count", tree, "--json").out


def test_the_search_agrees_with_comparing_all_pairs():
    """More images than fit into one cell; a tenth of them are altered copies."""
    images = [picture(seed) for seed in range(1500)]
    changes = list(CHANGES.values())
    images += [changes[n % len(changes)](images[n * 7]) for n in range(150)]
    pairs = {tuple(pair) for pair in near_pairs(thumbnails(images), images.__getitem__).tolist()}
    wanted = {(n * 7, 1500 + n) for n in range(150)}
    assert len(wanted & pairs) >= 0.97 * len(wanted)
    assert len(pairs - wanted) == 0
