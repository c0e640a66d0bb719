"""Test that altered copies are found and other images are not."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from synaug.data.images.thumbnails import thumbnails
from synaug.data.similarity.near_duplicates import alike_distances, has_twin, make_prints, make_views
from synaug.synthesis.quality.gates import nearest_distances


def pictures(num, side, mode="L", seed=0):
    rng = np.random.default_rng(seed)
    shape = (num, 7, 7) if mode == "L" else (num, 7, 7, 3)
    small = [Image.fromarray(each.astype(np.uint8)) for each in rng.integers(0, 200, shape)]
    return [each.resize((side, side), Image.Resampling.BICUBIC) for each in small]


def moved(image):
    step = image.width // 28
    return image.transform(image.size, Image.Transform.AFFINE, (1, 0, step, 0, 1, -step))


@pytest.mark.parametrize(("side", "mode"), [(28, "L"), (100, "RGB")])
@pytest.mark.parametrize(
    "alter", [lambda image: image, ImageOps.mirror, lambda image: ImageEnhance.Brightness(image).enhance(0.8), moved]
)
def test_an_altered_copy_is_nearer_than_any_other_image(side, mode, alter):
    known = pictures(300, side, mode)
    prints = make_prints(thumbnails(known, mode=mode))
    found = alike_distances(make_views([alter(image) for image in known[:20]]), prints)
    others = alike_distances(make_views(pictures(20, side, mode, seed=1)), prints)
    assert np.median(found) < 0.08 < 0.4 < others.min()


def test_pixels_shifted_out_of_the_image_do_not_hide_a_copy():
    known = pictures(100, 28)
    shifted = [each.transform(each.size, Image.Transform.AFFINE, (1, 0, 2, 0, 1, -2)) for each in known]
    found = alike_distances(make_views(shifted), make_prints(thumbnails(known)))
    assert (found < 0.08).mean() > 0.6  # although a seventh of the border is new


def test_a_mirror_image_is_far_from_the_plain_one_pixel_by_pixel():
    known = pictures(20, 28)
    mirrored = thumbnails([ImageOps.mirror(image) for image in known])
    assert nearest_distances(mirrored, thumbnails(known)).min() > 0.02


def test_without_known_images_or_images_to_judge():
    views, prints = make_views(pictures(2, 28)), make_prints(thumbnails(pictures(2, 28)))
    assert np.isinf(alike_distances(views, make_prints(thumbnails([])))).all()
    assert alike_distances(make_views([]), prints).shape == (0,)


def test_flat_images_are_not_copies_of_textured_ones():
    flat = make_views([Image.new("L", (28, 28), 90)])
    assert alike_distances(flat, make_prints(thumbnails(pictures(20, 28))))[0] > 0.5


def test_a_twin_is_found_among_other_images_and_an_image_is_not_its_own():
    from photographs import crops

    images = [crop for name in ("cat", "temple", "flower") for crop in crops(name, 4, seed=3)]
    assert not has_twin(images, 0.08).any()
    assert has_twin([*images, *images], 0.08).all()  # also with fine patterns
    mixed = has_twin([*images, ImageOps.mirror(images[0])], 0.08)
    assert mixed.tolist() == [True, *[False] * 11, True]
    assert has_twin([], 0.08).tolist() == []
    assert has_twin(images[:1], 0.08).tolist() == [False]
