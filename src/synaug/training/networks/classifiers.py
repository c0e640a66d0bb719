"""Define image classifiers as a backbone that computes features, then a linear classifier."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synaug.errors import OptionError, unknown
from synaug.training.networks.custom import Factory, factory_named, is_own, source_digest, split_network
from synaug.training.networks.timm_networks import check_timm, timm_backbone, weights_digest

CIFAR_DEPTHS = (8, 20, 32, 44, 56, 110)
HEADS = ("linear", "cosine", "unit_linear")
"""A linear layer; a layer of cosines; a linear layer on features of length 1, such as a retrained layer of cosines."""

_TINY_SIDE = 64


class CosineLinear(nn.Linear):
    """A linear layer that uses only directions: the logits are ``scale`` times cosines.

    Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", section 3.2.
    """

    def __init__(self, in_features: int, out_features: int, *, scale: float = 30.0) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = scale

    @property
    def rows(self) -> Tensor:
        """The weight of the linear layer that computes the same logits from features of length 1."""
        return self.scale * F.normalize(self.weight, dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, shape ``(N, out_features)``."""
        return F.linear(F.normalize(features, dim=1), self.rows)


class ImageClassifier(nn.Module):
    """A backbone whose output is a feature vector, then a linear classifier.

    Attributes:
        unit_features: whether features are scaled to length 1, as a layer of cosines needs them.
    """

    def __init__(self, backbone: nn.Module, classifier: nn.Linear, *, unit_features: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.unit_features = unit_features

    @property
    def head(self) -> str:
        """The kind of classifier, one of ``HEADS``."""
        if isinstance(self.classifier, CosineLinear):
            return "cosine"
        return "unit_linear" if self.unit_features else "linear"

    def features(self, images: Tensor) -> Tensor:
        """Return features, shape ``(N, D)``, of normalized images."""
        found = self.backbone(images)
        return F.normalize(found, dim=1) if self.unit_features else found

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, num_classes)``."""
        return self.classifier(self.features(images))


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        self.stride, self.added = stride, outside - inside

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.added:
            half = self.added // 2
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.added - half))
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(out)).add_(shortcut), inplace=True)


class CifarResNet(nn.Module):
    """The ResNet for 32-pixel images: three stages, parameter-free shortcuts (option A), pooled features.

    He et al. 2016, "Deep Residual Learning for Image Recognition", section 4.2.
    """

    def __init__(self, depth: int, *, in_channels: int = 3, width: int = 16) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.stem = nn.Conv2d(in_channels, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        sizes = [width] + [width * 2**stage for stage in range(3) for _ in range(blocks)]
        self.blocks = nn.Sequential(
            *(_Block(inside, outside, 2 if outside > inside else 1) for inside, outside in itertools.pairwise(sizes))
        )
        self.num_features = 4 * width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, shape ``(N, 4 * width)``."""
        return self.blocks(F.relu(self.norm(self.stem(x)), inplace=True)).mean((2, 3))


def network_named(name: str, image_size: int) -> str:
    """Return the network that ``auto`` stands for: ResNet-32 up to 64 pixels, ResNet-18 above.

    Trained from scratch on the user's own images, a larger one mostly costs more: on 128 images of 177 pixels ResNet-50
    takes 12 GB.

    >>> network_named("auto", 28), network_named("auto", 224), network_named("resnet8", 28)
    ('resnet32', 'timm/resnet18', 'resnet8')
    """
    if name != "auto":
        return name
    return "resnet32" if image_size <= _TINY_SIDE else "timm/resnet18"


def make_model(
    name: str | Factory | nn.Module,
    *,
    num_classes: int,
    in_channels: int = 3,
    image_size: int = 32,
    pretrained: bool = False,
    head: str = "linear",
    seed: int = 0,
) -> ImageClassifier:
    """Make a network with weights that follow from the seed (or from timm).

    Args:
        name: ``auto``, ``resnet8`` to ``resnet110`` for tiny images, or a timm name, with or without ``timm/``; or a
            custom network: a module, which is copied, a class or function that makes one, or its location
            (``path/to/net.py:Net``, ``my_package.nets:small``).
        num_classes: outputs.
        in_channels: 1 or 3.
        image_size: side in pixels.
        pretrained: start from timm's weights.
        head: one of ``HEADS``; the loss LDAM needs ``cosine``.
        seed: random seed of the weights; the global random state does not change.

    Raises:
        OptionError: the name or head is unknown, the network has no pretrained weights, or a custom network does not
            fit.
        EnvironmentFault: the weights are not available.
    """
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    if isinstance(name, str):
        name = network_named(name, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone, linear = _parts(name, num_classes, in_channels, image_size, pretrained)
        backbone.source = network_digest(name) if isinstance(name, str) else ""  # type: ignore[assignment]
        if head == "cosine":
            cosine = CosineLinear(linear.in_features, num_classes)
            cosine.weight = linear.weight
            linear = cosine
        return ImageClassifier(backbone, linear, unit_features=head != "linear")


def _parts(
    name: str | Factory | nn.Module, num_classes: int, in_channels: int, image_size: int, pretrained: bool
) -> tuple[nn.Module, nn.Linear]:
    """Return the backbone of a network and its linear classifier."""
    if not isinstance(name, str) or is_own(name):
        called = name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
        if pretrained:
            raise _no_weights(called)
        sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
        return split_network(_factory(name), name=called, **sizes)
    if name in cifar_names():
        if pretrained:
            raise _no_weights(name)
        small = CifarResNet(int(name.removeprefix("resnet")), in_channels=in_channels)
        return small, nn.Linear(small.num_features, num_classes)
    check_network(name)
    backbone = timm_backbone(name, in_channels=in_channels, image_size=image_size, pretrained=pretrained)
    widths = (getattr(backbone, name, None) for name in ("head_hidden_size", "num_features"))
    return backbone, nn.Linear(next(width for width in widths if width), num_classes)


def check_pretrained(name: str) -> None:
    """Raise an OptionError for a network without pretrained weights."""
    if is_own(name) or name in cifar_names():
        raise _no_weights(name)


def _no_weights(called: str) -> OptionError:
    return OptionError(
        f"There are no pretrained weights for {called}; choose a timm network, or load weights in a custom network."
    )


def _factory(network: str | Factory | nn.Module) -> Factory:
    if isinstance(network, nn.Module):
        return lambda: copy.deepcopy(network)
    return factory_named(network) if isinstance(network, str) else network


def cifar_names() -> list[str]:
    """Return the names of the networks for tiny images."""
    return [f"resnet{depth}" for depth in CIFAR_DEPTHS]


def check_network(name: str) -> None:
    """Raise an OptionError for a name that ``make_model`` rejects. Runs the user's code of a custom network."""
    if is_own(name):
        factory_named(name)
    elif name != "auto" and name not in cifar_names():
        check_timm(name, others=[*cifar_names(), "auto"])


def network_digest(name: str) -> str:
    """Return a digest of the file or folder that defines a network; empty if its name defines it completely."""
    return source_digest(name) if is_own(name) else weights_digest(name)


def logit_scale(model: nn.Module) -> float:
    """Return the factor between cosines and logits of a network that ends in a layer of cosines; else 1."""
    layer = getattr(model, "classifier", None)
    return layer.scale if isinstance(layer, CosineLinear) else 1.0
