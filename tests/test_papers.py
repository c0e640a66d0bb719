"""Compare with numbers printed in papers, and with values of the authors' own code for the same inputs.

The values were computed once with the published code of LDAM-DRW, CMO, GLMC, Group DRO, classifier-balancing and SDCLR,
on inputs that follow from ``table``; none of that code is here. Each value would differ if its formula did.
"""

import numpy as np
import pytest
import torch

from synaug.data.groups import shot_bins
from synaug.data.subsets import longtail_counts
from synaug.evaluation.spurious import train_weighted_accuracy
from synaug.training.glmc import glmc
from synaug.training.last_layer.problem import Head, Problem
from synaug.training.last_layer.solvers import tau_norm
from synaug.training.losses import LOSSES, GroupDRO, LossContext, effective_number_weights, focal, logit_adjustment
from synaug.training.mixing import drawn_box
from synaug.training.networks.classifiers import make_model


def table(rows, columns, start=0):
    """Numbers from -2 to 2 without a pattern, and without a random generator."""
    return 2 * torch.sin(1.7 * torch.arange(start, start + rows * columns, dtype=torch.float32)).reshape(rows, columns)


LOGITS, LABELS = table(6, 4), torch.tensor([0, 1, 2, 3, 0, 0])
COUNTS = {100: (500, 107, 23, 5), 50: (500, 156, 48, 10), 10: (500, 232, 107, 50)}


def context(factor=100, *, share=0.0, scale=1.0):
    counts = torch.tensor(COUNTS[factor])
    return LossContext(class_counts=counts, groups=torch.zeros(6).long(), share=share, logit_scale=scale)


# ---------------------------------------------------------------- data sets


@pytest.mark.parametrize("factor", [100, 50, 10])
@pytest.mark.parametrize(("position", "numbers"), [(10, (314, 336, 396)), (50, (48, 69, 156)), (99, (5, 10, 50))])
def test_cifar100_lt_has_the_authors_number_of_images_of_each_class(factor, position, numbers):
    """Cao et al. 2019 (LDAM-DRW)."""
    assert longtail_counts(500, factor, 100)[position] == dict(zip((100, 50, 10), numbers, strict=True))[factor]


@pytest.mark.parametrize(("factor", "total"), [(100, 10_847), (50, 12_608), (10, 19_573)])
def test_cifar100_lt_has_the_published_totals(factor, total):
    """Cui et al. 2019; Cao et al. 2019 (LDAM-DRW)."""
    assert sum(longtail_counts(500, factor, 100)) == total


@pytest.mark.parametrize(("factor", "total"), [(100, 12_406), (50, 13_996), (10, 20_431)])
def test_cifar10_lt_has_the_published_totals(factor, total):
    assert sum(longtail_counts(5000, factor, 10)) == total


