"""A model folder that a person or a disk damaged: an error with the folder's name, no traceback, no code from it."""

import json
import os
import random
import shutil
import sys
from pathlib import Path

import pytest
import torch

import synaug
from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault, SynaugError
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.generators.models.model_sources import find_model
from synaug.training.networks.classifiers import make_model, network_digest
from synaug.training.networks.packaged_weights import write_packaged_weights
from synaug.training.networks.timm_networks import pretrained_normalization

TINY = Path(synaug.__file__).parent / "assets" / "tiny-diffusion"
VALUES = (None, -1, 0, 10**30, 1.5, "x", "../../x", [], {}, True, [1, 2])


def remove(path, rng):
    path.unlink()


def empty(path, rng):
    path.write_bytes(b"")


def truncate(path, rng):
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def flip(path, rng):
    data = bytearray(path.read_bytes())
    data[rng.randrange(min(len(data), 3000))] ^= 1 << rng.randrange(8)  # of weights mostly the header
    path.write_bytes(bytes(data))


def retype(path, rng):
    """Change a value of a JSON file, or make it something else."""
    if path.suffix != ".json" or rng.random() < 0.2:
        path.write_text(rng.choice(("[]", "{}", "null", "0", "text", "[" * 5000, "\x00\xff")))
        return
    content = json.loads(path.read_text())
    if isinstance(content, dict) and content:
        content[rng.choice(sorted(content))] = rng.choice(VALUES)
    path.write_text(json.dumps(content))


def link(path, rng):
    path.unlink()
    path.symlink_to(rng.choice(("nowhere", "/dev/zero", "/etc/hostname", ".")))


def directory(path, rng):
    path.unlink()
    path.mkdir()


def fifo(path, rng):
    path.unlink()
    os.mkfifo(path)


MUTATIONS = (remove, empty, truncate, flip, flip, retype, retype, retype, link, directory, fifo)


def damaged(source, target, number):
    rng = random.Random(number)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    path = rng.choice(sorted(path for path in target.rglob("*") if path.is_file()))
    mutation = rng.choice(MUTATIONS)
    mutation(path, rng)
    return f"mutation {number}: {mutation.__name__} {path.relative_to(target)}"


def check_generator(folder):
    options = GenerateOptions(steps=1, size=16, batch_size=1, device="cpu")
    load_generator(str(folder), options)(["a photo of a bag"], seeds=[0])


def check_network(folder):
    name = f"timm/local-dir:{folder}"
    network_digest(name)
    pretrained_normalization(name, in_channels=3)
    make_model(name, num_classes=2, image_size=32, pretrained=True).eval()(torch.zeros(1, 3, 32, 32))


@pytest.fixture(scope="module")
def network_folder(tmp_path_factory):
    return write_packaged_weights(tmp_path_factory.mktemp("weights") / "efficientnet_lite0").removeprefix(
        "timm/local-dir:"
    )


def try_out(source, target, numbers, check):
    faults = []
    for number in numbers:
        what = damaged(source, target, number)
        try:
            check(target)
        except SynaugError as error:
            if not str(error).strip():
                faults.append(f"{what}: no message")
        except Exception as error:
            faults.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
    assert not faults, "\n".join(faults)


ONCE_LOST = (56, 77, 161, 177, 333, 365)  # raised errors of the libraries: at loading, at the prompt, in a step


def test_some_damages_of_a_diffusion_model(tmp_path):
    try_out(TINY, tmp_path / "model", (*range(12), *ONCE_LOST), check_generator)


def test_some_damages_of_a_pretrained_network(network_folder, tmp_path):
    try_out(network_folder, tmp_path / "network", range(40), check_network)


@pytest.mark.long
def test_many_damages_of_a_diffusion_model(tmp_path):
    try_out(TINY, tmp_path / "model", range(500), check_generator)


@pytest.mark.long
def test_many_damages_of_a_pretrained_network(network_folder, tmp_path):
    try_out(network_folder, tmp_path / "network", range(500), check_network)


# ---------------------------------------------------------------- code that came with a model


RAN = "ran"
CODE = f"from pathlib import Path; Path(__file__).with_name({RAN!r}).touch()\nclass Evil: pass\n"


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def with_part(model, part, value):
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps(index | {part: value}))


def refused(model, tmp_path):
    with pytest.raises(EnvironmentFault, match="needs custom code"):
        find_model(str(model))
    with pytest.raises(EnvironmentFault, match="needs custom code"):
        load_generator(str(model), GenerateOptions(steps=1))
    assert not list(tmp_path.rglob(RAN))


@pytest.mark.parametrize("library", ["evil", "diffusers", "transformers", "stable_diffusion"])
def test_code_in_the_folder_of_a_part_does_not_run(model, tmp_path, library):
    (model / "unet" / f"{library}.py").write_text(CODE)
    with_part(model, "unet", [library, "Evil"])
    refused(model, tmp_path)


def test_a_library_that_a_model_names_is_not_imported(model, tmp_path, monkeypatch):
    (tmp_path / "evil_library.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    with_part(model, "vae", ["evil_library", "Evil"])
    refused(model, tmp_path)
    assert "evil_library" not in sys.modules


@pytest.mark.parametrize("value", [["os", "system"], ["../evil", "Evil"], [1, 2], ["evil", None], ["a.b", "c"]])
def test_no_other_library_is_a_part(model, tmp_path, value):
    with_part(model, "unet", value)
    refused(model, tmp_path)


def test_classes_that_a_part_describes_itself_do_not_run(model, tmp_path):
    (model / "tokenizer" / "evil.py").write_text(CODE)
    path = model / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}))
    with_part(model, "tokenizer", ["transformers", "AutoTokenizer"])
    refused(model, tmp_path)


def test_an_ordinary_model_is_loaded(model):
    with_part(model, "safety_checker", ["stable_diffusion", "StableDiffusionSafetyChecker"])
    assert find_model(str(model)).weights
