"""Test that used files match their records: images, plan, manifest, weights, checkpoints and results."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import synaug
from synaug.data.images import codec
from synaug.data.images.ai_mark import marked
from synaug.data.manifest import read_image
from synaug.data.manifest_file import read_manifest
from synaug.data.readers import read_data
from synaug.errors import ChangedFileError, DataError, OptionError
from synaug.pipeline.measure_gap import read_gap
from synaug.recipes import with_overrides
from synaug.run_directory import RunPaths, locked_model, read_lock, write_lock
from synaug.runtime import storage
from synaug.runtime.records import read_sealed, recorded, write_sealed
from synaug.runtime.records.sealed import seal_of
from synaug.training.training_set import load_training_set

OPTIONS = {
    "plan": {"model": "embedded", "target": "uniform"},
    "generate": {"steps": 2, "batch_size": 4},
    "quality": {"gates": ["broken"], "max_missing": 1.0},
    "cross_validate": {"folds": 0},
    "train": {"network": "resnet8", "image_size": 8, "stage1": {"steps": 2, "batch_size": 4}},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A recipe, and a tree of two classes with 8 and 4 noise images."""
    work = tmp_path_factory.mktemp("recorded")
    (work / "r.yaml").write_text(json.dumps(OPTIONS))
    for name, number in (("bag", 8), ("coat", 4)):
        for i in range(number):
            values = np.random.default_rng([number, i]).integers(0, 256, (8, 8), dtype=np.uint8)
            path = work / "photos" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    return work


@pytest.fixture
def photos(small, tmp_path):
    """A copy of the images, to change."""
    return Path(shutil.copytree(small / "photos", tmp_path / "photos"))


@pytest.fixture
def planned(small, photos, tmp_path, synaug):
    """A run directory with its synthetic images."""
    assert synaug("plan", photos, "--recipe", small / "r.yaml", "--out", tmp_path / "run").code == 0
    assert synaug("generate", tmp_path / "run").code == 0
    return tmp_path / "run"


def flip(path, at=-20):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_changed_images_stop_training_report_and_export_by_name(planned, photos, synaug, tmp_path):
    assert synaug("train", planned, "--methods", "cross_entropy").code == 0
    for path in photos.rglob("*.png"):
        Image.new("L", (8, 8), 255).save(path)
    for command in (
        ("train", planned, "--methods", "cross_entropy,synaug_stage1"),
        ("report", planned),
        ("export", planned, "--out", tmp_path / "set"),
        ("review", planned),
    ):
        done = synaug(*command)
        assert (done.code, "photos/" in done.err, "lan again" in done.err) == (4, True, True), command
        assert "Traceback" not in done.err
    assert not (tmp_path / "set").exists()
    assert not (planned / "checkpoints" / "synaug_stage1-0" / "result.json").exists()


@pytest.mark.parametrize("in_memory", [True, False])
def test_one_swapped_image_is_named_on_either_path_of_training(photos, in_memory):
    manifest = read_data(photos)
    first, second = photos / "bag" / "0.png", photos / "bag" / "1.png"
    first.write_bytes(second.read_bytes())
    with pytest.raises(ChangedFileError, match=r"bag/0\.png"):
        decode_all(manifest, in_memory)


def decode_all(manifest, in_memory):
    data = load_training_set(manifest, in_memory=in_memory, image_size=8)
    return data.images[torch.arange(len(manifest))]


def test_a_changed_or_missing_synthetic_image_stops_and_check_takes_it_out(planned, synaug):
    images = sorted((planned / "synthetic").rglob("*.png"))
    flip(images[0], 40)
    done = synaug("train", planned, "--methods", "synaug_stage1")
    assert (done.code, images[0].name in done.err, "check RUN --reject" in done.err) == (4, True, True)
    images[1].unlink()
    done = synaug("train", planned, "--methods", "synaug_stage1")
    assert (done.code, "missing" in done.err) == (4, True), done.err
    assert synaug("check", planned, "--reject").code == 0
    assert synaug("generate", planned).code == 0
    assert synaug("train", planned, "--methods", "synaug_stage1").code == 0


