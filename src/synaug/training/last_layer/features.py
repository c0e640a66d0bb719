"""What the last linear layer of a network is given, with labels and groups: all that is needed to retrain it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from synaug.errors import DataError, OptionError
from synaug.runtime.devices import chosen_device
from synaug.training.networks.linear_layers import last_linear
from synaug.training.training_set import TrainingSet

_BATCH = 512

Batches = TrainingSet | Dataset[Any] | Iterable[Sequence[Tensor]]
"""A training set; a data set of (image, label) or (image, label, attribute); or batches of those, as a loader has."""


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features, float of shape ``(N, D)``, labels and groups, both ``(N,)``; -1 where a group is unknown.

    ``is_synthetic``: bool, shape ``(N,)``; None: all are real.
    """

    features: Tensor
    labels: Tensor
    groups: Tensor
    is_synthetic: Tensor | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not len(self.features) == len(self.labels) == len(self.groups):
            raise DataError(
                "Features of shape (N, D) with N labels are needed, but got features of shape "
                f"{tuple(self.features.shape)}, {len(self.labels)} labels and {len(self.groups)} groups."
            )


def with_labels(
    features: Tensor | np.ndarray, labels: Sequence[int] | Tensor | np.ndarray, attributes: Any = None
) -> LabelledFeatures:
    """Return features of one's own with labels and, where they are known, attributes (-1: unknown).

    >>> with_labels(np.zeros((3, 2)), [0, 1, 1], attributes=[0, 1, -1]).groups.tolist()
    [0, 3, -1]
    """
    features, labels = torch.as_tensor(features), torch.as_tensor(labels).long()
    if attributes is None:
        return LabelledFeatures(features, labels, torch.full_like(labels, -1))
    attributes = torch.as_tensor(attributes).long()
    num_attributes = int(attributes.max()) + 1
    return LabelledFeatures(features, labels, torch.where(attributes < 0, -1, labels * num_attributes + attributes))


def labelled_features(
    model: nn.Module,
    data: Batches,
    *,
    layer: str | None = None,
    device: str | torch.device = "auto",
) -> LabelledFeatures:
    """Run a network over images once and keep what its last linear layer is given.

    Args:
        model: any network; it is moved to the device, and not changed otherwise.
        data: images as the network takes them, with labels; see ``Batches``.
        layer: name of the linear layer that makes the logits; default: the last one.
        device: where the network runs.

    Raises:
        OptionError: the layer is not there, or not used once a batch.
        DataError: the batches do not hold images and labels.
    """
    name, linear = last_linear(model, layer)
    place = chosen_device(device)
    model.to(place)
    found: list[tuple[Tensor, ...]] = []
    with torch.no_grad(), _evaluating(model), _watched(linear) as given:
        for images, *others in _batches_of(data):
            model(images.to(place))
            if len(given) != 1:
                raise OptionError(f"The layer {name!r} was used {len(given)} times in a batch, not once. Name another.")
            found.append((given.pop(), *(torch.as_tensor(other).cpu() for other in others)))
    if not found:
        raise DataError("There are no images to compute features of.")
    columns = [torch.cat(parts) for parts in zip(*found, strict=True)]
    if isinstance(data, TrainingSet):
        return LabelledFeatures(columns[0], columns[1], columns[2], data.is_synthetic.cpu())
    return with_labels(columns[0], columns[1], columns[2] if len(columns) > 2 else None)


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a network in evaluation mode, and put each of its parts back into its own after it."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextlib.contextmanager
def _watched(layer: nn.Linear) -> Iterator[list[Tensor]]:
    """Give the list to which each call of a layer adds its input."""
    given: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach().float().cpu()))
    try:
        yield given
    finally:
        hook.remove()


def _batches_of(data: Batches) -> Iterator[Sequence[Tensor]]:
    """Yield images, labels and, of a training set, groups, of anything else the attributes if there are any."""
    if isinstance(data, TrainingSet):
        for rows in torch.split(torch.arange(len(data)), _BATCH):
            yield data.normalised(data.centers(rows)), data.labels[rows], data.groups[rows]
        return
    for batch in DataLoader(data, batch_size=_BATCH) if isinstance(data, Dataset) else data:
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3) or not isinstance(batch[0], Tensor):
            raise DataError(
                "Batches of (images, labels) or (images, labels, attributes) are needed, all tensors, "
                f"but got {type(batch).__name__}."
            )
        yield batch
