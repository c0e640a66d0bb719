"""Test that a manifest converts to other libraries' types and back without loss."""

import io
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from synaug.config import DataOptions
from synaug.data.export.conversion import to_arrays, to_datasets, to_frame, to_torch
from synaug.data.manifest import from_arrays, joined, read_image
from synaug.data.readers import read_data
from synaug.errors import DataError, EnvironmentFault
from synaug.runtime import storage

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
LABELS = [0, 0, 0, 1, 1]


@pytest.fixture
def both(tmp_path):
    """Three real images in files, one of them with unknown attribute, and two synthetic ones in memory."""
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, image in zip(files, IMAGES, strict=False):
        Image.fromarray(image).save(file)
    made = from_arrays(IMAGES[3:], [1, 1], class_names=["cat", "dog"], attribute_names=["f", "m"])
    made = replace(made, frame=made.frame.assign(source="synthetic", id=["made-0", "made-1"]))
    real = from_arrays(
        IMAGES[:3], [0, 0, 0], class_names=["cat", "dog"], attributes=[0, 1, -1], attribute_names=["f", "m"]
    )
    digests = [storage.digest(file.read_bytes()) for file in files]  # of the files, no longer of the arrays
    frame = real.frame.drop(columns="image").assign(path=[file.name for file in files], sha256=digests)
    return joined(replace(real, frame=frame, root=tmp_path), made)


def pixels(manifest):
    return np.stack([np.asarray(read_image(manifest, row)) for row in range(len(manifest))])


@pytest.mark.parametrize("convert", [to_frame, to_datasets])
def test_exported_values_come_back(both, convert):
    back = read_data(convert(both), DataOptions(attribute="attribute"))
    for column in ("label", "attribute", "split", "source"):
        assert back.frame[column].tolist() == both.frame[column].tolist(), column
    assert (pixels(back) == IMAGES).all()
    assert (back.class_names, back.attribute_names) == (("cat", "dog"), ("f", "m"))


def test_a_frame_has_names_and_places(both, tmp_path):
    frame = to_frame(both)
    assert list(frame) == ["id", "image", "label", "attribute", "split", "is_synthetic"]
    assert frame["label"].tolist() == ["cat"] * 3 + ["dog"] * 2
    assert frame["attribute"].dropna().to_dict() == {0: "f", 1: "m"}
    assert frame["is_synthetic"].tolist() == [False] * 3 + [True] * 2
    assert frame["image"][0] == str(tmp_path / "0.png")
    assert (np.asarray(Image.open(io.BytesIO(frame["image"][4]))) == IMAGES[4]).all()


def test_a_frame_with_images_in_memory_survives_parquet(tmp_path):
    to_frame(from_arrays(IMAGES, LABELS, class_names=["cat", "dog"])).to_parquet(tmp_path / "set.parquet")
    back = read_data(tmp_path / "set.parquet")
    assert (pixels(back) == IMAGES).all()
    assert back.labels.tolist() == LABELS


def test_arrays_hold_all_pixels(both):
    images, labels, is_synthetic = to_arrays(both)
    assert (images == IMAGES).all()
    assert (labels.tolist(), is_synthetic.tolist()) == (LABELS, [False] * 3 + [True] * 2)


def test_gray_images_stay_gray_arrays_and_several_sizes_need_one():
    gray = from_arrays(IMAGES[..., 0], LABELS, class_names=["a", "b"])
    assert (to_arrays(gray).images == IMAGES[..., 0]).all()
    mixed = from_arrays([IMAGES[0], IMAGES[1][:4]], [0, 1], class_names=["a", "b"])
    with pytest.raises(DataError, match=r"The images have 2 sizes \(4 x 4, 4 x 6.*size=\(width, height\)"):
        to_arrays(mixed)
    assert to_arrays(mixed, size=(3, 2)).images.shape == (2, 2, 3, 3)


def test_a_torch_data_set_goes_through_a_loader(both):
    data = to_torch(both)
    batch = next(iter(DataLoader(data, batch_size=5)))
    assert (batch.image * 255).round().byte().permute(0, 2, 3, 1).numpy().tolist() == IMAGES.tolist()
    assert batch.label.tolist() == data.targets == LABELS
    assert batch.is_synthetic.tolist() == data.is_synthetic.tolist() == [False] * 3 + [True] * 2
    assert (data.classes, data.class_to_idx) == (["cat", "dog"], {"cat": 0, "dog": 1})
    assert len(pickle.loads(pickle.dumps(data))) == 5  # required by workers


def test_a_loop_written_for_torchvision_gets_pairs(both):
    image, label = to_torch(both, transform=lambda image: image.size, pairs=True)[4]
    assert (image, label) == ((4, 6), 1)
    assert isinstance(to_torch(both)[0].image, torch.Tensor)


def test_datasets_refers_to_files_and_names_classes(both, tmp_path):
    data = to_datasets(both)
    assert data.features["label"].names == ["cat", "dog"]
    assert data["attribute"] == [0, 1, None, None, None]
    assert data["is_synthetic"] == both.is_synthetic.tolist()
    assert np.array_equal(np.asarray(data[4]["image"]), IMAGES[4])
    import datasets

    assert data.cast_column("image", datasets.Image(decode=False))[0]["image"]["path"] == str(tmp_path / "0.png")


def test_without_the_package_the_error_names_the_extra(both, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'synaug\[hub\]'"):
        to_datasets(both)
