"""Test that the photographs used by other tests never change, and that pretrained features separate them."""

import numpy as np
import pytest

from photographs import SIZES, crops, write_photographs
from synaug.data.readers import read_data
from synaug.errors import EnvironmentFault
from synaug.runtime import storage
from synaug.training.networks import packaged_weights
from synaug.training.networks.classifiers import make_model


def test_168_photographs_in_six_classes(photographs):
    data = read_data(photographs)
    assert dict(zip(data.class_names, np.bincount(data.labels), strict=True)) == dict(sorted(SIZES.items()))
    assert len(data) == 168
    assert len(set(data.frame.sha256)) == 168


def test_the_same_arguments_write_the_same_files(photographs, tmp_path):
    again = write_photographs(tmp_path, sizes={"cat": 3})
    for path in again.rglob("*.jpg"):
        assert path.read_bytes() == (photographs / path.relative_to(again)).read_bytes()


def test_the_weights_recognize_what_they_were_trained_on(imagenet_network):
    """Crops of a cat are recognized as domestic cats (ImageNet 281 to 285); the wrong order would give chance."""
    import timm
    import torch

    folder = imagenet_network.removeprefix("timm/local-dir:")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = np.stack([np.asarray(image) for image in crops("cat", 12, side=224, seed=1)])
    inputs = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        found = network(inputs).argmax(1)
    assert ((found >= 281) & (found <= 285)).float().mean() >= 0.75


def test_the_weights_load_as_a_network_of_a_recipe(imagenet_network):
    model = make_model(imagenet_network, num_classes=6, image_size=96, pretrained=True)
    other = make_model(imagenet_network, num_classes=6, image_size=96)
    assert not model.backbone.conv_stem.weight.equal(other.backbone.conv_stem.weight)


def test_a_file_that_is_not_the_released_one_is_never_opened(tmp_path, monkeypatch):
    planted = tmp_path / "weights.pth"
    planted.write_bytes(b"a pickle that runs code")
    monkeypatch.setattr(packaged_weights, "packaged_file", lambda: planted)
    with pytest.raises(EnvironmentFault, match="not the released file"):
        packaged_weights.write_packaged_weights(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert storage.file_digest(planted) != packaged_weights._SHA256
