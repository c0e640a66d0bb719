"""Test real images through the embedded generator's autoencoder: once, stored, resumed, and close to the originals."""

from dataclasses import replace

import numpy as np
import pytest

from synaug.config import Recipe
from synaug.data.manifest import from_arrays, read_image
from synaug.errors import EnvironmentFault, Interrupted, OptionError
from synaug.pipeline import prepare as plan_stage
from synaug.recipes import with_overrides
from synaug.runtime import signals
from synaug.synthesis.generators import autoencoder
from synaug.synthesis.generators.autoencoder import FOLDER, autoencode, autoencoded_manifest


@pytest.fixture
def planned(photos):
    recipe = with_overrides(Recipe(), {"plan.model": "embedded"})
    data = plan_stage.load_data(photos, recipe)
    return plan_stage.drafted_plan(data, recipe), data.split("train")


def pixels(manifest):
    return np.stack([np.asarray(read_image(manifest, row), float) for row in range(len(manifest))])


def test_each_real_image_has_a_twin_that_is_like_it_and_not_equal(planned, tmp_path):
    plan, real = planned
    autoencode(plan, real, tmp_path)
    twins = autoencoded_manifest(plan, real, tmp_path)
    assert twins.labels.tolist() == real.labels.tolist()
    given, found = pixels(real), pixels(twins)
    assert given.shape == found.shape
    distances = np.abs(given[:, None] - found[None]).mean((2, 3))
    assert (distances.argmin(1) == np.arange(len(real))).mean() > 0.95
    assert 0.5 < np.diag(distances).mean() < 20


def test_existing_images_are_not_computed_again(planned, tmp_path):
    plan, real = planned
    autoencode(plan, real, tmp_path)
    without_model = replace(plan, options=plan.options.model_copy(update={"model": str(tmp_path / "missing")}))
    autoencode(without_model, real, tmp_path)
    with pytest.raises(EnvironmentFault, match="missing"):  # so the call above has not tried to load it
        autoencode(without_model, real, tmp_path / "other")


def test_an_interrupted_call_resumes_with_the_same_images(planned, tmp_path, monkeypatch):
    plan, real = planned
    autoencode(plan, real, tmp_path / "whole")
    monkeypatch.setattr(autoencoder, "_BATCH", 8)
    with signals.graceful(), pytest.raises(Interrupted):
        autoencode(plan, real, tmp_path / "parts", progress=lambda *_: signals.request())
    some = len(list((tmp_path / "parts" / FOLDER).glob("*.png")))
    assert 0 < some < len(real)
    autoencode(plan, real, tmp_path / "parts")
    whole, parts = (pixels(autoencoded_manifest(plan, real, tmp_path / name)) for name in ("whole", "parts"))
    assert np.abs(whole - parts).max() <= 1  # another batch size may round differently


def test_images_of_another_model_are_not_mixed_in(planned, tmp_path):
    plan, real = planned
    autoencode(plan, real.rows(np.arange(4)), tmp_path)
    (tmp_path / FOLDER / "about.json").write_text('{"model": "another"}')
    with pytest.raises(OptionError, match="holds images of another model"):
        autoencode(plan, real, tmp_path)


def test_a_wide_image_keeps_its_size(planned, tmp_path):
    plan, _ = planned
    wide = from_arrays(np.full((1, 28, 61, 3), 90, np.uint8), [0], class_names=["x"])
    autoencode(plan, wide, tmp_path)
    assert read_image(autoencoded_manifest(plan, wide, tmp_path), 0).size == (61, 28)
