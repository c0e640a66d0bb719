"""Test that fitting lowers the loss, survives interruptions, and produces a model that the loader accepts."""

import hashlib
import json

import numpy as np
import pytest
import yaml

from synaug.config import FitOptions, GenerateOptions
from synaug.errors import Interrupted, OptionError
from synaug.runtime import signals
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators import lora
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.generators.lora import fit_model
from synaug.synthesis.planning.planner import make_plan

OPTIONS = FitOptions(steps=4, batch_size=4, rank=2, learning_rate=1e-2)


@pytest.fixture
def fitted_plan(plan, real, stable_diffusion):
    options = plan.options.model_copy(update={"model": str(stable_diffusion), "variant": "fitted", "modifiers": ("",)})
    return make_plan(
        real, options=options, generate=GenerateOptions(), encoding=plan.encoding, image_size=plan.image_size
    )


def weights(folder):
    return hashlib.sha256((folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()).hexdigest()


def test_a_fitted_model_loads_and_describes_itself(fitted_plan, real, stable_diffusion, tmp_path):
    folder = fit_model(fitted_plan, real, folder=tmp_path, options=OPTIONS, device="cpu")
    assert weights(folder) != weights(stable_diffusion)
    assert "may reproduce them; the licenses" in (folder / "README.md").read_text()
    generator = load_generator(str(folder), GenerateOptions(device="cpu"), variant="fitted")
    base = load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))
    assert (generator.about["steps"], generator.about["license"]) == (2, "apache-2.0")
    one, other = (np.asarray(g(["a photo of a bag"], seeds=[1])[0].image) for g in (generator, base))
    assert (one != other).any()
    assert fit_model(fitted_plan, real, folder=tmp_path, options=OPTIONS, device="cpu") == folder


def test_the_adapter_alone_on_the_model_is_the_fitted_model(fitted_plan, real, stable_diffusion, tmp_path):
    folder = fit_model(fitted_plan, real, folder=tmp_path, options=OPTIONS, device="cpu")
    files = sorted(path.name for path in (folder / "adapter").iterdir())
    assert files == ["README.md", "pytorch_lora_weights.safetensors"]
    assert "license: apache-2.0" in (folder / "adapter" / "README.md").read_text()
    merged = load_generator(str(folder), GenerateOptions(device="cpu"), variant="fitted")
    adapted = load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))
    plain = np.asarray(adapted(["a bag"], seeds=[1])[0].image, int)
    with quiet():
        adapted.pipeline.load_lora_weights(folder / "adapter")
    one, other = (np.asarray(each(["a bag"], seeds=[1])[0].image, int) for each in (merged, adapted))
    assert np.abs(one - other).max() <= 1
    assert np.abs(one - plain).max() > 1


def test_the_loss_falls(fitted_plan, real, tmp_path):
    notes = []
    options = FitOptions(steps=10, batch_size=4, rank=8, learning_rate=2e-2)
    fit_model(
        fitted_plan, real, folder=tmp_path, options=options, device="cpu",
        progress=lambda _s, _d, _t, note: notes.append(float(note.split()[1])),
    )  # fmt: skip
    assert notes[-1] < notes[0]


def test_an_interrupted_fit_ends_as_the_uninterrupted_one(fitted_plan, real, tmp_path, monkeypatch):
    whole = fit_model(fitted_plan, real, folder=tmp_path / "whole", options=OPTIONS, device="cpu")
    with monkeypatch.context() as patch:
        asked = iter([False, False, True])
        patch.setattr(signals, "is_requested", lambda: next(asked))
        patch.setattr(signals, "stop_here", lambda: (_ for _ in ()).throw(Interrupted("now")))
        with pytest.raises(Interrupted):
            fit_model(fitted_plan, real, folder=tmp_path / "cut", options=OPTIONS, device="cpu")
    assert (tmp_path / "cut" / f"{lora.FITTED}.safetensors").exists()
    cut = fit_model(fitted_plan, real, folder=tmp_path / "cut", options=OPTIONS, device="cpu")
    assert weights(whole) == weights(cut)


def test_other_options_are_refused(fitted_plan, real, tmp_path):
    options = FitOptions(steps=1, batch_size=2, rank=1)
    fit_model(fitted_plan, real, folder=tmp_path, options=options, device="cpu")
    with pytest.raises(OptionError, match="was fitted to another plan or with other options"):
        fit_model(fitted_plan, real, folder=tmp_path, options=OPTIONS, device="cpu")


def test_a_model_that_was_not_fitted_is_refused_as_a_fitted_one(stable_diffusion):
    with pytest.raises(OptionError, match="has not been fitted to the real images"):
        load_generator(str(stable_diffusion), GenerateOptions(device="cpu"), variant="fitted")


def test_the_recipe_says_how_the_command_fits(synaug, stable_diffusion, photos, tmp_path):
    fit = {"steps": 2, "batch_size": 2, "rank": 3}
    recipe = {"fit": fit, "generate": {"steps": 1}, "quality": {"gates": []}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    more = ("--variant", "fitted", "--cap", "1", "--recipe", tmp_path / "recipe.yaml")
    assert synaug("plan", photos, "--model", stable_diffusion, "--out", tmp_path / "run", *more).code == 0
    done = synaug("generate", tmp_path / "run")
    assert done.code == 0, done.err
    assert fit.items() <= json.loads((tmp_path / "run/fitted-model/fit.json").read_text()).items()
