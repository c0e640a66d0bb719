import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from synaug.config import Recipe
from synaug.data.manifest import from_arrays, read_image
from synaug.pipeline.measure_gap import measured_gap


@pytest.fixture(scope="module")
def shirts_and_bags(fashion):
    """Return a function that makes a manifest of images of both classes, from one half of them or the other."""
    names = ("shirt", "bag")
    rows = [np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:60] for name in names]

    def of(half, *, change=lambda images: images, number=30):
        chosen = np.concatenate([row[half * 30 :][:number] for row in rows])
        images = change(np.stack([np.asarray(read_image(fashion, row)) for row in chosen]).reshape(-1, 28, 28))
        return from_arrays(images, np.repeat([0, 1], number), class_names=names)

    return of


def smoothed(images):
    return gaussian_filter(images.astype(float), (0, 0.6, 0.6)).astype(np.uint8)


def enlarged(images):
    return images.repeat(2, 1).repeat(2, 2)


def fine_detail(real, synthetic):
    return measured_gap(real, synthetic, Recipe())["gap"]["fine_detail"]


def test_fine_detail_is_compared_with_the_real_images(shirts_and_bags):
    real = shirts_and_bags(0)
    assert 0.8 < fine_detail(real, shirts_and_bags(1)) < 1.25
    assert fine_detail(real, shirts_and_bags(1, change=smoothed)) < 0.5
    assert fine_detail(shirts_and_bags(1, change=smoothed), real) > 2


def test_images_of_another_size_are_compared_at_the_size_of_the_real_ones(shirts_and_bags):
    assert 0.5 < fine_detail(shirts_and_bags(0), shirts_and_bags(1, change=enlarged)) < 1.6


def test_fine_detail_of_few_images_is_unknown(shirts_and_bags):
    assert fine_detail(shirts_and_bags(0), shirts_and_bags(1, number=8)) is None
