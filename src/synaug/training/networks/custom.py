"""Load custom networks: a class or function in a module or file that makes one.

This is the user's own code and runs with all rights of the user, like any program.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synaug.errors import DataError, OptionError, unknown
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.training.networks.linear_layers import last_linear

Factory = Callable[..., nn.Module]
"""Called with those of ``num_classes``, ``in_channels`` and ``image_size`` that its signature accepts."""


def is_own(name: str) -> bool:
    """Return whether a network is named by the location of its code, not by a name of synaug or timm.

    >>> is_own("net.py:Net"), is_own("my_package.nets:small"), is_own("timm/local-dir:weights"), is_own("resnet8")
    (True, True, False, False)
    """
    return ":" in name and not name.startswith(("timm/", "local-dir:", "hf-hub:"))


def shown(name: str) -> str:
    """Return the name without the folders of its file, which are private.

    >>> shown("/home/me/net.py:Net"), shown("my_package.nets:small")
    ('net.py:Net', 'my_package.nets:small')
    """
    place, _, attribute = name.rpartition(":")
    return f"{Path(place).name}:{attribute}" if _is_file(place) else name


def factory_named(name: str) -> Factory:
    """Return the class or function of ``package.module:factory`` or ``path/to/file.py:factory``.

    Raises:
        OptionError: it cannot be imported, or is not callable.
    """
    place, _, attribute = name.rpartition(":")
    module = _run(Path(place).resolve(), _content(place)) if _is_file(place) else _imported(place)
    if not hasattr(module, attribute):
        raise unknown(
            f"network in {place}", attribute, [key for key, it in vars(module).items() if _made_in(module, it)]
        )
    factory = getattr(module, attribute)
    if not callable(factory):
        raise OptionError(
            f"The network {name} is a {type(factory).__name__}. It must be a class or function that "
            "returns an nn.Module."
        )
    return factory


def source_digest(name: str) -> str:
    """Return the SHA-256 of the file that defines the factory; files that it imports are not included.

    Raises:
        OptionError: there is no such file.
    """
    place = name.rpartition(":")[0]
    return storage.digest(_content(place)) if _is_file(place) else _digest_of_module(place)


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
            f"The logits of {name} are not what its last linear layer, {place!r}, makes of features, so the classifier "
            "cannot be retrained. Define that layer last and return its output as it is."
        )
    return backbone, classifier


def _is_file(place: str) -> bool:
    return place.endswith(".py")


def _content(place: str) -> bytes:
    try:
        return directories.read_bytes(Path(place), limit=directories.LARGEST_TEXT)
    except DataError as error:
        raise OptionError(str(error)) from error
    except OSError as error:
        raise OptionError(
            f"The network file {place} cannot be read: {error.strerror}. A relative path starts where the command runs."
        ) from error


@functools.lru_cache(maxsize=16)
def _run(path: Path, content: bytes) -> types.ModuleType:
    """Return the file as a module; run again only if its content changed."""
    module = types.ModuleType(f"synaug_network_{storage.digest(str(path).encode() + content)[:12]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look up definitions here
    try:
        exec(compile(content, str(path), "exec"), vars(module))
    except Exception as error:
        del sys.modules[module.__name__]
        raise OptionError(f"The network file {path} cannot be run: {type(error).__name__}: {error}.") from error
    return module


def _imported(place: str) -> types.ModuleType:
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise _not_importable(place, error) from error


@functools.cache  # a process imports a module once, even if its file changes later
def _digest_of_module(place: str) -> str:
    found = _spec_of(place)
    if found is None:
        raise _not_importable(place, ModuleNotFoundError(f"No module named {place!r}"))
    return storage.file_digest(Path(found.origin)) if found.origin and found.has_location else ""


def _spec_of(place: str) -> ModuleSpec | None:
    """Return the spec of a module without running its parent packages, unlike importlib's ``find_spec``."""
    searched: Sequence[str] | None = None
    found: ModuleSpec | None = None
    parts = place.split(".")
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        if not all(parts[:number]):
            return None
        found = _first_spec(name, searched)
        if found is None:
            return None
        searched = found.submodule_search_locations
        if searched is None and number < len(parts):
            return None
    return found


def _first_spec(name: str, searched: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        found = finder.find_spec(name, searched) if hasattr(finder, "find_spec") else None
        if found is not None:
            return found
    return None


def _not_importable(place: str, error: Exception) -> OptionError:
    return OptionError(
        f"The network's module {place} cannot be imported: {type(error).__name__}: {error}. Install its package or "
        "name its folder in PYTHONPATH, or name a file: path/to/net.py:Net."
    )


def _made_in(module: types.ModuleType, value: Any) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _made(factory: Factory, name: str, **sizes: int) -> nn.Module:
    try:
        taken = inspect.signature(factory).parameters
        has_others = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
        given = {key: size for key, size in sizes.items() if key in taken or (has_others and key == "num_classes")}
        model = factory(**given)
    except Exception as error:
        raise OptionError(
            f"The network {name} cannot be made: {type(error).__name__}: {error}. It is called with "
            "those arguments among "
            f"{', '.join(sizes)} that it takes."
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
