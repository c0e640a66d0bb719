import math

import pytest
import torch
from torch.nn import functional as F

from synaug.config import StageOptions
from synaug.training.contrastive import CONTRASTIVE_LOSSES, pretrain_contrastive
from synaug.training.losses import LossContext
from synaug.training.networks.classifiers import make_model

OUTPUTS = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def value(name, labels, outputs=OUTPUTS, temperature=0.5):
    targets = F.one_hot(torch.tensor(labels).repeat(2), 4).float()
    context = LossContext(class_counts=torch.ones(4), groups=torch.zeros(8))
    return CONTRASTIVE_LOSSES[name](outputs, targets, context=context, temperature=temperature).item()


def test_simclr_of_equal_outputs_is_a_guess_among_all_others():
    assert value("simclr", [0, 1, 2, 3], torch.ones(8, 4)) == pytest.approx(math.log(7))


def test_simclr_by_the_papers_formula():
    unit = F.normalize(OUTPUTS, dim=1)
    exponents = torch.exp(unit @ unit.T / 0.5)
    each = [-math.log(exponents[i, (i + 4) % 8] / (exponents[i].sum() - exponents[i, i])) for i in range(8)]
    assert value("simclr", [0, 1, 2, 3]) == pytest.approx(sum(each) / 8, rel=1e-5)


def test_with_one_image_per_class_supervised_is_simclr():
    assert value("supervised", [0, 1, 2, 3]) == pytest.approx(value("simclr", [0, 1, 2, 3]), rel=1e-5)


def test_supervised_by_the_papers_formula():
    labels = [0, 0, 1, 2]
    all_labels = labels * 2
    unit = F.normalize(OUTPUTS, dim=1)
    logs = unit @ unit.T / 0.5
    total = 0.0
    for i in range(8):
        others = [j for j in range(8) if j != i]
        below = torch.logsumexp(logs[i, others], 0)
        positives = [j for j in others if all_labels[j] == all_labels[i]]
        total -= sum((logs[i, j] - below).item() for j in positives) / len(positives)
    assert value("supervised", labels) == pytest.approx(total / 8, rel=1e-5)


def test_balanced_by_the_papers_formula():
    labels = [0, 0, 1, 2]
    all_labels = labels * 2
    unit = F.normalize(OUTPUTS, dim=1)
    logs = unit @ unit.T / 0.5
    total = 0.0
    for i in range(8):
        below = 0.0
        for label in set(labels):
            of_class = [j for j in range(8) if j != i and all_labels[j] == label]
            below += sum(math.exp(logs[i, j]) for j in of_class) / len(of_class)
        positives = [j for j in range(8) if j != i and all_labels[j] == all_labels[i]]
        total -= sum(logs[i, j].item() - math.log(below) for j in positives) / len(positives)
    assert value("balanced", labels) == pytest.approx(total / 8, rel=1e-5)


@pytest.mark.parametrize("loss", CONTRASTIVE_LOSSES)
def test_pretraining_lowers_the_loss_and_leaves_the_classifier(long_tail, loss):
    model = make_model("resnet8", num_classes=10, in_channels=1, image_size=8)
    before, stem = model.classifier.weight.clone(), model.backbone.stem.weight.clone()
    options = StageOptions(steps=30, batch_size=32, learning_rate=0.05)
    log = pretrain_contrastive(model, long_tail, options, loss=loss, seed=0, device="cpu")
    assert sum(log.losses[-5:]) < sum(log.losses[:5])
    assert model.classifier.weight.equal(before)
    assert not model.backbone.stem.weight.equal(stem)
