"""Run a network over a set without augmentation, for logits or features."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from synaug.errors import EnvironmentFault
from synaug.runtime import chosen_device, is_out_of_memory
from synaug.training.networks import ImageClassifier
from synaug.training.training_set import TrainingSet, normalized

_SMALLER = "Use a smaller network or train.image_size."


def predict(
    model: nn.Module, data: TrainingSet, *, batch_size: int = 512, device: str | torch.device = "auto"
) -> Tensor:
    """Return logits, float32 of shape ``(N, num_classes)`` on the CPU, without augmentation.

    The batch size is halved if memory runs out.

    Raises:
        EnvironmentFault: not even a single image fits into memory.
    """
    return _in_batches(model, model, data, batch_size=batch_size, device=device)


def extract_features(
    model: ImageClassifier,
    data: TrainingSet,
    *,
    batch_size: int = 512,
    device: str | torch.device = "auto",
    flip: bool = False,
) -> Tensor:
    """Return features, float32 of shape ``(N, D)`` on the CPU; ``flip`` averages them with the mirrored image's."""

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
    parts: list[Tensor] = []
    done = 0
    with torch.no_grad():
        while not parts or done < len(data):
            try:
                images = data.centers(torch.arange(done, min(done + batch_size, len(data))))
                parts.append(function(normalized(images.to(place), mean=mean, std=std)).float().cpu())
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if batch_size == 1:
                    raise EnvironmentFault(f"Out of memory for a single image. {_SMALLER}") from error
                batch_size = max(1, batch_size // 2)
            else:
                done += len(images)
    model.train(was_training)
    return torch.cat(parts)
