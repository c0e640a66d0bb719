"""Test that code runs only if the user named or confirmed it, and that folders are checked without a connection."""

import json
import shutil

import pytest
import yaml

from synaug import load_classifier
from synaug.bench import read_experiment, run_bench
from synaug.cli.session import named_code
from synaug.data.export import verify
from synaug.data.formats.huggingface import named_elsewhere
from synaug.data.manifest import from_arrays
from synaug.errors import DataError, OptionError
from synaug.pipeline.classifier.export_classifier import export_classifier
from synaug.pipeline.train import train
from synaug.run_directory import Run
from synaug.runtime import storage
from synaug.runtime.security import own_code
from synaug.runtime.security.trust import check_trusted_host, trusting

NET = """
from pathlib import Path
from torch import nn

Path("{mark}").write_text("ran")


def net(num_classes, in_channels):
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * in_channels, num_classes))
"""
METHODS = "cross_entropy"


@pytest.fixture
def foreign(tmp_path):
    """Code that leaves a trace when it runs, and a recipe that names it."""
    mark, net = tmp_path / "mark", tmp_path / "net.py"
    net.write_text(NET.format(mark=mark))
    recipe = tmp_path / "recipe.yaml"
    train = {"network": f"{net}:net", "image_size": 8, "stage1": {"steps": 1, "batch_size": 4}}
    options = {"plan": {"model": "embedded", "target": 1}, "quality": {"gates": ["broken"]}, "train": train}
    recipe.write_text(yaml.safe_dump(options))
    return mark, net, recipe


@pytest.fixture
def run(foreign, photos, tmp_path, synaug):
    """Somebody else's run directory with that code, which its owner confirmed but this user did not."""
    mark, net, recipe = foreign
    done = synaug("plan", photos, "--recipe", recipe, "--out", tmp_path / "run", "--trust", net)
    assert done.code == 0, done.err
    mark.unlink()
    own_code._run.cache_clear()  # the owner had a separate process
    return tmp_path / "run"


def refused(done, mark, net):
    return (done.code, storage.file_digest(net) in done.err, "--trust" in done.err, mark.exists()) == (
        2, True, True, False,
    )  # fmt: skip


def test_a_recipe_s_code_is_not_run_by_plan_run_or_bench(foreign, photos, tmp_path, synaug):
    mark, net, recipe = foreign
    out = tmp_path / "new"
    assert refused(synaug("plan", photos, "--recipe", recipe, "--out", out), mark, net)
    assert refused(synaug("run", photos, "--recipe", recipe, "--out", out), mark, net)
    assert refused(synaug("run", photos, "--recipe", recipe, "--dry-run"), mark, net)
    content = yaml.safe_load(recipe.read_text()) | {"bench": {"arms": {"a": {"methods": [METHODS]}}}}
    recipe.write_text(yaml.safe_dump(content))
    assert refused(synaug("bench", recipe, "--data", photos, "--out", out, "--seeds", "1"), mark, net)
    with pytest.raises(OptionError, match="--trust"):
        run_bench(read_experiment(str(recipe), data=photos), out, seeds=[0])
    assert not out.exists()
    named = synaug("plan", photos, "--model", "embedded", "--network", f"{net}:net", "--out", out)
    assert (named.code, mark.exists()) == (0, True)


def test_a_run_directory_s_code_is_not_run_until_it_is_confirmed(run, foreign, synaug, tmp_path):
    mark, net, _ = foreign
    assert synaug("generate", run).code == 0
    for command in ("train", "retrain"):
        assert refused(synaug(command, run, "--methods", METHODS), mark, net)
    with pytest.raises(OptionError, match="--trust"):
        train(Run.open(run), methods=[METHODS])
    assert synaug("status", run).code == 0
    assert synaug("train", run, "--methods", METHODS, "--dry-run").code == 0
    assert not mark.exists()
    done = synaug("train", run, "--methods", METHODS, "--trust", storage.file_digest(net))
    assert (done.code, mark.exists()) == (0, True), done.err

    mark.unlink()
    net.write_text(net.read_text() + "\n# changed after it was confirmed\n")
    digest = json.loads((run / "synaug.lock.json").read_text())["networks"][f"{net}:net"]
    again = synaug("train", run, "--methods", METHODS, "--trust", digest)
    assert (again.code, "--trust" in again.err, mark.exists()) == (2, True, False)
    net.write_text(NET.format(mark=mark))

    assert synaug("report", run).code == 0
    export = ("export", run, "--classifier", METHODS, "--out", tmp_path / "c")
    assert refused(synaug(*export), mark, net)
    with pytest.raises(OptionError, match="--trust"):
        export_classifier(run, tmp_path / "c", method=METHODS)
    with pytest.raises(OptionError, match="network="):
        load_classifier(run, method=METHODS)
    assert synaug("predict", run, net.parent / "photos").code in (2, 4)
    assert not mark.exists()
    done = synaug(*export, "--trust", net)
    assert done.code == 0, done.err
    with pytest.raises(OptionError, match="network="):
        load_classifier(tmp_path / "c")


