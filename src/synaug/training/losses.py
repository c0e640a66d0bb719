"""Compute losses on soft targets, with priors from the counts of real images, or of drawn ones.

A loss is a function ``(logits, targets, *, context)`` that returns the mean over the batch. Group DRO keeps weights
between batches, so it is a module, called the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synaug.errors import OptionError, unknown


@dataclass(frozen=True, eq=False)
class LossContext:
    """Inputs of a loss besides logits and targets.

    Attributes:
        class_counts: images of each class that define the prior, shape ``(C,)``: the real ones, or those drawn.
        groups: group of each image of the batch (the first of a mixed pair), shape ``(N,)``; -1: unknown.
        share: completed share of the training, 0 to 1.
        logit_scale: factor between cosines and logits; 1 for a plain linear layer.
        is_weighted: whether targets sum to the weight of their image instead of 1.
    """

    class_counts: Tensor
    groups: Tensor
    share: float = 0.0
    logit_scale: float = 1.0
    is_weighted: bool = False

    @property
    def prior(self) -> Tensor:
        """Share of each class among the images; an empty class counts as one image."""
        counts = self.class_counts.clamp(min=1).float()
        return counts / counts.sum()


Loss = Callable[..., Tensor]


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy per image, shape ``(N,)``."""
    return -(targets * logits.log_softmax(1)).sum(1)


def mean_loss(losses: Tensor, targets: Tensor, *, context: LossContext) -> Tensor:
    """Return the mean of the losses of shape ``(N,)``; the weighted mean if images have weights.

    A loss that is linear in its targets already includes the weight of an image, since its targets sum to it.
    """
    return losses.sum() / targets.sum() if context.is_weighted else losses.mean()


def cross_entropy(logits: Tensor, targets: Tensor, *, context: LossContext) -> Tensor:
    """Return the mean cross-entropy."""
    return mean_loss(cross_entropies(logits, targets), targets, context=context)


def label_smoothing(logits: Tensor, targets: Tensor, *, context: LossContext, smoothing: float = 0.1) -> Tensor:
    """Return the mean cross-entropy with a tenth of each target spread over all classes.

    Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.
    """
    spread = targets.sum(1, keepdim=True) if context.is_weighted else 1.0
    smoothed = (1 - smoothing) * targets + smoothing * spread / targets.shape[1]
    return mean_loss(cross_entropies(logits, smoothed), targets, context=context)


def focal(logits: Tensor, targets: Tensor, *, context: LossContext, gamma: float = 2.0) -> Tensor:
    """Return the mean of ``-(1 - p)^gamma log p``, weighted by the targets.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 4, with a softmax.
    """
    logs = logits.log_softmax(1)
    return mean_loss(-(targets * (1 - logs.exp()) ** gamma * logs).sum(1), targets, context=context)


def effective_number_weights(class_counts: Tensor, *, beta: float = 0.9999) -> Tensor:
    """Return ``(1 - beta) / (1 - beta^n)`` per class, scaled to mean 1.

    Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples".

    >>> effective_number_weights(torch.tensor([1, 2]), beta=0.5)
    tensor([1.2000, 0.8000])
    """
    weights = (1 - beta) / (1 - beta ** class_counts.clamp(min=1).double())
    return (weights / weights.mean()).float()


def class_balanced(logits: Tensor, targets: Tensor, *, context: LossContext) -> Tensor:
    """Return the mean cross-entropy, each class weighted by its effective number of images (Cui et al. 2019)."""
    weights = effective_number_weights(context.class_counts)
    return mean_loss(-(targets * weights * logits.log_softmax(1)).sum(1), targets, context=context)


def balanced_softmax(logits: Tensor, targets: Tensor, *, context: LossContext) -> Tensor:
    """Return the mean cross-entropy of the logits shifted by the log prior.

    Ren et al. 2020, "Balanced Meta-Softmax", theorem 1.
    """
    return logit_adjustment(logits, targets, context=context, tau=1.0)


def logit_adjustment(logits: Tensor, targets: Tensor, *, context: LossContext, tau: float = 1.0) -> Tensor:
    """Return the mean cross-entropy of the logits shifted by tau times the log prior.

    Menon et al. 2021, "Long-tail Learning via Logit Adjustment", equation 10.
    """
    losses = cross_entropies(logits + tau * context.prior.log(), targets)
    return mean_loss(losses, targets, context=context)


