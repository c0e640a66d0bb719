from dataclasses import replace

import numpy as np
import pytest
import torch

from synaug.config import StageOptions
from synaug.training.batching import batch_maker, is_weighted, plain_batch_maker, two_views
from synaug.training.training_set import make_training_set

PLAIN = StageOptions(mixing="none", flip=False, crop_padding=0)


def rng():
    return np.random.default_rng(0)


def test_a_plain_batch_is_the_normalized_images_with_their_labels(small_set):
    rows = np.array([3, 7])
    batch = batch_maker(small_set, PLAIN)(rows, rng())
    assert batch.images.equal(small_set.normalized(small_set.images[rows]))
    assert batch.targets.argmax(1).equal(small_set.labels[rows])


def test_the_default_crop_moves_by_an_eighth_of_the_side(small_set):
    black = small_set.rows(np.arange(12))
    options = StageOptions(mixing="none", flip=False)
    given = options.model_copy(update={"crop_padding": 1})
    rows = np.arange(12)
    assert plain_batch_maker(black, options)(rows, rng()).images.equal(
        plain_batch_maker(black, given)(rows, rng()).images
    )


@pytest.mark.parametrize("mixing", ["mixup", "domain_mixup"])
def test_mixed_targets_still_sum_to_1(small_set, mixing):
    options = PLAIN.model_copy(update={"mixing": mixing, "mixup_alpha": 1.0})
    targets = batch_maker(small_set, options)(np.arange(12), rng()).targets
    assert torch.allclose(targets.sum(1), torch.ones(12))
    assert ((targets > 0).sum(1) == 2).any()


def test_two_views_come_one_after_the_other(small_set):
    batch = two_views(small_set, PLAIN.model_copy(update={"flip": True}))(np.arange(12), rng())
    first, second = batch.images.chunk(2)
    assert batch.targets[:12].equal(batch.targets[12:])
    assert not first.equal(second)
    mirrored = (first == second.flip(3)).all((1, 2, 3))
    assert (mirrored | (first == second).all((1, 2, 3))).all()


# ---------------------------------------------------------------- crops, autoencoded images, weights, probability


def kept_larger(side, network_side=None):
    images = torch.full((4, 1, side, side), 200, dtype=torch.uint8)
    data = make_training_set(images, torch.arange(4) % 2, num_classes=2, normalization=((0.0,), (1.0,)))
    return replace(data, side=network_side)


def test_large_images_are_cropped_and_not_padded_with_black():
    """Padding of an eighth of 224 pixels makes 12 % of an image black."""
    options = StageOptions(mixing="none")
    assert plain_batch_maker(kept_larger(72), options)(np.arange(4), rng()).images.min() > 0.7
    assert plain_batch_maker(kept_larger(32), options)(np.arange(4), rng()).images.min() == 0
    small = options.model_copy(update={"crop_smallest": 0.5})
    assert plain_batch_maker(kept_larger(32), small)(np.arange(4), rng()).images.min() > 0.7


def test_images_kept_larger_than_a_network_sees_them_give_parts_in_training_and_centers_in_tests():
    data = kept_larger(40, network_side=32)
    assert plain_batch_maker(data, StageOptions(mixing="none"))(np.arange(4), rng()).images.shape[2:] == (32, 32)
    marked = data.images.clone()
    marked[:, :, 4:36, 4:36] = 7
    assert replace(data, images=marked).centers(torch.arange(4)).unique().tolist() == [7]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_requested_share_of_real_images_is_replaced_by_twins(small_set, share):
    twins = torch.where(small_set.is_synthetic, -1, torch.arange(12))
    data = replace(small_set, autoencoded=torch.zeros_like(small_set.images[:6]), twins=twins)
    options = PLAIN.model_copy(update={"autoencoded": share})
    rows = np.tile(np.arange(12), 50)
    images = plain_batch_maker(data, options)(rows, rng()).images
    black = data.normalized(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))[0]
    is_black = (images == black).flatten(1).all(1).numpy()
    real = ~data.is_synthetic.numpy()[rows]
    assert is_black[real].mean() == pytest.approx(share, abs=0.1)
    assert not is_black[~real].any()


def test_synthetic_images_count_less_and_less_by_hand(small_set):
    options = PLAIN.model_copy(update={"synthetic_weight": 0.8, "synthetic_weight_end": 0.2})
    make = plain_batch_maker(small_set, options)
    for share, weight in ((0.0, 0.8), (0.5, 0.5), (1.0, 0.2)):
        sums = make(np.arange(12), rng(), share).targets.sum(1)
        assert sums.tolist() == pytest.approx([1.0] * 6 + [weight] * 6)
    assert is_weighted(small_set, options)
    assert not is_weighted(small_set, PLAIN)


def test_the_requested_share_of_batches_is_mixed(small_set):
    options = PLAIN.model_copy(update={"mixing": "mixup", "mixup_alpha": 1.0, "mixing_probability": 0.25})
    make = batch_maker(small_set, options)
    mixed = [(make(np.arange(12), np.random.default_rng(seed)).targets.max(1).values < 1).any() for seed in range(200)]
    assert np.mean(mixed) == pytest.approx(0.25, abs=0.1)
