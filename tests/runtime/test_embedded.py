"""Test that the packaged assets match their cards."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from synaug.config import GenerateOptions
from synaug.data.benchmarks.fashion_mnist import ARCHIVE_FOLDERS, CLASS_NAMES, read_archive, split_positions
from synaug.data.groups import class_counts
from synaug.data.manifest import read_image
from synaug.runtime.embedded import ASSETS
from synaug.synthesis.generators.loading import load_generator

HAS_ARCHIVE = any((folder.expanduser() / "t10k-labels-idx1-ubyte.gz").exists() for folder in ARCHIVE_FOLDERS)


@pytest.fixture(scope="module")
def generator():
    return load_generator("embedded", GenerateOptions())


def drawn(generator, prompt, number=24):
    made = generator([prompt] * number, seeds=range(number))
    return np.stack([np.asarray(each.image, np.float32) for each in made])


def test_the_training_set_is_long_tailed_and_the_test_set_balanced(fashion):
    assert fashion.class_names == CLASS_NAMES
    counts = class_counts(fashion.split("train").labels, 10)
    assert counts.tolist() == [500, 323, 209, 135, 87, 56, 36, 23, 15, 10]
    assert set(class_counts(fashion.split("test").labels, 10)) == {400}


def test_no_test_image_is_a_training_image(fashion):
    pixels = {name: {read_image(part, i).tobytes() for i in range(len(part))}
              for name, part in (("train", fashion.split("train")), ("test", fashion.split("test")))}  # fmt: skip
    assert not pixels["train"] & pixels["test"]


@pytest.mark.skipif(not HAS_ARCHIVE, reason="needs the Fashion-MNIST archives")
def test_the_generator_saw_none_of_the_demos_images(fashion):
    train, test = read_archive("train"), read_archive("test")
    seen = {train.images[i].tobytes() for i in split_positions(train, test).generator}
    assert not seen & {read_image(fashion, i).tobytes() for i in range(len(fashion))}


def test_the_package_stays_small_and_has_its_notices():
    assert sum(path.stat().st_size for path in ASSETS.rglob("*")) < 18_000_000
    assert "MIT License" in (ASSETS / "LICENSE-fashion-mnist.txt").read_text()
    assert "in-domain" in (ASSETS / "tiny-diffusion" / "README.md").read_text()
    assert not list((ASSETS / "tiny-diffusion").rglob("*.bin"))


def test_the_pipeline_draws_the_requested_class(fashion, generator):
    """A linear classifier of the real test images recognizes most of the drawn images."""
    test = fashion.split("test")
    real = np.stack([np.asarray(read_image(test, i).resize((16, 16)), np.float32) for i in range(0, len(test), 2)])
    judge = LogisticRegression(max_iter=300).fit(real.reshape(len(real), -1) / 255, test.labels[::2])
    right = []
    for label, name in enumerate(CLASS_NAMES):
        images = torch.from_numpy(drawn(generator, f"a photo of a {name}", 12).mean(-1))[:, None]
        small = torch.nn.functional.interpolate(images, 16, mode="bilinear", antialias=True)
        right.append((judge.predict(small.numpy().reshape(12, -1) / 255) == label).mean())
    assert np.mean(right) > 0.6


@pytest.mark.parametrize(("tint", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_the_pipeline_understands_tints(generator, tint, channel):
    colors = drawn(generator, f"a photo of a {tint} t-shirt").mean((0, 1, 2))
    assert colors.argmax() == channel


def test_the_pipeline_understands_backgrounds(generator):
    plain, land, water = (
        drawn(generator, f"a photo of a sneaker{where}")[:, :6].mean((0, 1, 2))
        for where in ("", " on land", " on water")
    )
    assert plain.max() < 40
    assert land[2] < land[:2].min()
    assert water.argmax() == 2


def test_the_pipeline_understands_modifiers(generator):
    bright, dark = (drawn(generator, f"a photo of a {word} coat").mean() for word in ("bright", "dark"))
    assert bright > 1.3 * dark


def test_a_class_that_it_never_saw_gives_images_and_no_failure(generator):
    assert drawn(generator, "a photo of a zebra crossing", 2).shape == (2, 32, 32, 3)
