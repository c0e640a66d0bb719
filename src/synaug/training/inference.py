"""Run a network over a set as it is: logits, or features."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from synaug.runtime.devices import chosen_device
from synaug.training.networks.classifiers import ImageClassifier
from synaug.training.training_set import TrainingSet, normalised


def predict(
    model: nn.Module, data: TrainingSet, *, batch_size: int = 512, device: str | torch.device = "auto"
) -> Tensor:
    """Return logits, float32 of shape ``(N, num_classes)`` on the CPU, of the images as they are."""
    return _in_batches(model, model, data, batch_size=batch_size, device=device)


def extract_features(
    model: ImageClassifier,
    data: TrainingSet,
    *,
    batch_size: int = 512,
    device: str | torch.device = "auto",
    flip: bool = False,
) -> Tensor:
    """Return features, float32 of shape ``(N, D)`` on the CPU; with ``flip`` the mean with the mirrored image's."""

    def features(images: Tensor) -> Tensor:
        found = model.features(images)
        return (found + model.features(images.flip(3))) / 2 if flip else found

    return _in_batches(model, features, data, batch_size=batch_size, device=device)


def _in_batches(
    model: nn.Module,
    function: Callable[[Tensor], Tensor],
    data: TrainingSet,
    *,
    batch_size: int,
    device: str | torch.device,
) -> Tensor:
    place = chosen_device(device)
    was_training = model.training
    model.to(place).eval()
    mean, std = data.mean.to(place), data.std.to(place)
    with torch.no_grad():
        parts = [
            function(normalised(images.to(place), mean=mean, std=std)).float().cpu()
            for images in (data.centers(positions) for positions in torch.split(torch.arange(len(data)), batch_size))
        ]
    model.train(was_training)
    return torch.cat(parts)
