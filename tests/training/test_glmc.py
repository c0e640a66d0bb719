import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from synaug.config import StageOptions
from synaug.training.glmc import TwoHeaded, disagreement, glmc, train_glmc, two_mixtures
from synaug.training.inference import predict
from synaug.training.losses import LossContext
from synaug.training.networks.classifiers import make_model


def context(share, counts=(5, 5, 5)):
    return LossContext(class_counts=torch.tensor(counts), groups=torch.zeros(4), share=share)


def outputs():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(4, size, generator=generator) for size in (3, 3, 6, 6))


def test_agreeing_views_have_disagreement_minus_1():
    projections = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    assert disagreement(projections, projections.roll(2, 0)).item() == pytest.approx(-1)


def test_the_loss_goes_from_the_plain_to_the_rebalanced_classifier():
    found, labels = outputs(), torch.tensor([0, 1, 2, 2])
    targets = F.one_hot(labels, 3).float()
    for share, head in ((0.0, 0), (1.0, 1)):
        loss = glmc(found, targets, context=context(share), consistency=0.0, scale=1.0)
        assert loss.item() == pytest.approx(F.cross_entropy(found[head], labels).item())


@pytest.mark.parametrize(("exponent", "weight"), [(1.0, 4 / 2), (0.5, 2 * 3 / 4), (1.2, 4**1.2 * 3 / (2 + 4**1.2))])
def test_the_rebalanced_classifier_is_weighted_by_a_power_of_the_counts(exponent, weight):
    found, targets = outputs(), torch.eye(3)[[2, 2, 2, 2]]
    more = {"consistency": 0.0, "exponent": exponent}
    even = glmc(found, targets, context=context(1.0), **more).item()
    rare = glmc(found, targets, context=context(1.0, (4, 4, 1)), **more).item()
    assert rare / even == pytest.approx(weight)


def test_options_reach_the_loss_of_a_training(small_set):
    network = make_model("resnet8", num_classes=3, in_channels=1, image_size=8)
    options = StageOptions(steps=1, batch_size=8, learning_rate=1e-9, flip=False, crop_padding=0)
    usual, halved = (
        train_glmc(copy.deepcopy(network), small_set, options.model_copy(update=changes), seed=0, device="cpu").losses[
            0
        ]
        for changes in ({}, {"glmc_scale": 1.0})
    )
    assert usual == pytest.approx(2 * halved)


def test_the_whole_loss_is_that_of_a_plain_derivation_in_numpy():
    """Two views of two images, mixed targets, uneven counts, at three fifths of the training: every term counts."""
    found, targets = outputs(), torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.4, 0.6], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9]])
    plain, rebalanced, projections, predictions = (each.numpy().astype(float) for each in found)
    weights = np.array([1 / 10, 1 / 4, 1 / 2])
    weights = weights / weights.sum() * 3
    total = 0.0
    for i in range(4):
        other = projections[(i + 2) % 4]
        cosine = predictions[i] @ other / np.sqrt((predictions[i] ** 2).sum() * (other**2).sum())
        for label in range(3):
            share = targets[i, label].item()
            first = share * (np.log(np.exp(plain[i]).sum()) - plain[i, label])
            second = share * weights[label] * (np.log(np.exp(rebalanced[i]).sum()) - rebalanced[i, label])
            total += (1 - 0.6**2) * first + 0.6**2 * second
        total -= 6 * cosine
    loss = glmc(found, targets, context=context(0.6, (10, 4, 2)), consistency=6.0, exponent=1.0, scale=1.0)
    assert loss.item() == pytest.approx(total / 4, rel=1e-5)


def test_both_mixtures_are_of_the_same_pairs(small_set):
    options = StageOptions(flip=False, crop_padding=0, mixup_alpha=1.0)
    targets = two_mixtures(small_set, options)(np.arange(12), np.random.default_rng(0)).targets
    first, second = targets.chunk(2)
    assert ((first > 0) | (second > 0)).sum(1).max() <= 2


def test_both_mixtures_take_the_same_share_of_partners_drawn_evenly(small_set):
    """Rows of class 0 only, which has 6 of the 12 images; a box clipped at an edge takes less than its share."""
    options = StageOptions(flip=False, crop_padding=0, mixup_alpha=1.0)
    make, others = two_mixtures(small_set, options), []
    for seed in range(200):
        first, second = make(np.zeros(12, int), np.random.default_rng(seed)).targets.chunk(2)
        kept = (1 - first[:, 1:].sum(1).max(), 1 - second[:, 1:].sum(1).max())
        assert kept[1] >= kept[0] - 0.26  # boxes end at whole pixels, one of eight
        others.append((first[:, 0] < 1).float().mean().item())
    assert np.mean(others) == pytest.approx(0.5, abs=0.05)


def test_training_moves_the_classifier_that_predicts(small_set):
    model = make_model("resnet8", num_classes=3, in_channels=1, image_size=8)
    before = model.classifier.weight.clone()
    log = train_glmc(model, small_set, StageOptions(steps=4, batch_size=8), seed=0, device="cpu")
    assert log.skipped == 0
    assert not model.classifier.weight.equal(before)
    assert predict(model, small_set, device="cpu").shape == (12, 3)


def test_the_network_inside_shares_backbone_and_classifier():
    model = make_model("resnet8", num_classes=3)
    inside = TwoHeaded(model)
    assert inside.backbone is model.backbone
    assert inside.rebalanced is model.classifier
