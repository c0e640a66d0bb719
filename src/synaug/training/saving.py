"""Keep a finished classifier, and load it again for use elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from synaug import storage
from synaug.errors import DataError
from synaug.training.images import TrainingSet
from synaug.training.models import ImageClassifier, make_model

FILE = "classifier.safetensors"


@dataclass(frozen=True, eq=False)
class SavedClassifier:
    """A classifier with what it needs to be used: names, image size and normalisation."""

    model: ImageClassifier
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: Tensor
    std: Tensor

    def logits(self, images: Tensor) -> Tensor:
        """Return logits, shape ``(N, num_classes)``, of uint8 images ``(N, C, H, W)`` of any size."""
        pixels = images.float() / 255
        if pixels.shape[-2:] != self.image_shape[1:]:
            pixels = F.interpolate(pixels, self.image_shape[1:], mode="bilinear", antialias=True)
        with torch.inference_mode():
            return self.model((pixels - self.mean[:, None, None]) / self.std[:, None, None])


def write_classifier(
    model: nn.Module, folder: Path, *, data: TrainingSet, network: str, class_names: Sequence[str]
) -> None:
    """Write weights and description into one safetensors file.

    Args:
        model: the trained network.
        folder: where ``classifier.safetensors`` goes.
        data: a set of the size and normalisation that the network was trained with.
        network: the name that makes it; see ``make_model``.
        class_names: one name an output.
    """
    about = {
        "network": network,
        "head": getattr(model, "head", "linear"),
        "class_names": list(class_names),
        "image_shape": list(data.images.shape[1:]),
        "mean": data.mean.tolist(),
        "std": data.std.tolist(),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    storage.write_bytes(folder / FILE, save(tensors, metadata={"synaug": json.dumps(about)}))


def load_classifier(folder: str | Path) -> SavedClassifier:
    """Load the classifier of a folder such as ``RUN/checkpoints/synaug-0``.

    Raises:
        DataError: there is none, or the file is damaged.
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
        about["network"],
        num_classes=len(about["class_names"]),
        in_channels=channels,
        image_size=width,
        head=about.get("head", "linear"),
    )
    model.load_state_dict(tensors)
    return SavedClassifier(
        model=model.eval(),
        class_names=tuple(about["class_names"]),
        image_shape=(channels, height, width),
        mean=torch.tensor(about["mean"]),
        std=torch.tensor(about["std"]),
    )