def test_a_module_is_found_without_running_its_package(foreign, tmp_path, monkeypatch):
    from synaug.training.networks.custom import source_digest

    mark, net, _ = foreign
    package = tmp_path / "foreign_nets"
    package.mkdir()
    shutil.copy(net, package / "__init__.py")
    shutil.copy(net, package / "small.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert source_digest("foreign_nets.small:net") == storage.file_digest(net)
    assert not mark.exists()
    from synaug.methods import check_code

    with pytest.raises(OptionError, match="--trust"):
        check_code(["foreign_nets.small:net"])
    with trusting("foreign_nets.small"):
        check_code(["foreign_nets.small:net", "resnet8", "timm/local-dir:folder"])
    with pytest.raises(OptionError, match="--trust"):
        check_code(["foreign_nets.small:net"])


CARDS = {
    "a repository": [{"split": "train", "path": "hf://datasets/someone/else/train/**"}],
    "a URL": [{"split": "train", "path": "https://example.com/x.png"}],
    "a file of this machine": [{"split": "train", "path": "/etc/**"}],
    "a folder above": [{"split": "train", "path": "../**"}],
    "a list": [{"split": "train", "path": ["train/**", "hf://datasets/a/b/*"]}],
    "a plain text": "hf://datasets/someone/else/*",
}


@pytest.mark.parametrize("files", CARDS.values(), ids=CARDS)
def test_verify_lets_datasets_read_only_files_of_the_folder(tmp_path, files, monkeypatch):
    datasets = pytest.importorskip("datasets")
    folder = exported(tmp_path)
    assert verify.verify_dataset(folder) == []
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append(a))
    card = folder / "README.md"
    head = {"configs": [{"config_name": "default", "data_files": files}]}
    card.write_text(f"---\n{yaml.safe_dump(head)}---\n")
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    sums = [f"{storage.file_digest(card)}  README.md" if line.endswith("  README.md") else line for line in sums]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    (problem,) = verify.verify_dataset(folder)
    assert "datasets did not load the folder" in problem
    assert asked == []
    assert named_elsewhere(folder)


def test_verify_does_not_follow_a_second_head(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    folder = exported(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: pytest.fail("asked"))
    (folder / ".huggingface.yaml").write_text("configs: [{data_files: 'hf://datasets/a/b/*'}]")
    assert any(".huggingface.yaml may name files elsewhere" in problem for problem in verify.verify_dataset(folder))
    assert named_elsewhere(folder) == "hf://datasets/a/b/*"


def exported(tmp_path):
    import numpy as np

    from synaug.data.export.writer import export_dataset

    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    manifest = from_arrays(images, [0, 1, 0, 1], class_names=["cat", "dog"])
    export_dataset(manifest, None, tmp_path / "set")
    return tmp_path / "set"


def test_a_classifier_file_names_no_place_to_load_a_network_from(tmp_path):
    from synaug.training.tensor_files import pack

    about = {"class_names": ["a", "b"], "image_shape": [1, 8, 8], "mean": [0.5], "std": [0.5]}
    for network in ("timm/hf-hub:someone/model", "hf-hub:someone/model", "timm/local-dir:/etc"):
        storage.write_bytes(tmp_path / "classifier.safetensors", pack({}, about | {"network": network}))
        with pytest.raises(DataError, match="nothing is loaded from it"):
            load_classifier(tmp_path)


def test_an_endpoint_that_is_typed_names_its_host():
    asked = {"sent": "a key", "known": "https://api.openai.com/v1"}
    with pytest.raises(OptionError, match=r"--trust images\.example"):
        check_trusted_host("https://images.example/v1", **asked)
    with trusting(*named_code(None, None, endpoint="https://images.example/v1")):
        check_trusted_host("https://images.example/v1", **asked)
        with pytest.raises(OptionError, match=r"--trust other\.example"):
            check_trusted_host("https://other.example/v1", **asked)
