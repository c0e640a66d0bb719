"""Write finished classifiers, and load them for use elsewhere."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from synaug.data.formats.memory import ImageInputs, iterate_images
from synaug.errors import DataError, OptionError
from synaug.runtime import JsonObject, chosen_device, storage
from synaug.runtime.records import required
from synaug.training.lazy_images import pixels
from synaug.training.networks.classifiers import HEADS, ImageClassifier, make_model, network_digest, network_named
from synaug.training.networks.custom import Factory, is_own, shown
from synaug.training.networks.timm_networks import architecture
from synaug.training.tensor_files import pack, unpack
from synaug.training.training_set import TrainingSet, normalized

FILE = "classifier.safetensors"
MAX_SIDE = 4096  # pixels; the limit for sizes in a file
_WAY_OUT = "Export it again with: synaug export RUN --classifier METHOD --out FOLDER"
BATCH = 256  # images per batch, for predictions


class ClassifierRecord(TypedDict):
    """The file's description of its weights; ``network_digest`` only for a custom network."""

    network: str
    network_digest: NotRequired[str]
    head: NotRequired[str]
    class_names: list[str]
    image_shape: list[int]
    mean: list[float]
    std: list[float]


@dataclass(frozen=True, eq=False)
class SavedClassifier:
    """A classifier with everything needed to use it: names, image size and normalization.

    ``method`` and ``seed`` are those of the run that it was loaded from, if known.
    """

    model: ImageClassifier
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: Tensor
    std: Tensor
    network: str = ""
    method: str = ""
    seed: int | None = None

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.model.parameters()).device

    def logits(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, num_classes)`` on the CPU, of uint8 images ``(N, C, H, W)`` of any size."""
        values = images.to(self.device).float() / 255
        if values.shape[-2:] != self.image_shape[1:]:
            values = F.interpolate(values, self.image_shape[1:], mode="bilinear", antialias=True)
        mean, std = self.mean.to(self.device), self.std.to(self.device)
        with torch.inference_mode():
            return self.model((values - mean[:, None, None]) / std[:, None, None]).cpu()

    def predict(self, images: ImageInputs, *, batch_size: int = BATCH) -> list[str]:
        """Return the class name of each image; a list of one for a single image.

        Args:
            images: one or many paths, Pillow images, arrays or tensors; see ``data.formats.image_inputs``. They are
                prepared like the test images of the run: resized and cropped to a centered square.
            batch_size: images per batch.

        Raises:
            DataError: an image cannot be read, or its shape or type is not allowed.
        """
        return [self.class_names[label] for label in self.predict_proba(images, batch_size=batch_size).argmax(1)]

    def predict_proba(self, images: ImageInputs, *, batch_size: int = BATCH) -> np.ndarray:
        """Return the probability of each class, float64 of shape ``(N, num_classes)`` in the order of ``class_names``.

        Arguments and errors are those of ``predict``; each row sums to 1.
        """
        parts = list(self.probabilities(iterate_images(images, channels=self.image_shape[0]), batch_size=batch_size))
        return np.concatenate(parts) if parts else np.empty((0, len(self.class_names)))

    def probabilities(self, images: Iterable[Image.Image], *, batch_size: int = BATCH) -> Iterator[np.ndarray]:
        """Yield the probabilities of decoded images, one batch at a time, as ``predict_proba`` returns them.

        Raises:
            OptionError: ``batch_size`` is below 1.
        """
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, got {batch_size}.")
        channels, height, width = self.image_shape
        prepared = (pixels(image, channels=channels, size=(width, height)) for image in images)
        mean, std = self.mean.to(self.device), self.std.to(self.device)
        while batch := list(itertools.islice(prepared, batch_size)):
            inputs = normalized(torch.from_numpy(np.stack(batch)).to(self.device), mean=mean, std=std)
            with torch.inference_mode():
                yield self.model(inputs).cpu().double().softmax(1).numpy()

    @property
    def about(self) -> ClassifierRecord:
        """The description that people and programs need to use the weights."""
        return {
            "network": self.network,
            "class_names": list(self.class_names),
            "image_shape": list(self.image_shape),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }


def write_classifier(
    model: nn.Module, folder: Path, *, data: TrainingSet, network: str, class_names: Sequence[str]
) -> None:
    """Write weights and description into one safetensors file.

    Args:
        model: the trained network.
        folder: folder for ``classifier.safetensors``.
        data: a set with the size and normalization that the network was trained with.
        network: its name; see ``make_model``. For a custom network, the digest is written as well.
        class_names: one name per output.
    """
    source = getattr(getattr(model, "backbone", None), "source", "")
    about: ClassifierRecord = {
        "network": portable(network),
        "network_digest": source,
        "head": getattr(model, "head", "linear"),
        "class_names": list(class_names),
        "image_shape": list(data.images.shape[1:]),
        "mean": data.mean.tolist(),
        "std": data.std.tolist(),
    }
    if not is_own(network):
        del about["network_digest"]
    storage.write_bytes(folder / FILE, pack(model.state_dict(), about))


def portable(network: str) -> str:
    """Return the name of a network in a form that is valid on other machines: without local folders."""
    return shown(network) if is_own(network) else architecture(network)


def load_classifier(
    folder: str | Path, *, network: str | Factory | nn.Module | None = None, device: str | torch.device = "auto"
) -> SavedClassifier:
    """Load the classifier of a folder such as ``RUN/checkpoints/synaug-0``.

    Args:
        folder: holds ``classifier.safetensors``.
        network: required for a custom network, whose code the file neither contains nor may name:
            ``path/to/net.py:Net``, or the class or function itself.
        device: where it runs: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        OptionError: the network is custom and was not given, or the device is not available.
        DataError: there is no classifier, the file is damaged, or the given network is a different one.
    """
    if not isinstance(folder, str | os.PathLike):
        raise DataError(f"A classifier is loaded from a folder, got {type(folder).__name__}.")
    path = Path(folder) / FILE
    if not path.exists():
        raise DataError(
            f"{folder} contains no classifier ({FILE}). Finished classifiers are in RUN/checkpoints/METHOD-SEED."
        )
    tensors, content = unpack(path, way_out=_WAY_OUT)
    about = _checked_about(content, path)
    channels, height, width = about["image_shape"]
    model = make_model(
        _network(about, path, network),
        num_classes=len(about["class_names"]),
        in_channels=channels,
        image_size=width,
        head=about.get("head", "linear"),
    )
    try:
        model.load_state_dict(tensors)
    except (RuntimeError, TypeError) as error:
        raise DataError(f"The weights in {path} belong to another network: {error}") from error
    return SavedClassifier(
        model=model.to(chosen_device(device)).eval(),
        class_names=tuple(about["class_names"]),
        image_shape=(channels, height, width),
        mean=torch.tensor(about["mean"]),
        std=torch.tensor(about["std"]),
        network=network_named(about["network"], width),
    )


def _checked_about(content: JsonObject, path: Path) -> ClassifierRecord:
    """Check and return the header of a classifier file before anything is made from it, since it may come from anyone.

    Raises:
        DataError: a value is missing, of another type, or out of range.
    """
    required(content, path, way_out=_WAY_OUT, network=str, class_names=list, image_shape=list, mean=list, std=list)
    about = cast("ClassifierRecord", content)
    names, shape = about["class_names"], about["image_shape"]
    is_whole = (
        len(shape) == 3
        and all(type(side) is int for side in shape)
        and shape[0] in (1, 3)
        and all(0 < side <= MAX_SIDE for side in shape[1:])
        and len(names) >= 1
        and all(isinstance(name, str) for name in names)
        and all(len(about[key]) == shape[0] for key in ("mean", "std"))
        and all(isinstance(value, int | float) for key in ("mean", "std") for value in about[key])
        and about.get("head", "linear") in HEADS
    )
    if not is_whole:
        raise DataError(f"{path} is damaged: its header describes no classifier of images. {_WAY_OUT}")
    return about


def _network(about: ClassifierRecord, path: Path, given: str | Factory | nn.Module | None) -> str | Factory | nn.Module:
    """Return the network of a file; code runs only if the caller passed it."""
    name = about["network"]
    if given is None:
        if is_own(name):
            raise OptionError(
                f"The classifier {path} uses a custom network {name}, whose code is not in it. If you have "
                "that code and trust it: load_classifier(folder, network='path/to/net.py:Net')."
            )
        if ":" in name:
            raise DataError(
                f"{path} names the network {name}, which is a location, not a network of synaug or "
                "timm, so nothing is loaded from it."
            )
        return name
    if isinstance(given, str) and network_digest(given) != about.get("network_digest", ""):
        raise DataError(
            f"{given} is not the file that {path} was trained with ({name}). Use that file, or pass "
            "the class or function itself to load the classifier anyway."
        )
    return given
