"""Test finding a model in a folder, in the Hub's cache or on the Hub; otherwise the error names the ways out."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.generators.models.model_sources import find_model, model_facts
from synaug.synthesis.generators.models.weight_files import chosen_variant, wanted_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WAYS_OUT = "Ways out: allow the network .*--model PATH.*--model embedded"
OF_A_FOLDER = "Ways out: name a folder .*--model PATH.*--model embedded"


@pytest.fixture
def folder(tmp_path):
    """The smallest valid model folder."""
    place = tmp_path / "model"
    (place / "unet").mkdir(parents=True)
    (place / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (place / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"x")
    return place


@pytest.fixture
def cache(tmp_path, folder, monkeypatch):
    """A Hub cache that holds the model ``someone/tiny``."""
    home = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(folder, home / "snapshots" / COMMIT)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return home


def test_a_local_folder_is_taken_as_it_is(folder):
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: flux-dev\n---\n")
    (folder / "synaug.json").write_text('{"steps": 4}')
    found = find_model(str(folder))
    assert (found.path, found.revision, found.license, found.defaults) == (folder, None, "flux-dev", {"steps": 4})


@pytest.mark.parametrize("card", ["", "no header", "---\n- a list\n---\n", "---\nlicense: [\n---\n"])
def test_a_card_without_license_states_none(folder, card):
    (folder / "README.md").write_text(card)
    assert find_model(str(folder)).license is None


def test_a_missing_folder_is_not_taken_for_a_hub_id():
    with pytest.raises(EnvironmentFault, match=rf"model folder \./nowhere.*{OF_A_FOLDER}"):
        find_model("./nowhere")


def test_a_folder_without_pipeline_names_the_ways_out(tmp_path):
    with pytest.raises(EnvironmentFault, match=rf"has no model_index\.json.*{OF_A_FOLDER}"):
        find_model(str(tmp_path))


def test_pickled_weights_are_refused(folder):
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(EnvironmentFault, match=r"only diffusion_pytorch_model\.bin, which may execute code"):
        find_model(str(folder))


def test_no_weights_at_all_are_named(folder):
    shutil.rmtree(folder / "unet")
    with pytest.raises(EnvironmentFault, match="has no weights at all"):
        find_model(str(folder))


def test_code_of_its_own_is_refused(folder):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": ["pipeline", "MyPipeline"]}))
    with pytest.raises(EnvironmentFault, match="needs custom code"):
        find_model(str(folder))


def test_a_damaged_index_is_an_environment_fault(folder):
    (folder / "model_index.json").write_text("{")
    with pytest.raises(EnvironmentFault, match=r"model_index\.json is damaged"):
        find_model(str(folder))


@pytest.mark.parametrize("model", ["someone/tiny", "someone/tiny@main", f"someone/tiny@{COMMIT}"])
def test_offline_the_cached_snapshot_is_used(cache, model):
    found = find_model(model, offline=True)
    assert (found.name, found.revision) == ("someone/tiny", COMMIT)
    assert found.path == cache / "snapshots" / COMMIT


def test_offline_without_the_model_names_the_ways_out(cache):
    with pytest.raises(EnvironmentFault, match=rf"someone/other.*downloaded.*{WAYS_OUT}"):
        find_model("someone/other", offline=True)


def test_the_environment_variable_is_honored(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_model("someone/tiny").revision == COMMIT


def test_only_a_commit_and_safe_files_are_requested_from_the_hub(folder, monkeypatch):
    asked = {}
    files = [
        "model_index.json",
        "v1.safetensors",
        "unet/a.safetensors",
        "unet/a.fp16.safetensors",
        "unet/a.bin",
        "x.py",
    ]

    def model_info(_self, name, revision):
        asked["revision"] = revision
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file) for file in files])

    def snapshot_download(name, *, revision, allow_patterns):
        asked.update(name=name, commit=revision, files=allow_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    found = find_model("someone/tiny@v2", offline=False)
    assert asked == {
        "revision": "v2", "name": "someone/tiny", "commit": COMMIT, "files": ["model_index.json", "unet/a.safetensors"],
    }  # fmt: skip
    assert (found.revision, found.variant) == (COMMIT, None)
    half = find_model("someone/tiny@v2", offline=False, half=True)
    assert (half.variant, asked["files"]) == ("fp16", ["model_index.json", "unet/a.fp16.safetensors"])


@pytest.fixture
def no_network(monkeypatch):
    def model_info(_self, name, revision):
        raise ConnectionError("504 Server Error: no network.\nmore")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)


def test_without_network_what_was_downloaded_before_is_used(cache, no_network):
    assert find_model("someone/tiny", offline=False).revision == COMMIT


def test_without_network_the_error_names_the_ways_out(no_network, cache):
    shutil.rmtree(cache)
    with pytest.raises(EnvironmentFault, match=rf"someone/tiny.*504.*{WAYS_OUT}"):
        find_model("someone/tiny", offline=False)


def test_a_component_without_the_variant_keeps_its_plain_weights():
    files = ["unet/a.fp16.safetensors", "unet/a.safetensors", "vae/a.safetensors", "unet/a.non_ema.safetensors"]
    assert wanted_files(files, variant="fp16") == ["unet/a.fp16.safetensors", "vae/a.safetensors"]
    assert wanted_files(files, variant=None) == ["unet/a.safetensors", "vae/a.safetensors"]


def test_shards_of_a_variant_belong_together():
    files = ["t/m.fp16-00001-of-00002.safetensors", "t/m.safetensors.index.fp16.json", "t/m-00001-of-00003.safetensors"]
    assert wanted_files(files, variant="fp16") == files[:2]


def test_the_facts_of_a_model_come_without_its_weights(cache, monkeypatch):
    def model_info(_self, name, revision, timeout):
        return SimpleNamespace(sha=COMMIT, tags=["license:openrail", "x"])

    assert model_facts("embedded")["license"] == "apache-2.0"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    assert model_facts("someone/other@v2") == {"model": "someone/other", "revision": COMMIT, "license": "openrail"}


def test_offline_the_facts_come_from_earlier_downloads(cache):
    assert model_facts("someone/tiny")["revision"] == COMMIT
    assert model_facts("someone/other") == {"model": "someone/other", "revision": None, "license": None}


@pytest.mark.parametrize(
    ("files", "half", "chosen"),
    [
        (["unet/w.safetensors", "vae/w.safetensors"], True, None),
        (["unet/w.safetensors", "unet/w.fp16.safetensors"], False, None),
        (["unet/w.safetensors", "unet/w.fp16.safetensors"], True, "fp16"),
        (["unet/w.fp16.safetensors", "vae/w.fp16.safetensors"], False, "fp16"),
        (["unet/w.fp16.safetensors", "vae/w.safetensors"], False, "fp16"),
        (["unet/w.fp16-00001-of-00002.safetensors", "unet/w.fp16-00002-of-00002.safetensors"], False, "fp16"),
        (["unet/w-00001-of-00002.fp16.safetensors", "unet/w-00002-of-00002.fp16.safetensors"], False, "fp16"),
        (["unet/w.bf16.safetensors"], False, "bf16"),
        (["unet/w.bf16.safetensors", "unet/w.fp16.safetensors"], False, "fp16"),
        (["unet/w.non_ema.safetensors"], False, "non_ema"),
        (["unet/w.safetensors", "sd.fp16.safetensors"], False, None),  # another format's single file
        (["unet/w.fp16.safetensors", "vae/w.bf16.safetensors"], False, None),  # fits nowhere: the loader names it
    ],
)
def test_the_existing_weight_files_are_loaded(files, half, chosen):
    assert chosen_variant(files, half=half) == chosen


def test_half_precision_files_of_a_single_network_lie_at_the_top():
    assert chosen_variant(["model.fp16.safetensors", "sub/x.safetensors"], half=False, at_top=True) == "fp16"


@pytest.mark.parametrize("infix", ["fp16", "bf16"])
def test_a_folder_with_half_precision_files_alone_makes_the_same_images(tmp_path, infix):
    copy = shutil.copytree(find_model("embedded").path, tmp_path / "half")
    for file in copy.rglob("*.safetensors"):
        file.rename(file.with_suffix(f".{infix}.safetensors"))
    options = GenerateOptions(steps=1)
    images = [
        next(iter(load_generator(model, options)(["a photo of a bag"], seeds=[1]))).image
        for model in (str(copy), "embedded")
    ]
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("name", ["sd.safetensors", "sd.ckpt", "sd.SAFETENSORS"])
@pytest.mark.parametrize("ask", [find_model, model_facts])
def test_a_checkpoint_in_one_file_is_an_error_with_the_command_that_converts_it(tmp_path, name, ask):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(EnvironmentFault) as raised:
        ask(str(tmp_path / name))
    assert f"from_single_file({str(tmp_path / name)!r}).save_pretrained({str(tmp_path / 'sd')!r})" in str(raised.value)
    assert ("execute code" in str(raised.value)) == name.endswith("ckpt")


def test_a_plan_names_a_checkpoint_in_one_file_before_anything_is_written(synaug, photos, tmp_path):
    (tmp_path / "sd.safetensors").write_bytes(b"x")
    for command in (["plan", photos, "--dry-run"], ["plan", photos], ["run", photos]):
        done = synaug(*command, "--model", tmp_path / "sd.safetensors", "--out", tmp_path / "run")
        assert (done.code, "from_single_file" in done.err, (tmp_path / "run").exists()) == (5, True, False)


def test_an_absent_checkpoint_file_is_not_taken_for_a_hub_id():
    with pytest.raises(EnvironmentFault, match="is missing"):
        find_model("models/sd.safetensors")
