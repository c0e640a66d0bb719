import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synaug.training.augmentation import (
    AUGMENTATIONS,
    color_jitter,
    crop_and_flip,
    cutout,
    gaussian_blur,
    random_resized_crop,
    windows_by_gather,
    windows_by_slices,
)


def random_images(num=6, channels=3, side=8):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (num, channels, side, side), dtype=np.uint8))


def test_without_padding_and_flip_nothing_changes():
    images = random_images()
    assert crop_and_flip(images, padding=0, flip=False, rng=np.random.default_rng(0)).equal(images)


def test_each_image_has_its_own_crop_and_flip():
    images = random_images(num=1).expand(40, -1, -1, -1)
    changed = crop_and_flip(images, padding=2, flip=True, rng=np.random.default_rng(0))
    assert len({image.numpy().tobytes() for image in changed}) > 20


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), padding=st.integers(1, 3), flip=st.booleans())
def test_a_crop_is_a_window_of_the_padded_image_or_its_mirror(seed, padding, flip):
    images = random_images(num=3)
    changed = crop_and_flip(images, padding=padding, flip=flip, rng=np.random.default_rng(seed))
    for before, after in zip(images, changed, strict=True):
        padded = torch.nn.functional.pad(before, [padding] * 4)
        windows = [padded[:, y : y + 8, x : x + 8] for y in range(2 * padding + 1) for x in range(2 * padding + 1)]
        allowed = windows + ([window.flip(2) for window in windows] if flip else [])
        assert any(after.equal(window) for window in allowed)


@pytest.mark.parametrize(("padding", "flip"), [(0, True), (2, False), (2, True)])
def test_a_gpus_way_to_crop_and_flip_gives_the_same_as_a_cpus(padding, flip):
    images, rng = random_images(num=20), np.random.default_rng(1)
    padded = torch.nn.functional.pad(images, [padding] * 4)
    offsets, mirrored = rng.integers(0, 2 * padding + 1, (2, 20)), (rng.random(20) < 0.5) & flip
    ways = (windows_by_slices, windows_by_gather)
    by_slices, by_gather = (way(padded, offsets, mirrored, size=(8, 8)) for way in ways)
    assert by_gather.equal(by_slices)
    assert by_slices.shape == images.shape


def test_augmenting_leaves_its_input_alone_and_repeats_with_the_seed():
    images = random_images()
    before = images.clone()
    for augment in (*AUGMENTATIONS.values(), lambda x, rng: crop_and_flip(x, padding=1, flip=True, rng=rng)):
        first = augment(images, rng=np.random.default_rng(3))
        torch.rand(5)
        assert first.equal(augment(images, rng=np.random.default_rng(3)))
        assert first.shape == images.shape
        assert first.dtype == torch.uint8
        assert images.equal(before)


def test_torchvision_augmentations_leave_the_global_random_state_alone():
    state = torch.random.get_rng_state()
    AUGMENTATIONS["randaugment"](random_images(), rng=np.random.default_rng(0))
    assert torch.random.get_rng_state().equal(state)


def test_cutout_blackens_a_square_of_half_the_side_if_it_fits():
    cut = cutout(torch.full((50, 1, 8, 8), 9, dtype=torch.uint8), rng=np.random.default_rng(0))
    black = (cut == 0).sum((1, 2, 3))
    assert black.max() == 16
    assert black.min() >= 4


def test_random_resized_crop_keeps_a_constant_image():
    images = torch.full((4, 1, 8, 8), 77, dtype=torch.uint8)
    assert random_resized_crop(images, rng=np.random.default_rng(0)).equal(images)


def test_color_jitter_by_hand_makes_gray_images_only_brighter_or_darker():
    gray = torch.full((20, 3, 4, 4), 100, dtype=torch.uint8)
    changed = color_jitter(gray, rng=np.random.default_rng(0))
    assert (changed.flatten(1) == changed.flatten(1)[:, :1]).all()
    assert changed.min() >= 60
    assert changed.max() <= 140
    assert len(changed[:, 0, 0, 0].unique()) > 10


def test_gaussian_blur_is_that_of_torchvision_and_leaves_half_of_the_images_sharp():
    from torchvision.transforms.v2.functional import gaussian_blur as by_torchvision

    images = random_images(num=60)
    blurred = gaussian_blur(images, rng=np.random.default_rng(0), largest=0.2)
    sharp = (blurred == images).flatten(1).all(1)
    assert 20 <= sharp.sum() <= 40
    rng = np.random.default_rng(0)
    is_blurred, deviations = rng.random(60) < 0.5, rng.uniform(0, 0.2 * max(images.shape[2:]), 60)
    reach = int(3 * 0.2 * max(images.shape[2:]))
    chosen = np.flatnonzero(is_blurred & (deviations > 0.3))[0]
    padded = torch.nn.functional.pad(images[chosen].float(), [reach] * 4, mode="replicate")
    expected = by_torchvision(padded, [2 * reach + 1] * 2, [float(deviations[chosen])] * 2)[
        :, reach:-reach, reach:-reach
    ]
    assert (blurred[chosen].float() - expected).abs().max() <= 1
