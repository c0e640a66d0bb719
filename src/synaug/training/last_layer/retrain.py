"""Retrain the last layer of any network on fixed features, by one of the methods of ``solvers``."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from numbers import Real
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from synaug.errors import DataError, OptionError, unknown
from synaug.runtime import SEED, TEXT, check_arguments, instance_of, threads_for
from synaug.training.last_layer.features import Batches, LabeledFeatures, labeled_features, with_labels
from synaug.training.last_layer.logistic import logistic
from synaug.training.last_layer.problem import Head, Problem
from synaug.training.last_layer.solvers import METHODS
from synaug.training.networks import CosineLinear, last_linear
from synaug.training.training_set import TrainingSet

M = TypeVar("M", bound=nn.Module)


def retrain_classifier(
    model: M,
    data: Batches | LabeledFeatures | Tensor | np.ndarray,
    *,
    labels: Sequence[int] | Tensor | np.ndarray | None = None,
    attributes: Sequence[int] | Tensor | np.ndarray | None = None,
    validation: Batches | LabeledFeatures | None = None,
    subsets: Sequence[np.ndarray] | None = None,
    method: str | Callable[..., Head] = "logistic",
    layer: str | None = None,
    regularization: float = 1.0,
    seed: int = 0,
    device: str | torch.device = "auto",
) -> M:
    """Return a copy of any network with its last linear layer retrained; the rest stays unchanged.

    Args:
        model: the network; it is not changed.
        data: training data of the layer, with images of every class. A ``DataLoader`` or a data set of (image, label)
            or (image, label, attribute), with images in the form that the network takes; a ``TrainingSet``; features of
            shape ``(N, D)``, with ``labels``; or ``labeled_features``, computed once to try several methods.
        labels: class numbers of shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, C)``, if ``data`` are bare features.
        attributes: attribute numbers, likewise; -1: unknown. With them, DFR balances groups instead of classes.
        validation: images, or their ``labeled_features``, to choose tau, radius or strength on; default: some of
            ``data``. Never the test images.
        subsets: positions of images; a layer is fitted to each subset, and the result is the mean of these layers.
            Default: one fit, to all images.
        method: a name of ``solvers.METHODS``: cross_fitted, logistic, warm_logistic, crt, crt_warm, lws, max_norm,
            tau_norm, nearest_class_mean or dfr; or a function with the same signature.
        layer: name of the linear layer that computes the logits; default: the last one.
        regularization: inverse strength C, as in scikit-learn: the smaller, the simpler the layer.
        seed: random seed of the method.
        device: where features are computed.

    Raises:
        OptionError: the method or layer is unknown, or the network has no linear layer.
        DataError: a class has no image, also in one of the ``subsets``, or the features do not fit.

    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> images, labels = torch.eye(4).reshape(4, 1, 2, 2), torch.tensor([0, 1, 0, 1])
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> repaired = retrain_classifier(network, DataLoader(TensorDataset(images, labels), batch_size=2))
    >>> repaired(images).argmax(1).tolist()
    [0, 1, 0, 1]
    """
    find = method_named(method)
    if not isinstance(model, nn.Module):
        raise OptionError(f"model must be a torch network (nn.Module), got {type(model).__name__}.")
    if isinstance(regularization, bool) or not isinstance(regularization, Real) or not 0 < regularization < math.inf:
        raise OptionError(f"regularization must be a number above 0, got {regularization!r}.")
    check_arguments(
        "retrain_classifier", layer=(layer, TEXT.or_none), seed=(seed, SEED),
        device=(device, instance_of(str, torch.device, words="the name of a device")),
    )  # fmt: skip
    copied = copy.deepcopy(model)
    name, old = last_linear(copied, layer)
    if isinstance(data, Tensor | np.ndarray) or (labels is not None and not isinstance(data, LabeledFeatures)):
        if labels is None:
            raise DataError("Features need labels. Pass labels as well.")
        data = with_labels(data, labels, attributes)

    def known(source: Batches | LabeledFeatures) -> LabeledFeatures:
        if isinstance(source, LabeledFeatures):
            return source
        return labeled_features(copied, source, layer=layer, device=device)

    problem = make_problem(old, known(data))
    if validation is not None:
        problem = replace(problem, validation=make_problem(old, known(validation), complete=False))
    with threads_for(problem.features.size * problem.num_classes):
        heads = [find(part, regularization=float(regularization), seed=seed) for part in _parts(problem, subsets)]
    head = Head(np.mean([each.weight for each in heads], axis=0), np.mean([each.bias for each in heads], axis=0))
    new = as_linear(head, like=old)
    if name == "":
        return cast(M, new)
    copied.set_submodule(name, new)
    return copied.eval()


def _parts(problem: Problem, subsets: Iterable[np.ndarray] | None) -> list[Problem]:
    """Return the problem of each subset; the whole problem without subsets."""
    if subsets is None:
        return [problem]
    try:
        parts = [np.asarray(rows) for rows in subsets]
    except (TypeError, ValueError, RuntimeError) as error:  # the last of tensors with a gradient
        raise DataError(f"subsets must be a list of arrays of positions, got {type(subsets).__name__}.") from error
    if not parts:
        raise DataError("subsets is empty. Give at least one array of positions, or None for all images.")
    num = len(problem.labels)
    for number, rows in enumerate(parts):
        if rows.dtype.kind not in "iu" or rows.ndim != 1 or not ((rows >= 0) & (rows < num)).all():
            raise DataError(f"subsets[{number}] must hold positions from 0 to {num - 1:,}, shape (M,).")
        absent = np.setdiff1d(np.arange(problem.num_classes), problem.labels[rows])
        if len(absent):
            raise DataError(f"subsets[{number}] lacks class {absent[0]}. Give each subset images of all classes.")
    return [problem.rows(rows) for rows in parts]


def as_linear(head: Head, *, like: nn.Linear) -> nn.Linear:
    """Return a head as a layer with the device and data type of ``like``."""
    layer = nn.Linear(like.in_features, len(head.bias)).to(like.weight)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))
    return layer


def make_problem(classifier: nn.Linear, known: LabeledFeatures, *, complete: bool = True) -> Problem:
    """Return the problem for a layer and features.

    Raises:
        DataError: the features do not fit the layer, a label is out of range, or a class has no images although they
            should be ``complete``.
    """
    num, size = known.features.shape
    if size != classifier.in_features:
        raise DataError(f"The features have {size} columns, but the classifier has {classifier.in_features} inputs.")
    labels, groups = known.labels.cpu().numpy(), known.groups.cpu().numpy()
    num_classes = classifier.out_features
    if num and not 0 <= labels.min() <= labels.max() < num_classes:
        raise DataError(
            f"Labels go from {labels.min()} to {labels.max()}, but the classifier has {num_classes} classes, from 0."
        )
    empty = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if complete and len(empty):
        raise DataError(
            f"The classifier cannot be retrained: there are no images of the classes {', '.join(map(str, empty))}. "
            "Retrain on the balanced set, or leave these classes out."
        )
    weight = classifier.rows if isinstance(classifier, CosineLinear) else classifier.weight
    bias = classifier.bias if classifier.bias is not None else torch.zeros(num_classes)
    return Problem(
        features=known.features.detach().cpu().double().numpy(),
        labels=labels,
        groups=groups if (groups >= 0).all() else labels,
        num_classes=num_classes,
        start=Head(*(tensor.detach().cpu().double().numpy() for tensor in (weight, bias))),
        is_synthetic=None if known.is_synthetic is None else known.is_synthetic.cpu().numpy(),
    )


def method_named(method: str | Callable[..., Head]) -> Callable[..., Head]:
    """Return the method for a name; a function is returned as it is."""
    if callable(method):
        return method
    if not isinstance(method, str) or method not in METHODS:
        raise unknown("retraining method", method, METHODS)
    return METHODS[method]


def own_groups(data: TrainingSet) -> TrainingSet:
    """Return the set with one extra group per class, for its images of unknown group.

    One of two ways to use Group DRO if synthetic images have no attribute; the other is ``predicted_groups``.
    """
    groups = torch.where(data.groups < 0, data.num_groups + data.labels, data.groups)
    return replace(data, groups=groups, num_groups=data.num_groups + data.num_classes)


def predicted_groups(data: TrainingSet, features: Tensor) -> Tensor:
    """Return the groups with predictions for unknown ones, int64 of shape ``(N,)``.

    Synaug's own way to use Group DRO if synthetic images have no attribute: a class-balanced logistic regression on the
    features learns the attribute from the images that have one. The label is never predicted.

    Args:
        data: the images, some without a group.
        features: shape ``(N, D)``.

    Raises:
        DataError: the images of known group have fewer than two attributes.
    """
    num_attributes = max(data.num_groups // data.num_classes, 1)
    known = (data.groups >= 0).cpu().numpy()
    attributes = data.groups.cpu().numpy() % num_attributes
    found = np.unique(attributes[known])
    if len(found) < 2:
        raise DataError("Attributes cannot be predicted: fewer than two values occur. Name one with --attribute.")
    inputs = features.detach().cpu().double().numpy()
    places = np.searchsorted(found, attributes[known])
    start = Head(np.zeros((len(found), inputs.shape[1])), np.zeros(len(found)))
    head = logistic(Problem(inputs[known], places, places, len(found), start), regularization=1.0, seed=0)
    guessed = found[head.logits(inputs).argmax(1)]
    groups = data.labels.cpu().numpy() * num_attributes + np.where(known, attributes, guessed)
    return torch.from_numpy(groups)
