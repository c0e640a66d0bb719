import numpy as np
import pytest
import torch
from torch.nn import functional as F

from synaug.training.mixing import (
    MIXINGS,
    Batch,
    PartnerDraw,
    balanced,
    cmo,
    cutmix,
    drawn_box,
    few_shot,
    mixup,
    mixup_or_cutmix,
    real_balanced,
)
from synaug.training.training_set import make_training_set


def make_batch(num=6, num_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % num_classes
    return Batch(torch.rand(num, 2, 8, 8, generator=generator), F.one_hot(labels, num_classes).float())


class FixedLam:
    """Draws a fixed share, so that results can be computed by hand."""

    def __init__(self, lam, center=4):
        self.lam, self.center = lam, center

    def beta(self, a, b):
        return self.lam

    def integers(self, high):
        return self.center

    def random(self):
        return 0.9


def test_mixup_by_hand():
    first = Batch(torch.full((1, 1, 1, 1), 4.0), torch.tensor([[1.0, 0.0]]))
    second = Batch(torch.full((1, 1, 1, 1), 8.0), torch.tensor([[0.0, 1.0]]))
    images, targets = mixup(first, second, alpha=1.0, rng=FixedLam(0.75))
    assert images.item() == 5.0
    assert targets.tolist() == [[0.75, 0.25]]


def test_mixup_equals_torchvisions_with_the_same_share():
    from torchvision.transforms import v2

    batch = make_batch()
    partners = Batch(batch.images.roll(1, 0), batch.targets.roll(1, 0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images, targets = v2.MixUp(alpha=1.0, num_classes=3)(batch.images, batch.targets.argmax(1))
    lam = targets[0, 0].item()  # image 0 has class 0, its partner does not
    ours = mixup(batch, partners, alpha=1.0, rng=FixedLam(lam))
    assert torch.allclose(ours[0], images, atol=1e-6)
    assert torch.allclose(ours[1], targets, atol=1e-6)


def test_cutmix_pastes_a_box_and_mixes_targets_by_its_area():
    first, second = make_batch(seed=0), make_batch(seed=1)
    images, targets = cutmix(first, second, alpha=1.0, rng=FixedLam(0.75))
    pasted = (images == second.images).all(1)
    assert pasted.sum((1, 2)).tolist() == [16] * 6
    assert pasted[0, 2:6, 2:6].all()
    assert torch.allclose(targets, 0.75 * first.targets + 0.25 * second.targets)


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_equals_torchvisions_with_the_same_share_and_center(seed):
    from torchvision.transforms import v2

    batch, theirs = make_batch(), v2.CutMix(alpha=1.0, num_classes=3)
    partners = Batch(batch.images.roll(1, 0), batch.targets.roll(1, 0))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        images, targets = theirs(batch.images, batch.targets.argmax(1))
        torch.manual_seed(seed)
        drawn = FixedLam(float(theirs._dist.sample(())))
        column, row = (int(torch.randint(8, (1,))) for _ in range(2))
    places = iter([row, column])
    drawn.integers = lambda high: next(places)
    ours = cutmix(batch, partners, alpha=1.0, rng=drawn)
    assert ours[0].equal(images)
    assert torch.allclose(ours[1], targets, atol=1e-6)


class TimmsOrder:
    """Draws from numpy's old generator like timm, which uses CutMix where we use Mixup."""

    def __init__(self, seed):
        self._drawn = np.random.RandomState(seed)
        self._drawn.rand()  # whether to mix at all
        self.beta = self._drawn.beta

    def random(self):
        return 1 - self._drawn.rand()

    def integers(self, high):
        return self._drawn.randint(0, high)


def test_alternation_equals_timms_with_the_same_draws():
    """Its boxes have one more row and column if the side is odd."""
    from timm.data import Mixup

    batch, ways = make_batch(), []
    partners = Batch(batch.images.flip(0), batch.targets.flip(0))
    before = np.random.get_state()
    for seed in range(12):
        theirs = Mixup(mixup_alpha=1.0, cutmix_alpha=1.0, switch_prob=0.5, label_smoothing=0.0, num_classes=3)
        np.random.seed(seed)
        images, targets = theirs(batch.images.clone(), batch.targets.argmax(1))
        ours = mixup_or_cutmix(batch, partners, alpha=1.0, rng=TimmsOrder(seed))
        if (images == batch.images).any():  # a box, which keeps the rest
            ways.append("box")
            theirs_pasted, pasted = ((each == partners.images)[0, 0] for each in (images, ours[0]))
            assert not (pasted & ~theirs_pasted).any()
            for side in (0, 1):
                assert 0 <= theirs_pasted.any(side).sum() - pasted.any(side).sum() <= 1
        else:
            ways.append("blend")
            assert torch.allclose(ours[0], images, atol=1e-6)
            assert torch.allclose(ours[1], targets, atol=1e-6)
    np.random.set_state(before)
    assert min(ways.count("box"), ways.count("blend")) > 2


@pytest.mark.parametrize("name", ["mixup_or_cutmix", "cmo"])
def test_half_of_the_batches_are_mixed_the_one_way(name):
    first, second = make_batch(seed=0), make_batch(seed=1)
    others, rng = [], np.random.default_rng(1)
    for _ in range(1000):
        images, _ = MIXINGS[name].mix(first, second, alpha=1.0, rng=rng)
        others.append(bool((images == first.images).all() if name == "cmo" else (images != first.images).all()))
    assert np.mean(others) == pytest.approx(0.5, abs=0.06)


def test_cmo_pastes_a_box_of_the_rare_image_into_the_frequent_one_by_hand():
    """A share of 0.75 is a box of half the sides: a quarter of pixels and target comes from the rare image."""
    frequent = Batch(torch.zeros(1, 1, 8, 8), torch.tensor([[1.0, 0.0]]))
    rare = Batch(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 1.0]]))
    images, targets = cmo(frequent, rare, alpha=1.0, rng=FixedLam(0.75))
    assert images[0, 0, 2:6, 2:6].sum() == images.sum() == 16
    assert targets.tolist() == [[0.75, 0.25]]


