from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from synaug.config import StageOptions
from synaug.data.images import SpectralGain
from synaug.data.images.spectrum import BANDS
from synaug.data.manifest import from_arrays
from synaug.errors import DataError
from synaug.runtime import storage
from synaug.training.inference import predict
from synaug.training.lazy_images import ImageFiles
from synaug.training.loop import train_representation
from synaug.training.networks.classifiers import make_model
from synaug.training.training_set import joined, load_training_set

OPTIONS = StageOptions(steps=5, batch_size=4, mixing="domain_mixup")


@pytest.fixture
def manifest():
    arrays = np.random.default_rng(0).integers(0, 256, (9, 10, 8), dtype=np.uint8)
    return from_arrays(arrays, np.arange(9) % 3, class_names=["a", "b", "c"])


def both_paths(manifest):
    return [load_training_set(manifest, image_size=8, in_memory=in_memory) for in_memory in (True, False)]


def test_files_give_the_same_pixels_and_statistics_as_memory(manifest):
    memory, files = both_paths(manifest)
    assert isinstance(files.images, ImageFiles)
    assert files.images[torch.arange(9)].equal(memory.images)
    assert files.images.shape == memory.images.shape
    assert files.mean.equal(memory.mean)
    mask = files.labels == 1
    assert files.rows(mask).images[torch.arange(3)].equal(memory.rows(mask).images)


def test_prefetched_images_are_the_requested_ones(manifest):
    memory, files = both_paths(manifest)
    files.images.prefetch(np.array([4, 2, 2]))
    assert files.images[torch.tensor([2, 4, 2, 7])].equal(memory.images[[2, 4, 2, 7]])


def test_training_is_the_same_bit_for_bit_on_both_paths(manifest, tmp_path):
    logits = []
    for data, name in zip(both_paths(manifest), ("memory", "files"), strict=True):
        model = make_model("resnet8", num_classes=3, in_channels=1, image_size=8)
        train_representation(model, data, OPTIONS, seed=0, device="cpu", checkpoint=tmp_path / name)
        logits.append(predict(model, data, device="cpu", batch_size=4))
    assert logits[0].equal(logits[1])


def test_large_sets_are_left_in_their_files(manifest, monkeypatch):
    free = SimpleNamespace(available=2 * 9 * 64 - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert isinstance(load_training_set(manifest, image_size=8).images, ImageFiles)
    free.available += 1
    assert isinstance(load_training_set(manifest, image_size=8).images, torch.Tensor)


def test_an_image_that_vanished_is_named(manifest, tmp_path):
    frame = manifest.frame.drop(columns="image").assign(path=str(tmp_path / "gone.png"))
    gone = type(manifest)(frame=frame, class_names=manifest.class_names)
    with pytest.raises(DataError, match=r"gone.png cannot be read"):
        ImageFiles(gone, channels=1, size=(8, 8))[torch.tensor([0])]


def test_sets_that_are_not_in_memory_are_joined_as_manifests(manifest):
    memory, files = both_paths(manifest)
    with pytest.raises(DataError, match=r"cannot be joined; join their manifests"):
        joined(memory, files)


def test_the_digest_is_of_the_images(manifest):
    files = load_training_set(manifest, in_memory=False).images
    assert files.digest() == storage.digest("\n".join(manifest.frame["sha256"]).encode())


def test_a_gain_changes_each_image_by_its_strength_alike_on_both_paths(manifest):
    strengths = np.arange(9) / 8
    gain = SpectralGain(np.linspace(1, 2, BANDS)[None])
    memory, files = both_paths(manifest)
    with_gain = files.images.with_gain(gain, strengths)
    for row, image in enumerate(with_gain[torch.arange(9)]):
        before = memory.images[row].numpy()
        assert np.array_equal(image.numpy(), gain(before, strength=strengths[row]) if row else before)
    assert with_gain.rows(torch.tensor([4]))[torch.tensor([0])].equal(with_gain[torch.tensor([4])])
    assert with_gain.digest() != files.images.digest()
    assert with_gain.digest() != files.images.with_gain(gain, strengths[::-1].copy()).digest()
    assert files.images.with_gain(gain, np.zeros(9)).digest() == files.images.digest()
