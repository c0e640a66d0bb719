"""Provide real pipelines with random weights, built once, and plans over small realistic sets."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.synthesis.planning.plan import make_plan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def script():
    """The training script of the embedded pipeline, for its networks."""
    spec = importlib.util.spec_from_file_location("pretrain_tiny", ROOT / "scripts" / "pretrain_tiny.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory, script):
    """A folder with the embedded pipeline's networks, untrained."""
    import torch
    from diffusers import StableDiffusionPipeline

    from synaug.runtime.quiet import quiet

    folder = tmp_path_factory.mktemp("models") / "tiny-sd"
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = script.make_tokenizer(folder.with_name("tokenizer"))
        autoencoder = script.make_autoencoder()
        for layer in (autoencoder.encoder.layers[-1], autoencoder.decoder.layers[-1]):
            layer.weight.data *= 30  # otherwise random networks make everything plain gray
        StableDiffusionPipeline(
            vae=autoencoder,
            text_encoder=script.make_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=script.make_unet(),
            scheduler=script.make_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Random\n")
    (folder / "synaug.json").write_text('{"steps": 2, "guidance": 1.5, "batch_size": 8}')
    return folder


@pytest.fixture(scope="session")
def real():
    """Thirty gray 12 x 12 images of three classes (20, 7, 3) with a bright square at a class-specific position."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [20, 7, 3])
    images = rng.integers(0, 60, (30, 12, 12)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4, 2:10] += np.uint8(150)
    return from_arrays(images, labels, class_names=("top", "middle", "bottom"))


@pytest.fixture(scope="session")
def plan(real):
    """A plan for the 30 images that are missing."""
    return make_plan(
        real,
        options=PlanOptions(model="embedded"),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=(12, 12),
    )
