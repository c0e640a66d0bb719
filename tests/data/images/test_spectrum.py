import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from synaug.data.images import SpectralGain, SpectralSide, matching_gain
from synaug.data.images.spectrum import BANDS, amplitudes


def textures(number, *, seed=0, side=28, channels=1, smoothness=0.0):
    """Return images whose amplitude falls with frequency, like that of photographs, each then smoothed."""
    noise = np.random.default_rng(seed).normal(size=(number, channels, side, side))
    pictures = gaussian_filter(noise, (0, 0, 1, 1)) * 150 + noise * 12
    smooth = gaussian_filter(pictures, (0, 0, smoothness, smoothness)) if smoothness else pictures
    return (smooth + 128).clip(0, 255).astype(np.uint8)


def side(images, cells=None):
    cells = np.zeros(len(images), int) if cells is None else np.asarray(cells)
    return SpectralSide(cells, lambda positions: images[positions])


def changed(gain, images):
    return np.stack([gain(image) for image in images])


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (28, 3), (97, 3), (8, 1)])
def test_smooth_images_get_the_spectrum_of_the_real_ones(size, channels):
    real = textures(200, side=size, channels=channels)
    smooth = textures(150, seed=1, side=size, channels=channels, smoothness=0.5)
    matched = changed(matching_gain(side(real), side(smooth)), smooth)
    before, after = (amplitudes(images) / amplitudes(real) for images in (smooth, matched))
    assert before[:, -1].max() < 0.7
    assert np.abs(np.log(after)).max() < 0.12
    assert matched.dtype == np.uint8
    assert matched.shape == smooth.shape


def test_rough_images_become_smoother():
    real, rough = textures(100, smoothness=0.5), textures(100, seed=1)
    matched = changed(matching_gain(side(real), side(rough)), rough)
    assert np.abs(np.log(amplitudes(matched) / amplitudes(real)))[:, : BANDS // 2].max() < 0.12


def test_images_of_the_same_kind_hardly_change():
    real, others = textures(200), textures(200, seed=1)
    gain = matching_gain(side(real), side(others))
    assert np.abs(np.log(gain.factors)).max() < 0.1
    assert np.abs(changed(gain, others).astype(int) - others).max() <= 12


def test_the_mean_brightness_stays():
    smooth = textures(60, seed=1, smoothness=1)
    gain = matching_gain(side(textures(60)), side(smooth))
    assert np.abs(changed(gain, smooth).mean((1, 2, 3)) - smooth.mean((1, 2, 3))).max() < 1


def test_the_strength_is_the_exponent_of_the_factors():
    image = textures(1, smoothness=0.6)[0]
    gain = SpectralGain(np.linspace(1, 1.5, BANDS)[None])
    assert np.array_equal(gain(image, strength=0.0), image)
    assert np.array_equal(gain(image, strength=0.5), SpectralGain(gain.factors**0.5)(image))


def test_each_channel_has_its_own_factors():
    real = textures(60, channels=3)
    synthetic = real.copy()
    synthetic[:, 2] = gaussian_filter(synthetic[:, 2], (0, 0.6, 0.6))
    factors = matching_gain(side(real), side(synthetic)).factors
    assert np.allclose(factors[:2], 1)
    assert factors[2].max() > 2


def test_classes_are_compared_with_themselves():
    fine, coarse = textures(120), textures(120, seed=1, smoothness=1)
    real = np.concatenate([fine, coarse[:30]])
    synthetic = np.concatenate([textures(20, seed=2), textures(120, seed=3, smoothness=1)])
    by_class = matching_gain(side(real, [0] * 120 + [1] * 30), side(synthetic, [0] * 20 + [1] * 120))
    confused = matching_gain(side(real), side(synthetic))
    assert np.abs(np.log(by_class.factors)).max() < 0.15 < np.abs(np.log(confused.factors)).max()


def test_factors_are_bounded():
    flat = np.full((60, 1, 28, 28), 128, np.uint8)
    factors = matching_gain(side(textures(60)), side(flat)).factors
    assert factors.max() == 3
    assert matching_gain(side(flat), side(textures(60))).factors.min() == pytest.approx(1 / 3)
    assert (changed(SpectralGain(factors), flat) == 128).all()


@pytest.mark.parametrize(("numbers", "is_matched"), [((40, 40), True), ((39, 39), False), ((1000, 10), False)])
def test_too_few_images_leave_the_spectrum_alone(numbers, is_matched):
    real, synthetic = (textures(number, seed=number, side=8) for number in numbers)
    assert (matching_gain(side(real), side(synthetic)) is not None) == is_matched


def test_without_a_common_class_nothing_is_matched():
    images = textures(60)
    assert matching_gain(side(images), side(images, np.ones(60, int))) is None


def test_the_digest_follows_the_factors():
    factors = np.ones((1, BANDS))
    assert SpectralGain(factors).digest() == SpectralGain(factors.copy()).digest()
    assert SpectralGain(factors).digest() != SpectralGain(factors * 1.01).digest()


def test_small_images_lack_bands_but_keep_their_factors():
    real = textures(60, side=14)
    half = (real // 2).astype(np.uint8)
    factors = matching_gain(side(real), side(half)).factors
    assert np.abs(factors - 2).max() < 0.15


def test_only_a_few_images_are_read_at_once():
    images, most = textures(300, side=8), []

    def read(positions):
        most.append(len(positions))
        return images[positions]

    several = SpectralSide(np.zeros(300, int), read)
    assert np.allclose(matching_gain(several, several).factors, 1)
    assert max(most) <= 64
    assert sum(most) == 600
