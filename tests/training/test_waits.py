"""A GPU must not wait for the host, nor the host for it. Reads of a tensor's values are counted here, on a CPU."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from synaug.config import StageOptions
from synaug.errors import SynaugError
from synaug.training import optimization, train_representation
from synaug.training.augmentation import AUGMENTATIONS
from synaug.training.loop import MAX_SKIPPED
from synaug.training.losses import LOSSES, STATEFUL_LOSSES
from synaug.training.mixing import MIXINGS
from synaug.training.networks import make_model
from synaug.training.training_set import make_training_set

WAITS = {
    "aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal", "aten.is_nonzero",
    "aten._unique2", "aten.unique_dim", "aten.bincount", "aten.repeat_interleave",
}  # fmt: skip
READS = {"tolist", "item", "__bool__", "__float__", "__int__", "__index__"}
BY_TORCHVISION = {"autoaugment", "randaugment"}  # they read small tensors on the CPU for each image


class Operations(TorchDispatchMode):
    """Notes the operations for which a GPU would have to finish its queue."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func).rsplit(".", 1)[0]
        masks = name == "aten.index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        if name in WAITS or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class Reads(TorchFunctionMode):
    """Notes the functions that return a tensor's values to Python."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in READS:
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def like_a_gpu(monkeypatch):
    """Let training on the CPU read losses as rarely as on a GPU."""
    monkeypatch.setattr(optimization, "WORK_ALONE", ("cpu",))


def training_set():
    rng = np.random.default_rng(0)
    labels = torch.arange(40) % 4
    images = torch.from_numpy(rng.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8))
    groups, is_synthetic = labels * 2 + torch.arange(40) % 2, torch.arange(40) > 30
    return make_training_set(images, labels, num_classes=4, num_groups=8, groups=groups, is_synthetic=is_synthetic)


def waits_per_step(options: dict, *, steps=(10, 20)) -> float:
    counts = []
    for number in steps:
        stage = StageOptions(steps=number, batch_size=8, **options)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
        found = []
        with Reads(found), Operations(found):
            train_representation(model, training_set(), stage, seed=0, device="cpu")
        counts.append(len(found))
    return (counts[1] - counts[0]) / (steps[1] - steps[0])


CHOICES = [
    *({"loss": name} for name in [*LOSSES, *STATEFUL_LOSSES]),
    *({"mixing": name, "mixup_alpha": 1.0} for name in MIXINGS),
    *({"augmentations": (name,)} for name in AUGMENTATIONS.keys() - BY_TORCHVISION),
    {"optimizer": "adamw"},
    {"synthetic_weight": 0.5, "max_synthetic": 0.5, "sampler": "class_balanced"},
]


@pytest.mark.parametrize("options", CHOICES, ids=lambda each: "-".join(str(value) for value in each.values()))
def test_a_gpu_is_read_once_in_ten_steps(like_a_gpu, options):
    assert waits_per_step(options) <= 1 / optimization.READ_EVERY + 0.1


def test_a_cpu_is_read_in_every_step():
    assert waits_per_step({}) >= 1


def trained(loss, *, steps=25, **options):
    model = make_model("resnet8", num_classes=4, image_size=8)
    stage = StageOptions(steps=steps, batch_size=8, **options)
    return model, train_representation(model, training_set(), stage, seed=0, device="cpu", loss=loss)


class NotFiniteIn:
    """Cross-entropy that is not finite in some calls."""

    def __init__(self, steps):
        self.steps, self.calls = steps, 0

    def __call__(self, logits, targets, *, context):
        self.calls += 1
        value = LOSSES["cross_entropy"](logits, targets, context=context)
        return value / (self.calls - 1 not in self.steps)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_steps_without_a_finite_loss_change_no_weight_on_a_gpu_either(like_a_gpu, optimizer):
    options = {"optimizer": optimizer, "learning_rate": 0.01}
    model, log = trained(NotFiniteIn({3, 4, 17}), **options)
    assert [step for step, loss in enumerate(log.losses) if math.isnan(loss)] == [3, 4, 17]
    assert log.skipped == 3
    assert all(torch.isfinite(weight).all() for weight in model.state_dict().values())
    first, _ = trained(NotFiniteIn(set()), steps=1, **options)
    skipped, _ = trained(NotFiniteIn({0}), steps=1, **options)
    before = make_model("resnet8", num_classes=4, image_size=8)
    for name, weight in before.named_parameters():
        assert torch.equal(weight, skipped.get_parameter(name))
    assert not torch.equal(before.classifier.weight, first.classifier.weight)


def test_losses_read_late_and_at_once_are_the_same(monkeypatch):
    bad = {2, 11}
    at_once, log = trained(NotFiniteIn(bad), learning_rate=0.01)
    monkeypatch.setattr(optimization, "WORK_ALONE", ("cpu",))
    late, late_log = trained(NotFiniteIn(bad), learning_rate=0.01)
    np.testing.assert_allclose(late_log.losses, log.losses, rtol=1e-3)
    torch.testing.assert_close(late.classifier.weight, at_once.classifier.weight, rtol=1e-2, atol=1e-4)


def test_a_training_that_diverges_ends_on_a_gpu_too(like_a_gpu):
    with pytest.raises(SynaugError, match=rf"{MAX_SKIPPED + 4} steps.*30.*100"):
        trained(NotFiniteIn(set(range(6, 99))), steps=100)
