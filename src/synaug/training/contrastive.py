"""Learn features from two views of each image, with or without labels: a start that imbalance does not affect."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synaug.config import StageOptions
from synaug.errors import unknown
from synaug.training.batching import two_views
from synaug.training.loop import TrainingLog, Watched, train_representation
from synaug.training.losses import LossContext
from synaug.training.networks import ImageClassifier
from synaug.training.training_set import TrainingSet

VIEWS = ("random_resized_crop", "color_jitter")
_PROJECTED = 128


def pretrain_contrastive(
    model: ImageClassifier,
    data: TrainingSet,
    options: StageOptions,
    *,
    loss: str = "simclr",
    temperature: float = 0.2,
    seed: int,
    checkpoint: Path | None = None,
    **more: Unpack[Watched],
) -> TrainingLog:
    """Train the backbone in place on two views of each image; the classifier stays unchanged.

    Args:
        model: its backbone is trained, under a projection that is discarded.
        data: the images.
        options: loss and mixing are ignored; without ``augmentations``, the views are those of ``VIEWS``.
        loss: a name of ``CONTRASTIVE_LOSSES``.
        temperature: temperature of the similarities; smaller values give the nearest negatives more weight.
        seed: random seed.
        checkpoint: folder for the state.
        more: as for ``train_representation``.

    Raises:
        OptionError: the loss is unknown.
    """
    if loss not in CONTRASTIVE_LOSSES:
        raise unknown("contrastive loss", loss, CONTRASTIVE_LOSSES)
    if not options.augmentations:
        options = options.model_copy(update={"augmentations": VIEWS})
    options = options.model_copy(update={"loss": f"{loss} {temperature}"})  # for the checkpoint's digest
    size = model.classifier.in_features
    log = train_representation(
        projected(model.backbone, size, seed=seed),
        data,
        options,
        seed=seed,
        checkpoint=checkpoint,
        loss=partial(CONTRASTIVE_LOSSES[loss], temperature=temperature),
        maker=two_views,
        **more,
    )
    model.eval()
    return log


def projected(backbone: nn.Module, num_features: int, *, seed: int) -> nn.Module:
    """Return the backbone with a two-layer projection on it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            backbone,
            nn.Linear(num_features, num_features),
            nn.ReLU(),
            nn.Linear(num_features, _PROJECTED),
        )


def simclr(outputs: Tensor, targets: Tensor, *, context: LossContext, temperature: float) -> Tensor:
    """Return the loss of identifying each image's other view among all views of the batch.

    Chen et al. 2020, "A Simple Framework for Contrastive Learning", equation 1 (NT-Xent).
    """
    num = len(outputs)
    others = torch.arange(num, device=outputs.device).roll(num // 2)
    return F.cross_entropy(_similarities(outputs, temperature), others)


def supervised(outputs: Tensor, targets: Tensor, *, context: LossContext, temperature: float) -> Tensor:
    """Return the loss of identifying all views of the same class.

    Khosla et al. 2020, "Supervised Contrastive Learning", equation 2.
    """
    logs = _similarities(outputs, temperature).log_softmax(1)
    return _mean_over_positives(logs, targets)


def balanced(outputs: Tensor, targets: Tensor, *, context: LossContext, temperature: float) -> Tensor:
    """Return the supervised loss in which all classes of the batch have equal weight among the negatives.

    Zhu et al. 2022, "Balanced Contrastive Learning", equation 5 (class averaging), without prototypes.
    """
    similarities = _similarities(outputs, temperature)
    labels = targets.argmax(1)
    counts = torch.bincount(labels, minlength=targets.shape[1])[labels]
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = labels[:, None] == labels
    sizes = torch.where(same, counts[None] - 1, counts[None]).clamp(min=1)
    sums = (similarities - sizes.log()).masked_fill(own, -torch.inf).logsumexp(1, keepdim=True)
    return _mean_over_positives(similarities - sums, targets)


def _similarities(outputs: Tensor, temperature: float) -> Tensor:
    """Return cosines divided by the temperature, with self-similarities so low that they never count."""
    unit = F.normalize(outputs, dim=1)
    own = torch.eye(len(outputs), dtype=torch.bool, device=outputs.device)
    return (unit @ unit.T / temperature).masked_fill(own, -1e9)


def _mean_over_positives(logs: Tensor, targets: Tensor) -> Tensor:
    labels = targets.argmax(1)
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = (labels[:, None] == labels) & ~own
    return -(logs.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()


CONTRASTIVE_LOSSES = {"simclr": simclr, "supervised": supervised, "balanced": balanced}
"""Called like the losses of ``losses``; outputs hold both views, so every output has a positive."""
