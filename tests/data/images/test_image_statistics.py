"""Test that spectrum, color and layout of an image are described without a model, for any size and mode."""

import math

import numpy as np
import pytest
from PIL import Image

from synaug.data.images.image_statistics import contrasts, image_statistics, noise_limit, spectral_flatness
from synaug.data.manifest import read_image


def noise(side, *, spread=60, mode="RGB", seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(np.clip(rng.normal(128, spread, (side, side, 3)), 0, 255).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("side", [16, 28, 64, 200])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_white_noise_has_the_flatness_that_theory_gives(side, mode):
    """The power of white noise is exponential, with a geometric over arithmetic mean of exp(-0.5772)."""
    found = spectral_flatness([noise(side, mode=mode, seed=seed) for seed in range(20)])
    assert found.mean() == pytest.approx(math.exp(-0.5772), abs=0.04)


def test_real_images_are_not_noise(fashion):
    found = spectral_flatness([read_image(fashion, row) for row in range(0, len(fashion), 20)])
    assert np.nanmax(found) < noise_limit(found) < 0.5


def test_real_noise_is_allowed_if_the_real_images_are_noise():
    real = spectral_flatness([noise(32, seed=seed) for seed in range(40)])
    others = spectral_flatness([noise(32, seed=seed) for seed in range(100, 140)])
    assert (others < noise_limit(real)).all()


@pytest.mark.parametrize("image", [Image.new("L", (28, 28), 0), Image.new("RGB", (96, 64), (200, 10, 90))])
def test_an_image_of_one_color_has_no_spectrum_but_statistics(image):
    assert math.isnan(spectral_flatness([image])[0])
    assert np.isfinite(image_statistics([image])).all()
    assert contrasts([image])[0] < 1e-6


def test_statistics_see_color_brightness_and_fine_detail():
    plain, red, bright, fine = image_statistics(
        [
            Image.new("RGB", (64, 64), "gray"),
            Image.new("RGB", (64, 64), "red"),
            Image.new("RGB", (64, 64), "white"),
            noise(64),
        ]
    )
    assert fine[7] > plain[7]  # power of the finest ring
    assert red[14] > plain[14]  # colorfulness
    assert (bright[15:] > plain[15:]).all()  # brightness of the cells


def test_no_images_give_no_rows():
    assert image_statistics([]).shape == (0, image_statistics([noise(20)]).shape[1])
    assert spectral_flatness([]).shape == contrasts([]).shape == (0,)
