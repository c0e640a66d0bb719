"""Train with global and local mixture consistency: two mixtures of the same images must agree.

Du et al. 2023, "Global and Local Mixture Consistency Cumulative Learning for Long-tailed Visual Recognition"
(GLMC), the strongest public recipe for a single network. Written from the paper.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synaug.config import StageOptions
from synaug.training.batching import MakeBatch, plain_batch_maker
from synaug.training.loop import TrainingLog, Watched, train_representation
from synaug.training.losses import LossContext, mean_loss
from synaug.training.mixing import Batch, blended, drawn_box, drawn_lam, with_box
from synaug.training.networks import ImageClassifier
from synaug.training.training_set import TrainingSet

Outputs = tuple[Tensor, Tensor, Tensor, Tensor]


class TwoHeaded(nn.Module):
    """A network with a plain and a rebalanced classifier, a projection, and a predictor of the projection."""

    def __init__(self, model: ImageClassifier) -> None:
        super().__init__()
        size = model.classifier.in_features
        self.backbone = model.backbone
        self.plain = nn.Linear(size, model.classifier.out_features)
        self.rebalanced = model.classifier
        self.projection = nn.Sequential(
            nn.Linear(size, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Linear(size, size), nn.BatchNorm1d(size)
        )
        hidden = max(size // 4, 1)
        self.prediction = nn.Sequential(
            nn.Linear(size, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, size)
        )

    def forward(self, images: Tensor) -> Outputs:
        """Return the logits of both classifiers, the projection, and its prediction."""
        features = self.backbone(images)
        projection = self.projection(features)
        return self.plain(features), self.rebalanced(features), projection, self.prediction(projection)


def train_glmc(
    model: ImageClassifier,
    data: TrainingSet,
    options: StageOptions,
    *,
    seed: int,
    checkpoint: Path | None = None,
    **more: Unpack[Watched],
) -> TrainingLog:
    """Train backbone and classifier of the network in place; the classifier becomes the rebalanced one.

    Args:
        model: the network.
        data: the images, real and synthetic.
        options: loss and mixing are ignored; ``mixup_alpha`` applies to both mixtures, and ``glmc_consistency``,
            ``glmc_exponent`` and ``glmc_scale`` configure the loss.
        seed: random seed.
        checkpoint: folder for the state.
        more: as for ``train_representation``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TwoHeaded(model)
    log = train_representation(
        network,
        data,
        options.model_copy(update={"loss": "glmc", "mixing": "glmc"}),
        seed=seed,
        checkpoint=checkpoint,
        loss=partial(
            glmc,
            consistency=options.glmc_consistency,
            exponent=options.glmc_exponent,
            scale=options.glmc_scale,
        ),
        maker=two_mixtures,
        **more,
    )
    model.eval()
    return log


def two_mixtures(data: TrainingSet, options: StageOptions) -> MakeBatch:
    """Return a function that mixes images with others of the set in equal proportions, by Mixup and by CutMix.

    Partners are drawn uniformly, as in the authors' published recipe: only the weights of the loss correct for the
    class counts.
    """
    plain = plain_batch_maker(data, options)
    height, width = data.size

    def make(rows: np.ndarray, rng: np.random.Generator, share: float = 0.0) -> Batch:
        partners = rng.integers(len(data), size=len(rows))
        lam = drawn_lam(options.mixup_alpha, rng)
        box = drawn_box(height, width, lam, rng)
        mixed = blended(plain(rows, rng, share), plain(partners, rng, share), lam)
        pasted = with_box(plain(rows, rng, share), plain(partners, rng, share), box)
        return Batch(torch.cat([mixed.images, pasted.images]), torch.cat([mixed.targets, pasted.targets]))

    return make


def glmc(
    outputs: Outputs,
    targets: Tensor,
    *,
    context: LossContext,
    consistency: float = 4.0,
    exponent: float = 1.2,
    scale: float = 2.0,
) -> Tensor:
    """Return the plain loss, gradually replaced by the rebalanced loss during training, plus the disagreement.

    Args:
        outputs: outputs of ``TwoHeaded`` for both mixtures, one after the other.
        targets: soft targets, shape ``(2N, C)``.
        context: class counts and completed share of the training.
        consistency: weight of the disagreement; published: 4, 6 and 4 at imbalance factors 100, 50 and 10.
        exponent: exponent of the class weights ``n ** -exponent``; published: 1.2.
        scale: 2 adds the losses of the two mixtures, as in the published code; 1 averages them.
    """
    plain, rebalanced, projections, predictions = outputs
    weights = context.prior**-exponent
    weights = weights / weights.mean()
    first = mean_loss(-(targets * plain.log_softmax(1)).sum(1), targets, context=context)
    second = mean_loss(-(targets * weights * rebalanced.log_softmax(1)).sum(1), targets, context=context)
    early = 1 - context.share**2
    total = early * first + (1 - early) * second + consistency * disagreement(projections, predictions)
    return scale * total


def disagreement(projections: Tensor, predictions: Tensor) -> Tensor:
    """Return the negative cosine of each view's prediction and the other view's projection, -1 to 1.

    Chen and He 2021, "Exploring Simple Siamese Representation Learning", algorithm 1: no gradient flows through
    projections.
    """
    other = projections.detach().roll(len(projections) // 2, 0)
    return -F.cosine_similarity(predictions, other, dim=1).mean()
