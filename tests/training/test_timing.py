from torch import nn

from synaug.training.networks.classifiers import make_model
from synaug.training.timing import seconds_per_image


def test_a_deeper_network_takes_longer_and_no_gradient_is_left():
    small, large = (make_model(name, num_classes=3, in_channels=1, image_size=16) for name in ("resnet8", "resnet56"))
    paces = [seconds_per_image(model, in_channels=1, image_size=16, device="cpu") for model in (small, large)]
    assert 0 < paces[0] < paces[1] < 60
    assert all(parameter.grad is None for parameter in large.parameters())


def test_any_network_is_timed():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    assert seconds_per_image(model, in_channels=1, image_size=8, device="cpu") > 0
