"""Load custom networks: a class or function in a module or file that makes one.

This is the user's own code and runs with all rights of the user, like any program.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from synaug.errors import OptionError
from synaug.runtime.security import callable_named, own_code, shown
from synaug.training.networks.linear_layers import last_linear

__all__ = ["Factory", "factory_named", "is_own", "shown", "source_digest", "split_network"]

KIND = "network"
Factory = Callable[..., nn.Module]
"""Called with those of ``num_classes``, ``in_channels`` and ``image_size`` that its signature accepts."""


def is_own(name: str) -> bool:
    """Return whether a network is named by the location of its code, not by a name of synaug or timm.

    >>> is_own("net.py:Net"), is_own("my_package.nets:small"), is_own("timm/local-dir:weights"), is_own("resnet8")
    (True, True, False, False)
    """
    return ":" in name and not name.startswith(("timm/", "local-dir:", "hf-hub:"))


def factory_named(name: str) -> Factory:
    """Return the class or function of ``package.module:factory`` or ``path/to/file.py:factory``.

    Raises:
        OptionError: it cannot be imported, or is not callable.
    """
    return cast("Factory", callable_named(name, KIND))  # its result is checked when it is called


def source_digest(name: str) -> str:
    """Return the SHA-256 of the file that defines the factory; files that it imports are not included.

    Raises:
        OptionError: there is no such file.
    """
    return own_code.source_digest(name, KIND)


def split_network(
    factory: Factory, *, name: str, num_classes: int, in_channels: int, image_size: int
) -> tuple[nn.Module, nn.Linear]:
    """Return a new network without its last linear layer, and that layer; together they compute the same logits.

    Raises:
        OptionError: the factory returns no network, it rejects the images, or its logits do not come from a linear
            layer.
    """
    model = _made(factory, name, num_classes=num_classes, in_channels=in_channels, image_size=image_size)
    place, layer = last_linear(model)
    if layer.out_features != num_classes:
        raise OptionError(
            f"The last linear layer of {name}, {place!r}, has {layer.out_features} outputs, but there are "
            f"{num_classes} classes. Let the factory take num_classes."
        )
    images = torch.rand(2, in_channels, image_size, image_size)
    logits = _output(model, images, name)
    backbone: nn.Module = nn.Sequential(model) if place else nn.Sequential()
    if place:
        model.set_submodule(place, nn.Identity())
    features = _output(backbone, images, name)
    classifier = nn.Linear(layer.in_features, num_classes)
    with torch.no_grad():
        classifier.weight.copy_(layer.weight)
        classifier.bias.copy_(torch.zeros(num_classes) if layer.bias is None else layer.bias)
        fits = features.shape == (2, layer.in_features) and torch.allclose(classifier(features), logits, atol=1e-4)
    if not fits:
        raise OptionError(
            f"The logits of {name} are not the output of its last linear layer, {place!r}, so the classifier "
            "cannot be retrained. Define that layer last and return its output as it is."
        )
    return backbone, classifier


def _made(factory: Factory, name: str, **sizes: int) -> nn.Module:
    try:
        taken = inspect.signature(factory).parameters
        has_others = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
        given = {key: size for key, size in sizes.items() if key in taken or (has_others and key == "num_classes")}
        model = factory(**given)
    except Exception as error:
        raise OptionError(
            f"The network {name} cannot be created: {type(error).__name__}: {error}. It is called with "
            f"those of {', '.join(sizes)} that its signature names."
        ) from error
    if not isinstance(model, nn.Module):
        raise OptionError(f"The network {name} must be an nn.Module, but the call returned a {type(model).__name__}.")
    return model.cpu().float()


def _output(model: nn.Module, images: Tensor, name: str) -> Tensor:
    model.eval()
    try:
        with torch.no_grad():
            found = model(images)
    except Exception as error:
        raise OptionError(
            f"The network {name} cannot take images of shape {tuple(images.shape)}: {error}. Its factory may take "
            "in_channels and image_size."
        ) from error
    finally:
        model.train()
    if not isinstance(found, Tensor):
        raise OptionError(f"The network {name} must return a tensor of logits, but returned a {type(found).__name__}.")
    return found
