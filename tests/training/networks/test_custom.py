"""Test custom networks: from files, modules and objects."""

import copy

import pytest
import torch
from torch import nn

from synaug.config import StageOptions
from synaug.errors import OptionError
from synaug.training.loop import train_representation
from synaug.training.networks.classifiers import make_model, network_digest
from synaug.training.networks.custom import factory_named, source_digest
from synaug.training.schedules import SCHEDULES

NET = """
from torch import nn

WIDTH = 4


class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, WIDTH, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(4 * WIDTH, num_classes)

    def forward(self, images):
        return self.head(self.body(images))


class Scaled(Net):
    def forward(self, images):
        return 2 * super().forward(images)


def two(in_channels):
    return Net(2, in_channels)


def color(num_classes):
    return Net(num_classes, 3)


def convolution(num_classes, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, num_classes, 8), nn.Flatten())


def number():
    return 3


def any_of(**given):
    return Net(in_channels=1, **given)
"""
GRAY = {"num_classes": 3, "in_channels": 1, "image_size": 8}


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_a_file_makes_the_network_and_gives_its_features(net):
    own = factory_named(f"{net}:Net")
    model = make_model(f"{net}:Net", **GRAY, seed=1).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        expected = own(3, 1).eval()
    images = torch.rand(2, 1, 8, 8)
    assert torch.allclose(model(images), expected(images), atol=1e-6)
    assert torch.allclose(model.features(images), expected.body(images), atol=1e-6)
    assert model.classifier.weight.equal(expected.head.weight)


def test_a_module_a_class_and_an_instance_do_as_well(net, monkeypatch):
    monkeypatch.syspath_prepend(net.parent)
    net.rename(net.with_name("nets_of_a_test.py"))
    images = torch.rand(2, 1, 8, 8)
    named = make_model("nets_of_a_test:Net", **GRAY).eval()
    own = factory_named("nets_of_a_test:Net")
    assert make_model(own, **GRAY).eval()(images).equal(named(images))
    instance = own(3, 1).eval()
    before = copy.deepcopy(instance.state_dict())
    made = make_model(instance, **GRAY).eval()
    assert torch.allclose(made(images), instance(images), atol=1e-6)
    assert all(value.equal(before[key]) for key, value in instance.state_dict().items())
    assert network_digest("nets_of_a_test:Net") == source_digest(f"{net.parent}/nets_of_a_test.py:Net")


def test_only_the_number_of_classes_is_handed_to_a_factory_that_takes_anything(net):
    assert make_model(f"{net}:any_of", **GRAY).classifier.out_features == 3


def test_a_head_of_cosines_replaces_the_networks_own(net):
    model = make_model(f"{net}:Net", **GRAY, head="cosine").eval()
    assert model.features(torch.rand(2, 1, 8, 8)).norm(dim=1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.py:Net", r"The network file absent\.py cannot be read: No such file"),
        ("{net}:Nett", r"Unknown network in .*net\.py 'Nett'\. Did you mean 'Net'\?"),
        ("{net}:WIDTH", r"net\.py:WIDTH is a int\. It must be a class or function that returns an nn\.Module"),
        ("{net}:number", r"must be an nn\.Module, but the call returned a int"),
        ("{net}:convolution", r"Sequential has no nn\.Linear, so its classifier cannot be retrained"),
        ("{net}:two", r"'head', has 2 outputs, but there are 3 classes\. Let the factory take num_classes"),
        ("{net}:color", r"cannot take images of shape \(2, 1, 8, 8\).*Its factory may take in_channels"),
        ("{net}:Scaled", r"logits of .*net\.py:Scaled are not the output of its last linear layer, 'head'"),
        ("no_such_package.nets:Net", r"module no_such_package\.nets cannot be imported: ModuleNotFoundError"),
        ("torch.nn:Conv2d", r"The network torch\.nn:Conv2d cannot be created: TypeError"),
    ],
)
def test_unusable_networks_are_clear_errors(net, name, words):
    with pytest.raises(OptionError, match=words):
        make_model(name.format(net=net), **GRAY)


def test_a_file_that_fails_is_an_error_with_the_reason(net):
    net.write_text("import no_such_module")
    with pytest.raises(OptionError, match=r"net\.py.*ModuleNotFoundError:.*'no_such_mod"):
        factory_named(f"{net}:Net")


def test_a_custom_network_has_no_pretrained_weights(net):
    with pytest.raises(
        OptionError, match=r"no pretrained weights for .*net\.py:Net; .* or load weights in a custom network"
    ):
        make_model(f"{net}:Net", **GRAY, pretrained=True)


@pytest.mark.parametrize("schedule", sorted(SCHEDULES.keys() - {"frozen"}))
def test_it_trains_by_every_schedule(net, small_set, schedule):
    model = make_model(f"{net}:Net", **GRAY)
    before = copy.deepcopy(model.state_dict())
    SCHEDULES[schedule](model, small_set, StageOptions(steps=2, batch_size=4), seed=0, device="cpu")
    assert any(not value.equal(before[key]) for key, value in model.state_dict().items())


def test_a_network_that_was_never_wrapped_trains_too(net, small_set):
    model = factory_named(f"{net}:Net")(3, 1)
    before = copy.deepcopy(model.head.weight)
    train_representation(model, small_set, StageOptions(steps=2, batch_size=4), seed=0, device="cpu")
    assert not model.head.weight.equal(before)


def test_an_unfinished_training_does_not_resume_with_a_changed_file(net, small_set, tmp_path):
    def train():
        model = make_model(f"{net}:Net", **GRAY)
        options = StageOptions(steps=2, batch_size=4)
        return train_representation(model, small_set, options, seed=0, device="cpu", checkpoint=tmp_path / "state")

    assert train().losses == train().losses
    net.write_text(NET.replace("nn.ReLU", "nn.GELU"))  # the same shapes
    with pytest.raises(OptionError, match="other options, data or network"):
        train()


def test_a_custom_network_needs_no_name(small_set):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    assert make_model(network, **GRAY).features(torch.rand(2, 1, 8, 8)).shape == (2, 8)
