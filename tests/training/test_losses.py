import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from synaug.errors import OptionError
from synaug.training.losses import (
    LOSSES,
    GroupDRO,
    LossContext,
    effective_number_weights,
    focal,
    ldam,
    logit_adjustment,
    loss_named,
)

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [0.0, 1.0, 0.0], [1.0, -2.0, 0.3]])
LABELS = torch.tensor([0, 1, 1, 2])
TARGETS = F.one_hot(LABELS, 3).float()


def context(counts=(5, 5, 5), groups=(0, 0, 1, 1), share=0.0):
    return LossContext(class_counts=torch.tensor(counts), groups=torch.tensor(groups), share=share)


def value(name, counts=(5, 5, 5), share=0.0):
    return LOSSES[name](LOGITS, TARGETS, context=context(counts, share=share)).item()


def test_cross_entropy_is_torchs():
    assert value("cross_entropy", (9, 3, 1)) == pytest.approx(F.cross_entropy(LOGITS, LABELS).item())


def test_label_smoothing_is_torchs():
    theirs = F.cross_entropy(LOGITS, LABELS, label_smoothing=0.1).item()
    assert value("label_smoothing") == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["class_balanced", "balanced_softmax", "logit_adjustment", "cross_entropy_drw"])
def test_with_equal_counts_rebalancing_is_cross_entropy(name):
    assert value(name, share=0.9) == pytest.approx(value("cross_entropy"))


def test_balanced_softmax_by_hand():
    loss = LOSSES["balanced_softmax"](torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]), context=context((3, 1), (0,)))
    assert loss.item() == pytest.approx(math.log(4))


def test_focal_by_hand():
    loss = LOSSES["focal"](torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), context=context((1, 1), (0,)))
    assert loss.item() == pytest.approx(0.25 * math.log(2))


def test_focal_of_two_classes_is_torchvisions():
    """A softmax over the logits (z, 0) is the sigmoid of z."""
    from torchvision.ops import sigmoid_focal_loss

    logits = torch.tensor([[2.0, 0.0], [-0.5, 0.0], [0.3, 0.0]])
    positive = torch.tensor([1.0, 1.0, 0.0])
    theirs = sigmoid_focal_loss(logits[:, 0], positive, alpha=-1, gamma=2, reduction="mean")
    ours = LOSSES["focal"](logits, torch.stack([positive, 1 - positive], 1), context=context((1, 1), (0, 0, 0)))
    assert ours.item() == pytest.approx(theirs.item())


def test_focal_without_focus_is_cross_entropy():
    assert focal(LOGITS, TARGETS, context=context(), gamma=0.0).item() == pytest.approx(value("cross_entropy"))


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.0])
def test_logit_adjustment_is_torchs_loss_of_shifted_logits(tau):
    prior = torch.tensor([0.9, 0.09, 0.01])
    theirs = F.cross_entropy(LOGITS + tau * prior.log(), LABELS)
    ours = logit_adjustment(LOGITS, TARGETS, context=context((90, 9, 1)), tau=tau)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_class_balanced_is_torchs_weighted_sum():
    weights = torch.tensor([(1 - 0.9999) / (1 - 0.9999**n) for n in (100, 10, 1)], dtype=torch.float64)
    weights = (weights / weights.mean()).float()
    theirs = F.cross_entropy(LOGITS, LABELS, weight=weights, reduction="sum") / 4
    assert value("class_balanced", (100, 10, 1)) == pytest.approx(theirs.item(), rel=1e-5)


def test_ldam_is_cross_entropy_with_the_margin_taken_from_the_true_class():
    margins = torch.tensor([16.0, 81.0, 1.0]) ** -0.25 * 0.5
    theirs = F.cross_entropy(LOGITS - TARGETS * margins, LABELS)
    assert value("ldam", (16, 81, 1)) == pytest.approx(theirs.item(), rel=1e-5)


def test_ldam_of_cosines_is_scaled_by_hand():
    """Cosines 0.8 and 0.6, counts 16 and 1, so margins 0.25 and 0.5; all times 30."""
    at = LossContext(class_counts=torch.tensor([16, 1]), groups=torch.zeros(1), logit_scale=30.0)
    loss = ldam(torch.tensor([[24.0, 18.0]]), torch.tensor([[1.0, 0.0]]), context=at)
    assert loss.item() == pytest.approx(math.log1p(math.exp(18 - 30 * (0.8 - 0.25))), rel=1e-5)


def test_ldam_of_a_mixed_target_is_the_mixture():
    at = context((16, 81, 1))
    pure = [ldam(LOGITS[:1], torch.eye(3)[c : c + 1], context=at).item() for c in (0, 2)]
    mixed = ldam(LOGITS[:1], torch.tensor([[0.3, 0.0, 0.7]]), context=at).item()
    assert mixed == pytest.approx(0.3 * pure[0] + 0.7 * pure[1], rel=1e-5)


def test_deferred_reweighting_begins_after_four_fifths():
    assert value("ldam_drw", (100, 10, 1), share=0.79) == value("ldam", (100, 10, 1))
    assert value("ldam_drw", (100, 10, 1), share=0.8) != value("ldam", (100, 10, 1))