def test_a_file_is_hashed_once_and_again_when_it_changes(photos, monkeypatch):
    manifest = read_data(photos)
    hashed = []
    whole = storage.digest
    monkeypatch.setattr(recorded.storage, "digest", lambda data: hashed.append(1) or whole(data))
    for _ in range(3):
        read_image(manifest, 0)
    assert len(hashed) == 1
    path = manifest.absolute_path(0)
    about = path.stat()
    flip(path, 40)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # size and modification time are unchanged
    with pytest.raises(ChangedFileError):
        read_image(manifest, 0)
    with pytest.raises(ChangedFileError):
        codec.recorded_bytes(path.with_name("nothing.png"), "0" * 64)


@pytest.mark.parametrize("name", ["plan.json", "data.parquet"])
def test_a_changed_plan_or_manifest_stops_and_the_same_plan_command_repairs_it(planned, photos, small, synaug, name):
    before = (planned / name).read_bytes()
    text = before.replace(b'"num_to_generate": 4', b'"num_to_generate": 3').replace(b"bag/0.png", b"bag/1.png")
    (planned / name).write_bytes(text if text != before else before[:-9] + b"x" + before[-8:])
    for command in ("status", "generate", "train", "report", "check"):
        done = synaug(command, planned)
        assert (done.code, f"{name} changed" in done.err) == (4, True), (command, done.err)
    (planned / name).unlink()
    assert synaug("train", planned).code == 4
    assert synaug("plan", photos, "--recipe", small / "r.yaml", "--out", planned).code == 0
    assert (planned / name).read_bytes() == before
    assert synaug("status", planned).code == 0


def test_moved_data_are_trained_on_at_the_compared_path(planned, photos, small, synaug, tmp_path):
    moved = photos.rename(tmp_path / "moved")
    assert synaug("train", planned, "--methods", "cross_entropy").code == 4
    assert synaug("plan", moved, "--recipe", small / "r.yaml", "--out", planned).code == 0
    copy = shutil.copytree(moved, tmp_path / "photos")
    flip(copy / "bag" / "0.png", 40)  # at the old location, where nothing reads it anymore
    assert synaug("train", planned, "--methods", "cross_entropy").code == 0
    assert read_lock(RunPaths(planned))["source"] == str(moved)


@pytest.mark.parametrize("old_place", ["gone", "other images"])
def test_run_with_the_new_path_of_moved_data_trains_and_tests_on_it(
    planned, photos, small, synaug, tmp_path, old_place
):
    moved = photos.rename(tmp_path / "moved")
    if old_place == "other images":
        for path in moved.rglob("*.png"):  # of equal names, all of one class
            other = tmp_path / "photos" / path.parent.name / path.name
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(moved / "bag" / f"{int(path.stem) % 8}.png", other)
    options = ("--recipe", small / "r.yaml", "--out", planned, "--methods", "cross_entropy")
    done = synaug("run", moved, *options)
    assert done.code == 0, done.err
    manifest = read_manifest(planned / "data.parquet")
    assert manifest.root == moved
    digests = {storage.file_digest(path) for path in moved.rglob("*.png")}
    assert set(manifest.frame["sha256"]) == digests
    if old_place == "other images":  # and the old path, which now names other data, is refused
        done = synaug("run", photos, *options)
        assert (done.code, "already holds another run" in done.err) == (2, True), done.err


