"""Test that the limit read from a folder equals the loaded pipeline's, and that the generator stays below it."""

import json
import shutil

import numpy as np
import pytest

from synaug.config import GenerateOptions
from synaug.errors import OptionError
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.generators.models.text_encoders import limit_at_hand

LONG = "a detailed studio picture made with a good camera in soft light on a plain gray ground showing one clean"
TEXTS = ["a bag", f"{LONG} bag", f"{LONG} ankle boot", "Ünïcödé " * 30, "x" * 500]


@pytest.fixture(scope="module")
def generator():
    return load_generator("embedded", GenerateOptions(device="cpu", steps=1))


def test_prompts_that_the_generator_encodes_are_never_cut(generator):
    for text in TEXTS[:3]:
        kept = generator.prompt_limit(text)
        tokens = generator.pipeline.tokenizer(kept, truncation=False)["input_ids"]
        assert len(tokens) <= generator.pipeline.tokenizer.model_max_length
        assert kept.split()[-1] == text.split()[-1]


def test_classes_at_the_end_of_long_prompts_reach_the_model(generator):
    with pytest.warns(UserWarning, match="ankle boot' is too long"):
        boot = generator([f"{LONG} ankle boot"], seeds=[1])[0].image
    with pytest.warns(UserWarning, match="trouser' is too long"):
        trouser = generator([f"{LONG} trouser"], seeds=[1])[0].image
    assert not np.array_equal(boot, trouser)


def test_a_word_that_does_not_fit_is_refused(generator):
    with pytest.raises(OptionError, match="no part of the prompt"):
        generator(["x" * 500], seeds=[1])


@pytest.mark.parametrize("text", TEXTS)
def test_the_folder_has_the_limit_of_the_pipeline(generator, stable_diffusion, text):
    assert limit_at_hand("embedded")(text) == generator.prompt_limit(text)
    assert limit_at_hand(str(stable_diffusion))(text) == generator.prompt_limit(text)


def test_a_folder_without_a_fast_tokenizer_has_the_same_limit(generator, stable_diffusion, tmp_path):
    folder = shutil.copytree(stable_diffusion, tmp_path / "model")
    content = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(content["vocab"]))
    merges = [each if isinstance(each, str) else " ".join(each) for each in content["merges"]]
    (folder / "tokenizer" / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    assert [limit_at_hand(str(folder))(text) for text in TEXTS] == [generator.prompt_limit(text) for text in TEXTS]


def test_a_second_encoder_that_takes_the_prompt_is_enough(stable_diffusion, tmp_path):
    folder = shutil.copytree(stable_diffusion, tmp_path / "model")
    shutil.copytree(folder / "tokenizer", folder / "tokenizer_2")
    settings = json.loads((folder / "tokenizer" / "tokenizer_config.json").read_text())
    (folder / "tokenizer_2" / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 512}))
    index = json.loads((folder / "model_index.json").read_text())
    for second, expected in ((["transformers", "T5EncoderModel"], True), ([None, None], False)):
        content = index | {"tokenizer_2": ["transformers", "T5Tokenizer"], "text_encoder_2": second}
        (folder / "model_index.json").write_text(json.dumps(content))
        assert (limit_at_hand(str(folder))(f"{LONG} bag") == f"{LONG} bag") == expected


@pytest.mark.parametrize("model", ["someone/model", "openai:gpt-image-1", "./nowhere"])
def test_an_unavailable_model_has_no_known_limit(model):
    assert limit_at_hand(model) is None
