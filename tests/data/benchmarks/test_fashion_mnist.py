import gzip
import struct

import numpy as np
import pytest

from synaug.data.benchmarks import fashion_mnist
from synaug.errors import DataError


def write_archive(folder, split, images, labels):
    names = {"train": "train", "test": "t10k"}[split]
    header = struct.pack(">HBBIII", 0, 8, 3, *images.shape)
    (folder / f"{names}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    header = struct.pack(">HBBI", 0, 8, 1, len(labels))
    (folder / f"{names}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels.astype(np.uint8).tobytes()))


@pytest.fixture
def archive(tmp_path):
    """Twenty training images, two per class, and one test image equal to the first of them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    write_archive(tmp_path, "train", images, np.arange(20) % 10)
    write_archive(tmp_path, "test", images[:1], np.array([0]))
    return tmp_path


def test_an_archive_is_read_in_file_order(archive):
    train = fashion_mnist.read_archive("train", archive)
    assert train.images.shape == (20, 28, 28)
    assert train.labels.tolist() == [*range(10), *range(10)]


def test_a_missing_archive_is_an_error_with_its_source(tmp_path):
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        fashion_mnist.read_archive("train", tmp_path)


def test_a_file_of_another_kind_is_refused(archive):
    write_archive(archive, "train", np.zeros((20, 9, 9), np.uint8), np.zeros(20))
    with pytest.raises(DataError, match="is not the Fashion-MNIST file"):
        fashion_mnist.read_archive("train", archive)


def test_the_generators_images_are_disjoint_from_the_measured_ones(archive, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "GENERATOR_IMAGES_PER_CLASS", 1)
    train, test = fashion_mnist.read_archive("train", archive), fashion_mnist.read_archive("test", archive)
    split = fashion_mnist.split_positions(train, test)
    assert split.generator.tolist() == list(range(1, 10))  # 0 is a test image
    assert split.held_out.tolist() == list(range(10, 20))


def test_without_tint_and_background_all_but_the_faintest_pixels_stay():
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    none = np.zeros(4, np.int64)
    made = fashion_mnist.render(images, tints=none, backgrounds=none, rng=np.random.default_rng(0))
    solid = images >= 39
    assert (made[solid] == images[solid][:, None]).all()
    assert (made[~solid] <= images[~solid][:, None]).all()


@pytest.mark.parametrize(("tint", "channel"), [(1, 0), (2, 1), (3, 2)])
def test_a_tint_is_the_strongest_channel_of_the_item(tint, channel):
    images = np.full((1, 28, 28), 200, np.uint8)
    made = fashion_mnist.render(images, tints=np.array([tint]), backgrounds=np.array([0]), rng=np.random.default_rng(0))
    assert made.mean((0, 1, 2)).argmax() == channel


def test_a_background_fills_the_pixels_around_the_item():
    images = np.zeros((2, 28, 28), np.uint8)
    images[:, 10:20, 10:20] = 255
    made = fashion_mnist.render(
        images, tints=np.zeros(2, np.int64), backgrounds=np.array([1, 2]), rng=np.random.default_rng(0)
    )
    land, water = made[:, :8].mean((1, 2))
    assert land[2] < land[:2].min()
    assert water.argmax() == 2
    assert (made[:, 12:18, 12:18] == 255).all()
