import numpy as np
import pytest
import torch

from synaug.data.manifest import from_arrays
from synaug.errors import DataError
from synaug.training.training_set import (
    channel_statistics,
    joined,
    load_training_set,
    make_training_set,
    normalized,
)


def random_images(num=6, channels=3, side=8):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (num, channels, side, side), dtype=np.uint8))


def test_normalized_real_images_have_mean_0_and_deviation_1():
    images = random_images(num=30)
    mean, std = channel_statistics(images)
    result = normalized(images, mean=mean, std=std)
    assert result.mean((0, 2, 3)).abs().max() < 1e-5
    assert torch.allclose(result.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)


def test_normalization_comes_from_the_real_images_only():
    images = torch.cat([torch.full((2, 1, 4, 4), 51), torch.full((5, 1, 4, 4), 255)]).to(torch.uint8)
    data = make_training_set(
        images, torch.zeros(7, dtype=torch.int64), num_classes=1, is_synthetic=torch.arange(7) >= 2
    )
    assert data.mean.item() == pytest.approx(0.2)
    assert data.class_counts.tolist() == [2]


def test_loading_arrays_gives_their_pixels_labels_and_groups():
    arrays = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    manifest = from_arrays(arrays, [0, 1, 1], class_names=["a", "b"], attributes=[1, 0, -1], attribute_names=["x", "y"])
    data = load_training_set(manifest)
    assert data.images[:, 0].numpy().tolist() == arrays.tolist()
    assert data.groups.tolist() == [1, 2, -1]
    assert data.num_groups == 4


def test_images_of_several_sizes_become_squares_of_the_median_side():
    arrays = [np.zeros((10, 20, 3), np.uint8), np.zeros((12, 12, 3), np.uint8), np.zeros((30, 12, 3), np.uint8)]
    data = load_training_set(from_arrays(arrays, [0, 0, 0], class_names=["a"]))
    assert data.images.shape == (3, 3, 12, 12)


def test_a_test_set_takes_size_channels_and_normalization_from_its_training_set():
    train = make_training_set(random_images(channels=1, side=6), torch.zeros(6), num_classes=1)
    arrays = np.full((2, 9, 9, 3), 200, np.uint8)
    test = load_training_set(from_arrays(arrays, [0, 0], class_names=["a"]), like=train)
    assert test.images.shape == (2, 1, 6, 6)
    assert test.mean.equal(train.mean)


def test_rows_and_joined_keep_order(small_set):
    mask = small_set.is_synthetic
    both = joined(small_set.rows(~mask), small_set.rows(mask))
    assert both.images.equal(small_set.images)
    assert both.labels.equal(small_set.labels)
    assert small_set.rows(np.array([3, 1])).groups.tolist() == [1, 0]


def test_an_empty_manifest_cannot_be_loaded():
    manifest = from_arrays(np.zeros((1, 4, 4), np.uint8), [0], class_names=["a"])
    with pytest.raises(DataError, match=r"There are no images to load: the manifest is empty"):
        load_training_set(manifest.rows(np.array([False])))


def test_images_that_are_not_uint8_are_refused():
    with pytest.raises(DataError, match=r"uint8 images.*\(N,.*W\).*labels,"):
        make_training_set(torch.zeros(2, 1, 4, 4), torch.zeros(2), num_classes=1)


def test_a_given_normalization_is_used_for_every_channel():
    data = make_training_set(random_images(), torch.zeros(6), num_classes=1, normalization=((0.5,), (0.25,)))
    assert data.mean.tolist() == [0.5] * 3
    assert data.std.tolist() == [0.25] * 3