def test_weights_that_changed_or_belong_to_another_directory_never_mix(small, photos, synaug, tmp_path, monkeypatch):
    model = Path(synaug_package()) / "assets" / "tiny-diffusion"
    for place in ("x", "y"):
        shutil.copytree(model, tmp_path / place / "m")
    weights = tmp_path / "y" / "m" / "unet" / "diffusion_pytorch_model.safetensors"
    changed = {name: value * 0.9 for name, value in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    run = tmp_path / "run"
    monkeypatch.chdir(tmp_path / "x")
    assert synaug("plan", photos, "--recipe", small / "r.yaml", "--model", "./m", "--out", run).code == 0
    assert synaug("generate", run, "--shard", "1/2").code == 0
    lock = locked_model(RunPaths(run))
    assert (lock["path"], len(lock["weights"])) == (str(tmp_path / "x" / "m"), 64)
    shutil.copy(weights, tmp_path / "x" / "m" / "unet" / weights.name)
    done = synaug("generate", run)
    assert (done.code, "weights" in done.err, "Restore them" in done.err) == (4, True, True)
    shutil.rmtree(tmp_path / "x" / "m")
    monkeypatch.chdir(tmp_path / "y")
    assert synaug("generate", run).code == 4
    shutil.rmtree(tmp_path / "y" / "m")
    shutil.copytree(model, tmp_path / "y" / "m")  # the same weights in another location
    assert synaug("generate", run).code == 0


def synaug_package():
    return Path(synaug.__file__).parent


def test_a_damaged_classifier_result_or_checkpoint_stops_its_users(planned, synaug, tmp_path):
    assert synaug("train", planned, "--methods", "cross_entropy").code == 0
    assert synaug("report", planned).code == 0
    folder = planned / "checkpoints" / "cross_entropy-0"
    export = ("export", planned, "--classifier", "cross_entropy", "--out", tmp_path / "c")
    for name in ("classifier.safetensors", "predictions.csv", "result.json"):
        before = (folder / name).read_bytes()
        flip(folder / name)
        for command in (("report", planned), export, ("train", planned, "--methods", "cross_entropy")):
            done = synaug(*command)
            assert (done.code, str(folder) in done.err) == (4, True), (name, command, done.err)
        (folder / name).write_bytes(before)
    (folder / "result.json").unlink()
    flip(folder / "training.safetensors")
    done = synaug("train", planned, "--methods", "cross_entropy")
    assert (done.code, "training.safetensors is damaged" in done.err, "Remove" in done.err) == (4, True, True)


def test_every_difference_between_recipes_is_examined(tmp_path, recipe):
    run = RunPaths(tmp_path)
    write_lock(run, source="a", recipe=recipe, data_digest="d")
    changes = {f"train.{name}": value for name, value in (("network", "resnet20"), ("image_size", 16))}
    changes |= {f"methods.a{i}": {"method": "cross_entropy"} for i in range(9)}
    other = with_overrides(recipe, changes | {"seed": recipe.seed + 1})
    with pytest.raises(OptionError, match=r"already holds another run .* and \d+ more"):
        write_lock(run, source="a", recipe=other, data_digest="d")
    write_lock(run, source="a", recipe=with_overrides(recipe, changes), data_digest="d")


def test_generated_images_are_never_among_the_test_images(small, photos, synaug, tmp_path):
    for split, count in (("train", 2), ("test", 2)):
        for label in ("bag", "coat"):
            target = tmp_path / "split" / split / label
            target.mkdir(parents=True)
            for path in sorted((photos / label).iterdir())[2 * (split == "test") :][:count]:
                shutil.copy(path, target)
    image = tmp_path / "split" / "test" / "bag" / "2.png"
    image.write_bytes(marked(image.read_bytes()))
    run = tmp_path / "run"
    assert synaug("plan", tmp_path / "split", "--recipe", small / "r.yaml", "--out", run).code == 0
    manifest = read_manifest(run / "data.parquet")
    assert len(manifest.split("test")) == 3
    assert not manifest.frame["id"].str.contains("test/bag/2.png").any()


def test_a_lock_file_that_was_edited_is_refused(planned, synaug):
    lock = planned / "synaug.lock.json"
    lock.write_text(lock.read_text().replace('"steps": 2', '"steps": 3', 1))
    done = synaug("train", planned)
    assert (done.code, "synaug.lock.json changed since synaug wrote it" in done.err) == (4, True)


def test_a_sealed_file_of_an_older_version_is_read(tmp_path):
    from synaug.runtime.records.sealed import read_sealed, write_sealed

    write_sealed(tmp_path / "a.json", {"x": [float("nan"), 1]})
    assert read_sealed(tmp_path / "a.json", way_out="") == {"x": [None, 1]}
    storage.write_json(tmp_path / "b.json", {"x": 1})
    assert read_sealed(tmp_path / "b.json", way_out="") == {"x": 1}
    storage.write_json(tmp_path / "b.json", [1])
    with pytest.raises(DataError, match="holds list, not an object"):
        read_sealed(tmp_path / "b.json", way_out="")


def test_a_file_sealed_without_its_name_is_still_read(tmp_path):
    content = {"images": "x"}
    storage.write_json(tmp_path / "gap.json", content | {"seal": seal_of(content)})
    assert read_sealed(tmp_path / "gap.json", way_out="") == content


def test_a_gap_with_the_earlier_spelling_of_gray_is_read(tmp_path):
    light = {"color": "grey", "findings": []}
    audit = {"sentence": "", "usable": True, "overall": light, "per_class": {"a": light | {"color": "red"}, "b": light}}
    write_sealed(tmp_path / "gap.json", {"images": "x", "audit": audit})
    read = read_gap(RunPaths(tmp_path))["audit"]
    assert [each["color"] for each in (read["overall"], *read["per_class"].values())] == ["gray", "red", "gray"]