def test_deferred_reweighting_divides_by_the_weights_that_were_drawn():
    """Cao et al. 2019, algorithm 1, line 11; torch's weighted mean does the same."""
    weights = effective_number_weights(torch.tensor([100, 10, 1]))
    theirs = F.cross_entropy(LOGITS, LABELS, weight=weights)
    assert value("cross_entropy_drw", (100, 10, 1), share=0.8) == pytest.approx(theirs.item(), rel=1e-5)
    margins = torch.tensor([100.0, 10.0, 1.0]) ** -0.25 * 0.5
    theirs = F.cross_entropy(LOGITS - TARGETS * margins, LABELS, weight=weights)
    assert value("ldam_drw", (100, 10, 1), share=0.8) == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_an_image_of_weight_half_counts_half(name):
    """Two copies of an image of weight 1/2 equal one of weight 1, in any loss and with mixed targets."""
    at = replace(context((100, 10, 1), share=0.9), is_weighted=True)
    targets = 0.7 * TARGETS + 0.3 * TARGETS.roll(1, 1)
    double, rows = torch.cat([LOGITS[:1], LOGITS]), torch.cat([0.5 * targets[:1], targets])
    rows[1] *= 0.5
    assert LOSSES[name](double, rows, context=at).item() == pytest.approx(
        LOSSES[name](LOGITS, targets, context=replace(at, is_weighted=False)).item(), rel=1e-5
    )


def test_the_adjustment_of_group_dro_by_hand():
    """Equal losses, 1 and 4 images: weights grow by exp(C / sqrt(n))."""
    criterion = GroupDRO(2, step_size=1.0, adjustment=2.0, group_counts=torch.tensor([1, 4, 0]))
    logits, targets = torch.zeros(2, 2), torch.eye(2)
    criterion(logits, targets, context=LossContext(class_counts=torch.ones(2), groups=torch.tensor([0, 1])))
    grown = np.exp([math.log(2) + 2, math.log(2) + 1, 2.0])
    assert criterion.weights.numpy() == pytest.approx(grown / grown.sum(), rel=1e-5)
    with pytest.raises(OptionError, match="needs the number of images of each group"):
        GroupDRO(2, adjustment=1.0)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_finite_with_gradients_even_when_certain(name):
    logits = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]], requires_grad=True)
    loss = LOSSES[name](logits, torch.eye(3)[[0, 0]], context=context((500, 1, 0), groups=(0, 1), share=0.9))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_group_dro_with_one_group_is_the_mean_loss():
    loss = GroupDRO(1)(LOGITS, TARGETS, context=context(groups=(0, 0, 0, 0)))
    assert loss.item() == pytest.approx(value("cross_entropy"))


def test_group_dro_weights_by_hand():
    criterion = GroupDRO(2, step_size=1.0)
    logits = torch.zeros(2, 2)
    logits[0, 0] = 50.0
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = criterion(logits, targets, context=context((1, 1), (0, 1)))
    # Group losses 0 and log 2, the unknown group is empty: weights in proportion to 1, 2, 1.
    assert criterion.weights.tolist() == pytest.approx([0.25, 0.5, 0.25])
    assert loss.item() == pytest.approx(2 / 3 * math.log(2))


def test_group_dro_over_several_steps_is_numpys():
    """The weights grow as in the paper; dividing by the present groups' weights and the unknown group are ours."""
    rng, step_size = np.random.default_rng(0), 0.7
    criterion, weights = GroupDRO(3, step_size=step_size), np.full(4, 1 / 4)
    for groups in ([0, 0, 1, -1, 2, -1], [1, 1, 1, 0, 0, 0], [-1, -1, 2, 2, 2, 0], [2, 1, 0, -1, 1, 2]):
        logits, labels = rng.normal(0, 2, (6, 3)), rng.integers(3, size=6)
        each = np.log(np.exp(logits).sum(1)) - logits[np.arange(6), labels]
        members = [each[np.array(groups) == group] for group in (0, 1, 2, -1)]
        losses = np.array([found.mean() if len(found) else 0.0 for found in members])
        weights = weights * np.exp(step_size * losses)
        weights /= weights.sum()
        there = np.array([len(found) > 0 for found in members])
        expected = (weights * losses)[there].sum() / weights[there].sum()
        targets = F.one_hot(torch.from_numpy(labels), 3).double()
        loss = criterion(torch.from_numpy(logits), targets, context=context(groups=groups))
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        assert criterion.weights.tolist() == pytest.approx(weights.tolist(), rel=1e-5)


@settings(max_examples=20)
@given(st.lists(st.integers(-1, 3), min_size=4, max_size=4))
def test_group_dro_lies_between_the_best_and_the_worst_group(groups):
    criterion = GroupDRO(4, step_size=0.5)
    loss = criterion(LOGITS, TARGETS, context=context(groups=groups)).item()
    each = F.cross_entropy(LOGITS, LABELS, reduction="none")
    means = [each[[g == group for g in groups]].mean().item() for group in set(groups)]
    assert min(means) - 1e-6 <= loss <= max(means) + 1e-6
    assert criterion.weights.sum().item() == pytest.approx(1)


def test_group_dro_keeps_its_weights_in_evaluation():
    criterion = GroupDRO(2).eval()
    criterion(LOGITS, TARGETS, context=context())
    assert criterion.weights.tolist() == pytest.approx([1 / 3] * 3)


def test_group_dro_needs_groups():
    with pytest.raises(OptionError, match=r"loss group_dro.*groups,.*attribute"):
        loss_named("group_dro", num_groups=0)


def test_group_weights_stay_as_they_are_in_a_step_without_a_finite_loss():
    loss = GroupDRO(2)
    before = loss.weights.clone()
    groups = torch.tensor([0, 1])
    known = LossContext(class_counts=torch.ones(2), groups=groups)
    assert not torch.isfinite(loss(torch.full((2, 2), math.nan), torch.eye(2), context=known))
    assert torch.equal(loss.weights, before)
    loss(torch.eye(2), torch.diag(torch.tensor([1.0, 0.5])), context=known)
    assert not torch.equal(loss.weights, before)