@pytest.mark.parametrize(
    ("factor", "counts"),
    [
        (100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (50, [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]),
        (10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
    ],
)
def test_cifar10_lt_has_the_authors_number_of_images_of_each_class(factor, counts):
    assert list(longtail_counts(5000, factor, 10)) == counts


def test_cifar100_lt_has_35_many_35_medium_and_30_few_shot_classes():
    """Liu et al. 2019: many above 100 images, few below 20."""
    bins = shot_bins(longtail_counts(500, 100, 100))
    assert (bins.many.sum(), bins.medium.sum(), bins.few.sum()) == (35, 35, 30)


IMAGENET100_LT = np.array([
    30, 75, 100, 61, 23, 126, 511, 120, 354, 39, 229, 268, 143, 34, 55, 14, 130, 108, 20, 69, 12, 85, 54, 32, 9,
    124, 137, 18, 26, 89, 63, 172, 152, 110, 184, 392, 215, 80, 330, 21, 16, 43, 78, 456, 201, 236, 113, 36, 37,
    282, 59, 248, 305, 73, 32, 45, 27, 19, 15, 22, 6, 50, 8, 149, 86, 41, 133, 165, 178, 52, 31, 93, 44, 48,
    169, 71, 65, 157, 25, 82, 11, 66, 42, 15, 57, 290, 116, 679, 28, 189, 47, 104, 96, 35, 7, 1280, 102, 83, 10,
    138,
])  # fmt: skip


def test_imagenet100_lt_has_39_many_48_medium_and_13_few_shot_classes():
    """The published list of Jiang et al. 2021 (SDCLR): 12,205 images."""
    bins = shot_bins(IMAGENET100_LT)
    assert IMAGENET100_LT.sum() == 12_205
    assert (bins.many.sum(), bins.medium.sum(), bins.few.sum()) == (39, 48, 13)


@pytest.mark.parametrize(("num_classes", "number"), [(10, 464_154), (100, 470_004)])
def test_resnet32_has_the_published_number_of_parameters(num_classes, number):
    """He et al. 2016, section 4.2, as in LDAM-DRW."""
    assert sum(value.numel() for value in make_model("resnet32", num_classes=num_classes).parameters()) == number


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize(
    ("factor", "weights"),
    [
        (100, [0.03216034, 0.14737223, 0.68273074, 3.13773669]),
        (10, [0.22873363, 0.48643825, 1.04815404, 2.23667408]),
    ],
)
@pytest.mark.parametrize("label", range(4))
def test_effective_number_weights_are_the_authors(factor, weights, label):
    """Cui et al. 2019, beta 0.9999, as in LDAM-DRW."""
    found = effective_number_weights(torch.tensor(COUNTS[factor]))
    assert found[label].item() == pytest.approx(weights[label], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "factor", "share", "value"),
    [
        ("ldam", 100, 0.0, 9.0820208),
        ("ldam", 10, 0.0, 11.8263323),
        ("ldam_drw", 100, 0.0, 9.0820208),
        ("ldam_drw", 100, 0.9, 15.4402456),
        ("ldam_drw", 10, 0.9, 14.6234093),
    ],
)
def test_ldam_of_cosines_times_30_is_the_authors(name, factor, share, value):
    found = LOSSES[name](LOGITS, torch.eye(4)[LABELS], context=context(factor, share=share, scale=30.0))
    assert found.item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "factor", "share", "value"),
    [
        ("cross_entropy_drw", 100, 0.9, 1.9894261),
        ("cross_entropy_drw", 10, 0.9, 2.0425603),
        ("balanced_softmax", 100, 0.0, 2.5002055),
        ("balanced_softmax", 10, 0.0, 1.9523220),
        ("label_smoothing", 100, 0.0, 1.7747070),
    ],
)
def test_losses_are_the_authors(name, factor, share, value):
    """LDAM-DRW with deferred weights; Ren et al. 2020 as in CMO; Szegedy et al. 2016 as in torch."""
    found = LOSSES[name](LOGITS, torch.eye(4)[LABELS], context=context(factor, share=share))
    assert found.item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("factor", "tau", "value"),
    [
        (100, 0.5, 1.9517621),
        (100, 1.0, 2.5002055),
        (100, 2.0, 3.8606958),
        (10, 0.5, 1.7769259),
        (10, 1.0, 1.9523220),
        (10, 2.0, 2.5009351),
    ],
)
def test_logit_adjustment_is_the_authors(factor, tau, value):
    """Menon et al. 2021."""
    found = logit_adjustment(LOGITS, torch.eye(4)[LABELS], context=context(factor), tau=tau)
    assert found.item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(("gamma", "value"), [(0.5, 1.5773897), (1.0, 1.4570886), (2.0, 1.2770292)])
def test_focal_loss_is_the_authors(gamma, value):
    """Lin et al. 2017, as in LDAM-DRW."""
    found = focal(LOGITS, torch.eye(4)[LABELS], context=context(), gamma=gamma)
    assert found.item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("factor", "consistency", "share", "value"),
    [(100, 4.0, 0.3, 11.6730223), (50, 6.0, 0.5, 15.2265806), (10, 4.0, 0.75, 11.4129486)],
)
def test_glmc_is_the_authors_with_the_published_weights(factor, consistency, share, value):
    """Du et al. 2023: exponent 1.2; Mixup with 0.7 of the first image, CutMix with 0.75."""
    first, second = torch.eye(4)[[0, 1, 2]], torch.eye(4)[[3, 3, 0]]
    targets = torch.cat([lam * first + (1 - lam) * second for lam in (0.7, 0.75)])
    outputs = tuple(
        torch.cat([table(3, columns, start), table(3, columns, start + 50)])
        for columns, start in ((4, 0), (4, 100), (5, 200), (5, 300))
    )
    found = glmc(outputs, targets, context=context(factor, share=share), consistency=consistency)
    assert found.item() == pytest.approx(value, rel=1e-5)


