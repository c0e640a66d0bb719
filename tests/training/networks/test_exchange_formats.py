"""A classifier in another format computes the same and loads elsewhere; unsupported networks are refused."""

import io
import json

import numpy as np
import pytest
import torch

from synaug.errors import EnvironmentFault, OptionError
from synaug.runtime import storage
from synaug.training.networks import exchange_formats
from synaug.training.networks.classifiers import make_model
from synaug.training.networks.exchange_formats import FORMATS, TOLERANCE, convert, timm_config
from synaug.training.networks.saving import SavedClassifier


def classifier(network="resnet8", *, side=16, channels=3, head="linear"):
    model = make_model(network, num_classes=3, in_channels=channels, image_size=side, head=head).eval()
    mean, std = torch.linspace(0.3, 0.5, channels), torch.full((channels,), 0.25)
    return SavedClassifier(model, ("cat", "dog", "été"), (channels, side, side), mean, std, network)


def pictures(saved, number=5):
    return np.random.default_rng(0).integers(0, 256, (number, *saved.image_shape), dtype=np.uint8)


def probabilities(saved, images):
    return saved.logits(torch.from_numpy(images)).softmax(1).numpy()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TorchScript is on its way out, and still what C++ programs load
@pytest.mark.parametrize(("name", "channels", "load"), [
    ("torchscript", 1, lambda data, extra: torch.jit.load(data, _extra_files=extra)),
    ("torchscript", 3, lambda data, extra: torch.jit.load(data, _extra_files=extra)),
    ("torch-export", 3, lambda data, extra: torch.export.load(data, extra_files=extra).module()),
])  # fmt: skip
def test_a_file_for_torch_accepts_any_number_of_images_and_contains_its_classes(name, channels, load):
    saved = classifier(channels=channels)
    found = convert(saved, [name], pictures(saved))[name]
    extra = {"class_names.json": ""}
    loaded = load(io.BytesIO(found.data), extra)
    for number in (1, 2, 7):
        images = pictures(saved, number)
        values = loaded(torch.from_numpy(images).float() / 255).detach().numpy()
        np.testing.assert_allclose(values, probabilities(saved, images), atol=TOLERANCE)
    assert json.loads(extra["class_names.json"]) == ["cat", "dog", "été"]
    assert 0 <= found.max_difference <= TOLERANCE


def test_an_onnx_file_accepts_any_number_of_images_and_contains_its_classes():
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    saved = classifier()
    found = convert(saved, ["onnx"], pictures(saved))["onnx"]
    session = runtime.InferenceSession(found.data, providers=["CPUExecutionProvider"])
    for number in (1, 2, 7):
        images = pictures(saved, number)
        values = session.run(["probabilities"], {"images": images.astype(np.float32) / 255})[0]
        np.testing.assert_allclose(values, probabilities(saved, images), atol=TOLERANCE)
    assert json.loads(session.get_modelmeta().custom_metadata_map["class_names"]) == ["cat", "dog", "été"]


@pytest.mark.parametrize("network", ["timm/resnet10t", "timm/vit_tiny_patch16_224"])
def test_a_folder_for_timm_is_loaded_by_timm(network, tmp_path):
    import timm

    saved = classifier(network, side=32)
    images = pictures(saved)
    storage.write_bytes(tmp_path / "model.safetensors", convert(saved, ["timm"], images)["timm"].data)
    storage.write_json(tmp_path / "config.json", timm_config(saved))
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(loaded)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    with torch.inference_mode():
        values = loaded((torch.from_numpy(images).float() / 255 - mean) / std).softmax(1).numpy()
    np.testing.assert_allclose(values, probabilities(saved, images), atol=TOLERANCE)
    assert config["input_size"] == (3, 32, 32)


@pytest.mark.parametrize(("network", "head"), [("resnet8", "linear"), ("timm/resnet10t", "cosine")])
def test_the_timm_format_is_refused_for_classifiers_that_it_cannot_hold(network, head):
    saved = classifier(network, side=32, head=head)
    with pytest.raises(OptionError, match="timm"):
        convert(saved, ["timm"], pictures(saved))


def test_a_head_of_cosines_is_converted_too():
    saved = classifier(head="cosine")
    assert convert(saved, ["torchscript"], pictures(saved))["torchscript"].max_difference <= TOLERANCE


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(OptionError, match="onnx"):
        convert(classifier(), ["onxx"], pictures(classifier()))


def test_a_file_that_computes_something_else_is_not_returned(monkeypatch):
    saved = classifier()

    def wrong(_classifier, network, example):
        data, run = FORMATS["torchscript"][1](_classifier, network, example)
        return data, lambda values: run(values)[:, ::-1]

    monkeypatch.setitem(exchange_formats.FORMATS, "mirrored", ("mirrored.pt", wrong))
    with pytest.raises(EnvironmentFault, match="differ"):
        convert(saved, ["mirrored"], pictures(saved))


def test_the_original_stays_in_place_unchanged():
    saved = classifier()
    before = {name: value.clone() for name, value in saved.model.state_dict().items()}
    convert(saved, ["torchscript"], pictures(saved))
    assert all(torch.equal(value, before[name]) for name, value in saved.model.state_dict().items())