def test_a_box_at_the_edge_is_cut():
    assert drawn_box(8, 8, 0.75, FixedLam(0.75, center=0)) == (0, 2, 0, 2)


@pytest.mark.parametrize("name", MIXINGS)
def test_alpha_0_changes_nothing_and_no_mixing_changes_its_inputs(name):
    first, second = make_batch(seed=0), make_batch(seed=1)
    before = [tensor.clone() for tensor in (first.images, first.targets, second.images, second.targets)]
    images, targets = MIXINGS[name].mix(first, second, alpha=0.0, rng=np.random.default_rng(0))
    assert torch.allclose(images, first.images)
    assert targets.equal(first.targets)
    for seed in range(4):
        _, targets = MIXINGS[name].mix(first, second, alpha=1.0, rng=np.random.default_rng(seed))
        assert torch.allclose(targets.sum(1), torch.ones(6))
    after = (first.images, first.targets, second.images, second.targets)
    assert all(a.equal(b) for a, b in zip(before, after, strict=True))


def partners_of(data, name, num=3000):
    draw = PartnerDraw(data, MIXINGS[name])
    rows = np.arange(num) % len(data)
    return rows, draw(rows, np.random.default_rng(0))


def test_domain_mixup_draws_real_partners_of_all_classes_evenly(small_set):
    _, partners = partners_of(small_set, "domain_mixup")
    assert not small_set.is_synthetic[partners].any()
    shares = np.bincount(small_set.labels[partners], minlength=3) / len(partners)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.03)


def test_domain_mixup_of_the_same_class_draws_real_partners_of_it(small_set):
    rows, partners = partners_of(small_set, "domain_mixup_same_class")
    assert small_set.labels[rows].equal(small_set.labels[partners])
    assert not small_set.is_synthetic[partners].any()


def test_a_class_without_real_images_gets_real_partners_of_any_class(small_set):
    data = small_set.rows(~((small_set.labels == 2) & ~small_set.is_synthetic))
    _, partners = partners_of(data, "domain_mixup_same_class")
    assert not data.is_synthetic[partners].any()


def test_cmo_draws_few_shot_partners_more_often(small_set):
    """Classes are equally frequent: an image is drawn more often in proportion to how small its class is."""
    _, partners = partners_of(small_set, "cmo")
    drawn = np.bincount(small_set.labels[partners], minlength=3) / len(partners)
    assert drawn == pytest.approx(np.full(3, 1 / 3), abs=0.1)


def test_cmo_on_a_balanced_set_draws_each_class_as_often():
    """50 real images of class 0 and one of class 1, filled with 49 synthetic ones."""
    labels = torch.arange(2).repeat_interleave(50)
    data = make_training_set(
        torch.zeros(100, 1, 4, 4, dtype=torch.uint8), labels, num_classes=2, is_synthetic=torch.arange(100) > 50
    )
    assert few_shot(data) == pytest.approx(np.full(100, 1 / 50))


def groups_set(groups):
    """Six real images of two classes and two attributes, and two synthetic ones."""
    return make_training_set(
        torch.zeros(8, 1, 4, 4, dtype=torch.uint8),
        torch.tensor([0, 0, 0, 1, 1, 1, 0, 1]),
        num_classes=2,
        is_synthetic=torch.tensor([False] * 6 + [True] * 2),
        groups=torch.tensor(groups),
        num_groups=4,
    )


@pytest.mark.parametrize(
    ("groups", "weights"),
    [
        ([0, 0, 1, 2, 2, 3, 1, 2], [1 / 4, 1 / 4, 1 / 4, 1 / 6, 1 / 6, 1 / 2, 1 / 4, 1 / 6]),
        ([0, 0, 1, 2, 2, 3, -1, -1], [1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6, 1 / 3, 1 / 3, 1 / 3]),
        ([-1] * 8, [1 / 4] * 8),
    ],
)
def test_partners_are_balanced_by_group_or_by_class_by_hand(groups, weights):
    assert balanced(groups_set(groups)) == pytest.approx(weights)


def test_real_partners_are_balanced_by_group_if_groups_are_known():
    """Drawn by class, partners would carry the correlation of class and attribute into every image."""
    assert real_balanced(groups_set([0, 0, 1, 2, 2, 3, 1, 2])) == pytest.approx([0.25, 0.25, 0.5] * 2 + [0, 0])
    assert real_balanced(groups_set([-1] * 8)) == pytest.approx([1 / 3] * 6 + [0, 0])
