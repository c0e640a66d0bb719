"""Extract the inputs of a network's last linear layer with labels and groups: everything needed to retrain it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from synaug.data.checks.whole_numbers import whole_numbers
from synaug.data.export import ImageDataset
from synaug.errors import DataError, OptionError
from synaug.runtime import TEXT, check_arguments, chosen_device, instance_of
from synaug.training.networks import last_linear
from synaug.training.training_set import TrainingSet

_BATCH = 512
_NEEDED = "Batches of (images, labels) or (images, labels, attributes) are needed, all tensors."

Batches = TrainingSet | Dataset[object] | Iterable[Sequence[Tensor]]
"""A training set; a data set of (image, label) or (image, label, attribute); or batches of those, as from a loader.

The data set of ``synaug.to_torch`` has its own attributes; the third item of its samples is ``is_synthetic``.
"""


@dataclass(frozen=True, eq=False)
class LabeledFeatures:
    """Features, float of shape ``(N, D)``, labels and groups, both ``(N,)``; -1: unknown group.

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
    features: Tensor | np.ndarray,
    labels: Sequence[int] | Tensor | np.ndarray,
    attributes: Sequence[int] | Tensor | np.ndarray | None = None,
    is_synthetic: Tensor | None = None,
) -> LabeledFeatures:
    """Return the caller's own features with labels and, optionally, attributes (-1: unknown).

    Args:
        features: numbers of shape ``(N, D)``.
        labels: class numbers of shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, C)``.
        attributes: numbers of shape ``(N,)``, -1: unknown.
        is_synthetic: bool, shape ``(N,)``.

    Raises:
        DataError: a shape, type or value is not allowed.

    >>> with_labels(np.zeros((3, 2)), [0, 1, 1], attributes=[0, 1, -1]).groups.tolist()
    [0, 3, -1]
    """
    found, numbers = _feature_tensor(features), class_numbers(labels, kind="label")
    if attributes is None:
        return LabeledFeatures(found, numbers, torch.full_like(numbers, -1), is_synthetic)
    places = class_numbers(attributes, kind="attribute", lowest=-1)
    if len(places) != len(numbers):
        raise DataError(f"There are {len(numbers)} labels but {len(places)} attributes.")
    num_attributes = int(places.max()) + 1 if len(places) else 0
    groups = torch.where(places < 0, -1, numbers * num_attributes + places)
    return LabeledFeatures(found, numbers, groups, is_synthetic)


def _feature_tensor(features: Tensor | np.ndarray) -> Tensor:
    try:
        found = torch.as_tensor(features).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"The features are {type(features).__name__}; give numbers of shape (N, D): {error}") from error
    if found.ndim != 2 or found.is_complex() or not torch.isfinite(found).all():
        raise DataError(
            f"The features are {found.dtype} of shape {tuple(found.shape)}; give finite numbers of shape (N, D)."
        )
    return found


def class_numbers(values: Sequence[int] | Tensor | np.ndarray, *, kind: str, lowest: int = 0) -> Tensor:
    """Return labels or attributes as numbers, int64 of shape ``(N,)``.

    Raises:
        DataError: the values are names, fractions, several per row, or below ``lowest``.
    """
    numbers = torch.from_numpy(whole_numbers(values, kind=kind).astype(np.int64))
    if len(numbers) and int(numbers.min()) < lowest:
        raise DataError(f"The {kind} {int(numbers.min())} is out of range; the lowest that is allowed is {lowest}.")
    return numbers


def labeled_features(
    model: nn.Module,
    data: Batches,
    *,
    layer: str | None = None,
    device: str | torch.device = "auto",
) -> LabeledFeatures:
    """Run a network over images once and return the inputs of its last linear layer.

    Args:
        model: any network; it is moved to the device but not otherwise changed.
        data: images in the form that the network takes, with labels; see ``Batches``.
        layer: name of the linear layer that computes the logits; default: the last one.
        device: where the network runs.

    Raises:
        OptionError: the layer does not exist, or is not used exactly once per batch.
        DataError: the batches do not hold images and labels.
    """
    check_arguments(
        "labeled_features", layer=(layer, TEXT.or_none),
        device=(device, instance_of(str, torch.device, words="the name of a device")),
    )  # fmt: skip
    name, linear = last_linear(model, layer)
    place = chosen_device(device)
    model.to(place)
    found: list[dict[str, Tensor]] = []
    with torch.no_grad(), _evaluating(model), _watched(linear) as given:
        for images, columns in _batches_of(data):
            model(images.to(place))
            if len(given) != 1:
                raise OptionError(
                    f"The layer {name!r} was used {len(given)} times in a batch, not once. Name another layer."
                )
            found.append(
                {"features": given.pop()} | {name: torch.as_tensor(each).cpu() for name, each in columns.items()}
            )
    if not found:
        raise DataError("No images were given to compute features from.")
    whole = {name: torch.cat([part[name] for part in found]) for name in found[0]}
    if isinstance(data, TrainingSet):
        return LabeledFeatures(whole["features"], whole["labels"], whole["groups"], data.is_synthetic.cpu())
    if isinstance(data, ImageDataset):
        whole |= {"is_synthetic": torch.tensor(data.is_synthetic), "attributes": torch.tensor(data.attributes)}
    return with_labels(whole["features"], whole["labels"], whole.get("attributes"), whole.get("is_synthetic"))


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Keep a network in evaluation mode, then restore the mode of each part."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextlib.contextmanager
def _watched(layer: nn.Linear) -> Iterator[list[Tensor]]:
    """Yield a list that collects the input of each call of a layer."""
    given: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach().float().cpu()))
    try:
        yield given
    finally:
        hook.remove()


def _batches_of(data: Batches) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Yield images, and their columns by name: ``labels``, and the third column, if there is one.

    The third is ``groups`` for a training set, ``is_synthetic`` for the samples of ``to_torch``, else ``attributes``.
    """
    if isinstance(data, TrainingSet):
        for rows in torch.split(torch.arange(len(data)), _BATCH):
            images = data.normalized(data.centers(rows))
            yield images, {"labels": data.labels[rows], "groups": data.groups[rows]}
        return
    if not isinstance(data, Iterable | Dataset) or getattr(data, "ndim", 1) == 0:
        raise DataError(f"Images cannot be taken from {type(data).__name__}. {_NEEDED}")
    for batch in DataLoader(data, batch_size=_BATCH) if isinstance(data, Dataset) else data:
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3) or not isinstance(batch[0], Tensor):
            raise DataError(f"{_NEEDED[:-1]}, but got {type(batch).__name__}.")
        third = "is_synthetic" if hasattr(batch, "is_synthetic") else "attributes"
        yield batch[0], dict(zip(("labels", third), batch[1:], strict=False))
