import numpy as np
import pytest
import torch

from synaug.config import StageOptions
from synaug.training.batching import batch_maker, plain_batch_maker, two_views

PLAIN = StageOptions(mixing="none", flip=False, crop_padding=0)


def rng():
    return np.random.default_rng(0)


def test_a_plain_batch_is_the_normalised_images_with_their_labels(small_set):
    rows = np.array([3, 7])
    batch = batch_maker(small_set, PLAIN)(rows, rng())
    assert batch.images.equal(small_set.normalised(small_set.images[rows]))
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
