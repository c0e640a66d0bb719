"""Keep a finished classifier, and load it again for use elsewhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from synaug.data.codec import read_file
from synaug.errors import DataError, OptionError
from synaug.runtime import storage
from synaug.training.lazy_images import pixels
from synaug.training.networks.classifiers import ImageClassifier, make_model, network_digest, network_named
from synaug.training.networks.custom import Factory, is_own, shown
from synaug.training.networks.timm_networks import architecture
from synaug.training.training_set import TrainingSet, normalised

FILE = "classifier.safetensors"


@dataclass(frozen=True, eq=False)
class SavedClassifier:
    """A classifier with what it needs to be used: names, image size and normalisation."""

    model: ImageClassifier
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: Tensor
    std: Tensor
    network: str = ""

    def logits(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, num_classes)``, of uint8 images ``(N, C, H, W)`` of any size."""
        values = images.float() / 255
        if values.shape[-2:] != self.image_shape[1:]:
            values = F.interpolate(values, self.image_shape[1:], mode="bilinear", antialias=True)
        with torch.inference_mode():
            return self.model((values - self.mean[:, None, None]) / self.std[:, None, None])

    def predict(self, images: Iterable[str | Path | Image.Image | np.ndarray], *, batch_size: int = 256) -> list[str]:
        """Return the class name of each image, prepared as the test images of the run were.

        Args:
            images: paths, Pillow images or uint8 arrays ``(H, W)`` or ``(H, W, 3)``.
            batch_size: images at once.
        """
        channels, height, width = self.image_shape
        prepared = (pixels(_opened(image), channels=channels, size=(width, height)) for image in images)
        found: list[str] = []
        while batch := list(itertools.islice(prepared, batch_size)):
            inputs = normalised(torch.from_numpy(np.stack(batch)), mean=self.mean, std=self.std)
            with torch.inference_mode():
                found += [self.class_names[number] for number in self.model(inputs).argmax(1).tolist()]
        return found

    @property
    def about(self) -> dict[str, Any]:
        """What a person or another program has to know to use the weights."""
        return {
            "network": self.network,
            "class_names": list(self.class_names),
            "image_shape": list(self.image_shape),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }


def _opened(image: str | Path | Image.Image | np.ndarray) -> Image.Image:
    if isinstance(image, str | Path):
        return read_file(Path(image))
    return Image.fromarray(image) if isinstance(image, np.ndarray) else image


def write_classifier(
    model: nn.Module, folder: Path, *, data: TrainingSet, network: str, class_names: Sequence[str]
) -> None:
    """Write weights and description into one safetensors file.

    Args:
        model: the trained network.
        folder: where ``classifier.safetensors`` goes.
        data: a set of the size and normalisation that the network was trained with.
        network: the name that makes it; see ``make_model``. Of a network of the user's own the digest is kept, too.
        class_names: one name an output.
    """
    source = getattr(getattr(model, "backbone", None), "source", "")
    about = {
        "network": portable(network),
        **({"network_digest": source} if is_own(network) else {}),
        "head": getattr(model, "head", "linear"),
        "class_names": list(class_names),
        "image_shape": list(data.images.shape[1:]),
        "mean": data.mean.tolist(),
        "std": data.std.tolist(),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    storage.write_bytes(folder / FILE, save(tensors, metadata={"synaug": json.dumps(about)}))


def portable(network: str) -> str:
    """Return the name of a network as other machines may know it, too: without folders of this one."""
    return shown(network) if is_own(network) else architecture(network)


def load_classifier(folder: str | Path, *, network: str | Factory | nn.Module | None = None) -> SavedClassifier:
    """Load the classifier of a folder such as ``RUN/checkpoints/synaug-0``.

    Args:
        folder: holds ``classifier.safetensors``.
        network: what makes it where the network is its maker's own, whose code a file of weights neither holds nor may
            name: ``path/to/net.py:Net``, or the class or function itself.

    Raises:
        OptionError: the network is somebody's own and was not given.
        DataError: there is none, the file is damaged, or the network that was given is another.
    """
    path = Path(folder) / FILE
    if not path.exists():
        raise DataError(f"{folder} holds no classifier ({FILE}). Finished ones lie in RUN/checkpoints/METHOD-SEED.")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["synaug"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
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
    except RuntimeError as error:
        raise DataError(f"The weights in {path} are of another network: {error}") from error
    return SavedClassifier(
        model=model.eval(),
        class_names=tuple(about["class_names"]),
        image_shape=(channels, height, width),
        mean=torch.tensor(about["mean"]),
        std=torch.tensor(about["std"]),
        network=network_named(about["network"], width),
    )


def _network(about: dict[str, Any], path: Path, given: str | Factory | nn.Module | None) -> str | Factory | nn.Module:
    """Return what makes the network of a file; code runs only where the caller gave it."""
    name: str = about["network"]
    if given is None:
        if is_own(name):
            raise OptionError(
                f"The classifier {path} is of its maker's own network {name}, whose code is not in it. If you have "
                "that code and trust it: load_classifier(folder, network='path/to/net.py:Net')."
            )
        return name
    if isinstance(given, str) and network_digest(given) != about.get("network_digest", ""):
        raise DataError(
            f"{given} is not the file that {path} was trained with ({name}). Take that one, or give the class or "
            "function itself to load it nevertheless."
        )
    return given
