import numpy as np
import pytest
import torch
from torch.nn import functional as F

from synaug.errors import OptionError
from synaug.training.mixing import MIXINGS, Batch, PartnerDraw, cutmix, drawn_box, mixing_named, mixup


def make_batch(num=6, num_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % num_classes
    return Batch(torch.rand(num, 2, 8, 8, generator=generator), F.one_hot(labels, num_classes).float())


class FixedLam:
    """Draws a known share, so that results can be counted."""

    def __init__(self, lam, centre=4):
        self.lam, self.centre = lam, centre

    def beta(self, a, b):
        return self.lam

    def integers(self, high):
        return self.centre

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
    lam = targets[0, 0].item()  # image 0 is of class 0, its partner is not
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


def test_a_box_at_the_edge_is_cut():
    assert drawn_box(8, 8, 0.75, FixedLam(0.75, centre=0)) == (0, 2, 0, 2)


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
    _, partners = partners_of(small_set, "cmo")
    counts = np.bincount(partners, minlength=12)
    assert counts[4] / counts[0] == pytest.approx(4, rel=0.4)


def test_misspelt_mixing_names_the_nearest():
    with pytest.raises(OptionError, match=r"Unknown mixing 'mixupp'. Did you mean 'mixup'"):
        mixing_named("mixupp")