def ldam(
    logits: Tensor,
    targets: Tensor,
    *,
    context: LossContext,
    max_margin: float = 0.5,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy in which each class must win by a margin, wider for rarer classes.

    Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", equations 10 to 13:
    margins are proportional to n^(-1/4), the largest is 0.5. As in the paper, the network should end in a layer of
    cosines (``make_model(..., head="cosine")``), whose margins are scaled like its logits; with a plain linear layer
    they are subtracted from the unscaled logits. A soft target mixes the losses of its classes.
    """
    margins = context.class_counts.clamp(min=1).float() ** -0.25
    margins = margins * (context.logit_scale * max_margin / margins.max())
    sums = torch.logaddexp(_log_sums_of_others(logits), logits - margins)
    return _weighted_mean(targets * (sums - (logits - margins)), targets, context=context, weights=weights)


def _log_sums_of_others(logits: Tensor) -> Tensor:
    """Return, per class, the log of the sum of exponentials of all others, stable even if one is far above them."""
    top = logits.argmax(1, keepdim=True) == torch.arange(logits.shape[1], device=logits.device)
    without_top = logits.masked_fill(top, -torch.inf).logsumexp(1, keepdim=True)
    shares = logits.softmax(1).masked_fill(top, 0)
    return torch.where(top, without_top, logits.logsumexp(1, keepdim=True) + torch.log1p(-shares))


def ldam_drw(logits: Tensor, targets: Tensor, *, context: LossContext) -> Tensor:
    """Return LDAM, with effective-number weights in the last fifth of the training (Cao et al. 2019, section 3.3)."""
    return ldam(logits, targets, context=context, weights=_deferred_weights(context))


def cross_entropy_drw(logits: Tensor, targets: Tensor, *, context: LossContext) -> Tensor:
    """Return cross-entropy, with effective-number weights in the last fifth of the training."""
    losses = -targets * logits.log_softmax(1)
    return _weighted_mean(losses, targets, context=context, weights=_deferred_weights(context))


def _deferred_weights(context: LossContext) -> Tensor | None:
    return None if context.share < 0.8 else effective_number_weights(context.class_counts)


def _weighted_mean(losses: Tensor, targets: Tensor, *, context: LossContext, weights: Tensor | None) -> Tensor:
    """Return the mean of losses of shape ``(N, C)``, weighted by class and divided by the total weight of the batch.

    Algorithm 1, line 11, of Cao et al. 2019 re-normalizes. Dividing by N instead would shrink the steps of a
    long-tailed batch, since most of its images belong to classes with small weights.
    """
    if weights is None:
        return mean_loss(losses.sum(1), targets, context=context)
    return (losses * weights).sum() / (targets * weights).sum()


class GroupDRO(nn.Module):
    """The weighted sum of group losses, whose weights grow for groups with large losses.

    Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", algorithm 1. Two details are ours.
    The weighted sum is divided by the weights of the groups in the batch, so that a batch without a heavy group does
    not take a smaller step. Images of unknown group, such as synthetic ones without an attribute, form one more group.

    Args:
        num_groups: known groups.
        step_size: growth rate of the weights.
        adjustment: the generalization adjustment C: weights grow by the loss plus ``C / sqrt(images of the group)``.
        group_counts: training images per group, shape ``(num_groups + 1,)``, unknown groups last; required with an
            adjustment.

    Attributes:
        weights: shape ``(num_groups + 1,)``, the last for images without a known group; they sum to 1.
    """

    weights: Tensor
    adjustments: Tensor

    def __init__(
        self,
        num_groups: int,
        *,
        step_size: float = 0.01,
        adjustment: float = 0.0,
        group_counts: Tensor | None = None,
    ) -> None:
        super().__init__()
        if adjustment and group_counts is None:
            raise OptionError("The generalization adjustment of Group DRO needs the number of images of each group.")
        self.step_size = step_size
        self.register_buffer("weights", torch.full((num_groups + 1,), 1 / (num_groups + 1)))
        counts = torch.ones(num_groups + 1) if group_counts is None else group_counts.clamp(min=1).float()
        self.register_buffer("adjustments", adjustment / counts.sqrt(), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor, *, context: LossContext) -> Tensor:
        """Return the weighted sum of group losses, scaled so that equal weights give a mean over groups."""
        losses = cross_entropies(logits, targets)
        num = len(self.weights)
        groups = torch.where(context.groups < 0, num - 1, context.groups)
        shares = targets.sum(1) if context.is_weighted else torch.ones_like(losses)
        zeros = torch.zeros(num, dtype=losses.dtype, device=losses.device)
        counts, sums = zeros.index_add(0, groups, shares), zeros.index_add(0, groups, losses)
        group_losses = sums / torch.where(counts > 0, counts, 1.0)
        if self.training:
            grown = self.weights * torch.exp(self.step_size * (group_losses.detach().float() + self.adjustments))
            # A step without a finite loss is skipped, and leaves the weights as they are.
            self.weights = torch.where(torch.isfinite(grown).all(), grown / grown.sum(), self.weights)
        weights = self.weights * (counts > 0)
        return (weights * group_losses).sum() / weights.sum()


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "label_smoothing": label_smoothing,
    "focal": focal,
    "class_balanced": class_balanced,
    "ldam": ldam,
    "ldam_drw": ldam_drw,
    "cross_entropy_drw": cross_entropy_drw,
    "balanced_softmax": balanced_softmax,
    "logit_adjustment": logit_adjustment,
}
COSINE_LOSSES = ("ldam", "ldam_drw")
"""Losses designed for a network that ends in a layer of cosines."""

STATEFUL_LOSSES: dict[str, Callable[..., nn.Module]] = {"group_dro": GroupDRO}
"""Losses that keep state between batches, made from a number of groups, their images, and an adjustment."""


def loss_named(
    loss: str | Loss, *, num_groups: int, adjustment: float = 0.0, group_counts: Tensor | None = None
) -> Loss:
    """Return the loss for a name; a function is returned as it is.

    Args:
        loss: the name or function.
        num_groups: known groups; 0 if no attribute is known.
        adjustment: generalization adjustment of Group DRO.
        group_counts: training images per group, unknown groups last.

    Raises:
        OptionError: the name is unknown, or the loss needs groups and there are none.
    """
    if callable(loss):
        return loss
    if loss in LOSSES:
        return LOSSES[loss]
    if loss not in STATEFUL_LOSSES:
        raise unknown("loss", loss, [*LOSSES, *STATEFUL_LOSSES])
    if num_groups < 1:
        raise OptionError(f"The loss {loss} needs groups, but the data have no attribute. Name one with --attribute.")
    return STATEFUL_LOSSES[loss](num_groups, adjustment=adjustment, group_counts=group_counts)
