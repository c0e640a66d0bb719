"""Test that timing divides the time of a step by its images, with a clock that counts layers."""

import types

import pytest
from torch import nn

from synaug.training import timing
from synaug.training.networks.classifiers import make_model
from synaug.training.timing import seconds_per_image


@pytest.fixture
def clock(monkeypatch):
    """Replaces the clock: each layer takes a second."""
    now = types.SimpleNamespace(seconds=0.0)

    def tick(*_):
        now.seconds += 1

    def ticking(model):
        for layer in model.modules():
            if not list(layer.children()):
                layer.register_forward_hook(tick)
        return model

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now.seconds)
    return ticking


def test_the_time_of_a_step_is_divided_by_its_images(clock):
    model = clock(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
    assert seconds_per_image(model, in_channels=1, image_size=8, device="cpu") == 2 / 128
    large = clock(nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(64, 2)))
    assert seconds_per_image(large, in_channels=1, image_size=128, device="cpu") == 3 / 8  # 2^17 pixels at once


def test_a_deeper_network_takes_longer_and_no_gradient_is_left(clock):
    names = ("resnet8", "resnet56")
    small, large = (clock(make_model(name, num_classes=3, in_channels=1, image_size=16)) for name in names)
    paces = [seconds_per_image(model, in_channels=1, image_size=16, device="cpu") for model in (small, large)]
    assert paces[1] > 4 * paces[0]
    assert all(parameter.grad is None for parameter in large.parameters())
