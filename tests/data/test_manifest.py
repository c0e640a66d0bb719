"""Test the manifest: made from arrays, subset, joined, written and read back."""

import numpy as np
import pytest
from PIL import Image

from synaug.config import DataOptions
from synaug.data.manifest import COLUMNS, Manifest, Quarantined, from_arrays, joined, read_image
from synaug.data.manifest_file import read_manifest, write_manifest
from synaug.data.readers import read_data
from synaug.errors import DataError

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)


def small(**options):
    return from_arrays(GRAY, [0, 1, 1], class_names=["cat", "dog"], **options)


def test_from_arrays_has_all_columns():
    manifest = small(attributes=[0, -1, 1], attribute_names=["a", "b"], split=["train", "test", "train"])
    assert set(COLUMNS) < set(manifest.frame.columns)
    assert manifest.split("train").attributes.tolist() == [0, 1]
    assert (np.asarray(read_image(manifest, 2)) == GRAY[2]).all()
    assert not manifest.is_synthetic.any()


@pytest.mark.parametrize(
    ("images", "labels", "options", "words"),
    [
        (GRAY, [0, 1], {}, "There are 3 images but 2 labels"),
        (GRAY, [0, 1, 2], {}, "The label 2 is out of range; allowed: 0 to 1"),
        (GRAY.astype(float), [0, 1, 1], {}, r"Image 0 is float64 of shape \(2, 2\)"),
        (np.zeros((3, 2, 2, 4), np.uint8), [0, 1, 1], {}, r"shape \(2, 2, 4\)"),
        (GRAY, [0, 1, 1], {"attributes": [0]}, "3 images but 1 attributes"),
        (
            GRAY,
            [0, 1, 1],
            {"attributes": [0, 0, 1], "attribute_names": ["a"]},
            "The attribute 1 is out of range; allowed",
        ),
        (GRAY, [0, 1, 1], {"split": "training"}, "split is 'training'; allowed: train, validation, test"),
        (GRAY, [0, 1, 1], {"split": ["train"]}, "3 images but 1 splits"),
    ],
)
def test_bad_arrays(images, labels, options, words):
    with pytest.raises(DataError, match=words):
        from_arrays(images, labels, class_names=["cat", "dog"], **options)


def test_missing_columns_are_named():
    with pytest.raises(DataError, match="lacks the columns split, sha256"):
        Manifest(small().frame.drop(columns=["split", "sha256"]), ("cat", "dog"))


def test_rows_by_mask_and_by_position():
    manifest = small()
    assert manifest.rows(np.array([2, 0])).frame["id"].tolist() == ["image-0000002", "image-0000000"]
    assert len(manifest.rows(np.array([True, False, False]))) == 1


def test_manifests_of_different_classes_are_not_joined():
    with pytest.raises(DataError, match="Manifests of different classes cannot be joined"):
        joined(small(), from_arrays(GRAY, [0, 0, 0], class_names=["cat"]))


def files_and_memory(tmp_path):
    """Return two images in files joined with three in memory."""
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.fromarray(GRAY[0] + 50).save(tmp_path / "data" / name / "a.png")
    return joined(read_data(tmp_path / "data"), small())


def test_images_in_files_and_in_memory_are_joined_written_and_read_back(tmp_path):
    both = files_and_memory(tmp_path)
    write_manifest(both, tmp_path / "manifest.parquet")
    back = read_manifest(tmp_path / "manifest.parquet")
    assert back.class_names == ("cat", "dog")
    for column in COLUMNS:
        assert back.frame[column].tolist() == both.frame[column].tolist()
    for row in range(5):
        assert (np.asarray(read_image(back, row)) == np.asarray(read_image(both, row))).all()


def test_the_root_and_the_quarantined_are_kept(tmp_path):
    files_and_memory(tmp_path)
    (tmp_path / "data/cat/b.png").write_bytes(b"")
    manifest = read_data(tmp_path / "data", DataOptions(max_unreadable=0.5))
    write_manifest(manifest, tmp_path / "manifest.parquet")
    back = read_manifest(tmp_path / "manifest.parquet")
    assert back.root == (tmp_path / "data").resolve()
    assert [item.path for item in back.quarantined] == ["cat/b.png"]
    assert isinstance(back.quarantined[0], Quarantined)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"nonsense" * 10])
def test_invalid_manifests_are_refused(tmp_path, data):
    (tmp_path / "m.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"m.parquet is not a manifest of synaug"):
        read_manifest(tmp_path / "m.parquet")


def test_any_other_parquet_is_refused(tmp_path):
    small().frame[["id"]].to_parquet(tmp_path / "m.parquet")
    with pytest.raises(DataError, match="is not a manifest of synaug"):
        read_manifest(tmp_path / "m.parquet")