# ---------------------------------------------------------------- Group DRO


def run_group_dro(step_size, adjustment=0.0):
    """Return the losses of three steps with every group present, and the weights after them."""
    counts = torch.tensor([3498, 184, 56, 0])
    criterion = GroupDRO(3, step_size=step_size, adjustment=adjustment, group_counts=counts)
    targets, groups = torch.eye(2)[[0, 1, 1, 0, 1, 0]], torch.tensor([0, 1, 2, 0, 1, 2])
    at = LossContext(class_counts=torch.ones(2), groups=groups)
    losses = [criterion(table(6, 2, 40 * step), targets, context=at).item() for step in range(3)]
    weights = criterion.weights[:3] / criterion.weights[:3].sum()  # theirs have no group of unknown images
    return losses, weights.tolist()


@pytest.mark.parametrize(
    ("step_size", "losses", "weights"),
    [
        (0.01, [1.3271070, 1.0773197, 0.4836024], [0.3354113, 0.3363909, 0.3281977]),
        (0.1, [1.3290446, 1.1251391, 0.5106944], [0.3528341, 0.3632761, 0.2838897]),
    ],
)
@pytest.mark.parametrize("step", range(3))
def test_group_dro_is_the_authors(step_size, losses, weights, step):
    """Sagawa et al. 2020."""
    found = run_group_dro(step_size)
    assert found[0][step] == pytest.approx(losses[step], rel=1e-5)
    assert found[1][step] == pytest.approx(weights[step], rel=1e-5)


@pytest.mark.parametrize(("group", "weight"), [(0, 0.3342564), (1, 0.3363774), (2, 0.3293663)])
def test_the_generalization_adjustment_moves_the_weights_as_the_authors_does(group, weight):
    """C = 2, with the numbers of three groups of Waterbirds."""
    assert run_group_dro(0.01, 2.0)[1][group] == pytest.approx(weight, rel=1e-5)


def test_the_average_accuracy_of_waterbirds_weighs_groups_as_in_training():
    rates = np.array([0.99, 0.75, 0.60, 0.95])
    found = train_weighted_accuracy(rates, train_group_counts=[3498, 184, 56, 1057])
    assert found == pytest.approx((3498 * 0.99 + 184 * 0.75 + 56 * 0.60 + 1057 * 0.95) / 4795)


# ---------------------------------------------------------------- last layers and mixing


@pytest.mark.parametrize(
    ("tau", "row"),
    [
        (0.3, [-0.9679288, 1.3453461, 0.6212485]),
        (0.5, [-0.8222352, 1.1428431, 0.5277376]),
        (0.7, [-0.6984715, 0.9708213, 0.4483020]),
        (1.0, [-0.5468619, 0.7600956, 0.3509939]),
    ],
)
def test_tau_normalization_is_the_authors(tau, row):
    """Kang et al. 2020 (classifier-balancing)."""
    labels, start = np.arange(4), Head(table(4, 3, 7).double().numpy(), np.ones(4))
    problem = Problem(np.zeros((4, 3)), labels, labels, 4, start)
    assert tau_norm(problem, regularization=1.0, seed=0, tau=tau).weight[0] == pytest.approx(row, rel=1e-5)


class Drawn:
    """A random generator that draws the center (12, 15)."""

    def __init__(self):
        self.left = [12, 15]

    def integers(self, _):
        return self.left.pop(0)


@pytest.mark.parametrize(("lam", "box"), [(0.9, (7, 17, 10, 20)), (0.5, (1, 23, 4, 26)), (0.19, (0, 26, 1, 29))])
def test_boxes_of_cutmix_are_the_authors(lam, box):
    """Yun et al. 2019, as in CMO: top, bottom, left and right."""
    assert drawn_box(32, 32, lam, Drawn()) == box
