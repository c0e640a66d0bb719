"""Retrain the last layer of a network on features that stay as they are, by one of the methods of ``heads``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from synaug.errors import DataError, unknown
from synaug.training.fit import extract_features
from synaug.training.heads import METHODS, Head, Problem, logistic
from synaug.training.images import TrainingSet
from synaug.training.models import CosineLinear, ImageClassifier, as_image_classifier


def retrain_classifier(
    model: nn.Module,
    data: TrainingSet,
    *,
    method: str | Callable[..., Head] = "logistic",
    regularization: float = 1.0,
    seed: int = 0,
    features: Tensor | None = None,
    device: str | torch.device = "auto",
) -> ImageClassifier:
    """Return a copy of the network with a new last layer.

    Args:
        model: any network that ends in a linear layer; it is not changed.
        data: what the layer learns from: real images, of every class.
        method: a name of ``METHODS``, or a function like them.
        regularization: inverse strength C, as in scikit-learn: the smaller, the simpler the layer.
        seed: of what the method draws.
        features: of ``data``, shape ``(N, D)``, if they are known already.
        device: where they are computed.

    Raises:
        OptionError: the method is unknown, or the network has no linear layer.
        DataError: a class has no image, or the features do not fit.
    """
    find = method_named(method)
    copied = copy.deepcopy(model) if isinstance(model, ImageClassifier) else as_image_classifier(model)
    if features is None:
        features = extract_features(copied, data, device=device)
    problem = make_problem(copied.classifier, features, data)
    head = find(problem, regularization=regularization, seed=seed)
    old = copied.classifier
    layer = nn.Linear(old.in_features, len(head.bias)).to(old.weight.device)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))
    copied.classifier = layer
    return copied.eval()


def make_problem(classifier: nn.Linear, features: Tensor, data: TrainingSet) -> Problem:
    """Return the problem for a layer, features and the set they are of."""
    if features.shape != (len(data), classifier.in_features):
        raise DataError(
            f"The features have shape {tuple(features.shape)}, but {len(data)} images and a classifier of "
            f"{classifier.in_features} inputs need {(len(data), classifier.in_features)}."
        )
    counts = torch.bincount(data.labels, minlength=data.num_classes)
    if (counts == 0).any():
        empty = torch.nonzero(counts == 0).flatten().tolist()
        raise DataError(
            f"The classifier cannot be retrained: no images of the classes number {', '.join(map(str, empty))}. "
            "Retrain on the evened-out set, or leave these classes out."
        )
    labels, groups = data.labels.cpu().numpy(), data.groups.cpu().numpy()
    weight = classifier.rows if isinstance(classifier, CosineLinear) else classifier.weight
    bias = classifier.bias if classifier.bias is not None else torch.zeros(classifier.out_features)
    return Problem(
        features=features.detach().cpu().double().numpy(),
        labels=labels,
        groups=groups if (groups >= 0).all() else labels,
        num_classes=data.num_classes,
        start=Head(*(tensor.detach().cpu().double().numpy() for tensor in (weight, bias))),
    )


def method_named(method: str | Callable[..., Head]) -> Callable[..., Head]:
    """Return the method for a name or a function of one's own."""
    if callable(method):
        return method
    if method not in METHODS:
        raise unknown("retraining method", method, METHODS)
    return METHODS[method]


def own_groups(data: TrainingSet) -> TrainingSet:
    """Return the set with a group more for each class, of its images whose group is unknown.

    One of two ways to use Group DRO when synthetic images carry no attribute; the other is ``predicted_groups``.
    """
    groups = torch.where(data.groups < 0, data.num_groups + data.labels, data.groups)
    return replace(data, groups=groups, num_groups=data.num_groups + data.num_classes)


def predicted_groups(data: TrainingSet, features: Tensor) -> Tensor:
    """Return the groups with those that are unknown guessed, int64 of shape ``(N,)``.

    Synaug's own way to use Group DRO when synthetic images carry no attribute: a class-balanced logistic
    regression on the features learns the attribute from the images that have one; the label is never guessed.

    Args:
        data: the images, some without a group.
        features: shape ``(N, D)``.

    Raises:
        DataError: the images whose group is known have fewer than two attributes.
    """
    num_attributes = max(data.num_groups // data.num_classes, 1)
    known = (data.groups >= 0).cpu().numpy()
    attributes = data.groups.cpu().numpy() % num_attributes
    found = np.unique(attributes[known])
    if len(found) < 2:
        raise DataError("Attributes cannot be predicted: the images show fewer than two. Name one with --attribute.")
    inputs = features.detach().cpu().double().numpy()
    places = np.searchsorted(found, attributes[known])
    start = Head(np.zeros((len(found), inputs.shape[1])), np.zeros(len(found)))
    head = logistic(Problem(inputs[known], places, places, len(found), start), regularization=1.0, seed=0)
    guessed = found[head.logits(inputs).argmax(1)]
    groups = data.labels.cpu().numpy() * num_attributes + np.where(known, attributes, guessed)
    return torch.from_numpy(groups)
