"""Test Hugging Face data sets, in the Hub's cache and saved to disk, made here by ``datasets`` itself."""

import json

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from synaug.config import DataOptions
from synaug.data.benchmarks.cifar import CIFAR100
from synaug.data.formats import huggingface
from synaug.data.images.codec import Encoding, encode
from synaug.data.manifest import read_image
from synaug.data.readers import read_data
from synaug.errors import DataError, EnvironmentFault
from synaug.pipeline import prepare as plan_stage
from synaug.recipes import make_recipe
from synaug.runtime import storage

datasets = pytest.importorskip("datasets")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def png(value):
    return encode(Image.fromarray(np.full((8, 8, 3), value, np.uint8)), Encoding())


def rows_of(labels, *, image="image", label="label", **more):
    features = {
        image: datasets.Image(),
        label: datasets.ClassLabel(names=["zebra", "ant"]),
        **{name: datasets.Value("string") for name in more},
        "boxes": datasets.Sequence(datasets.Value("int64")),
    }
    content = {
        image: [{"bytes": png(10 * number + len(labels)), "path": None} for number in range(len(labels))],
        label: labels,
        "boxes": [[1, 2]] * len(labels),
        **more,
    }
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A Hub cache with the downloaded data set ``someone/animals``: Parquet, one file per split, and a script."""
    home = tmp_path / "hub" / "datasets--someone--animals"
    data = storage.make_folder(home / "snapshots" / COMMIT / "data")
    rows_of([0, 1, 1], place=["land", "water", "land"]).to_parquet(data / "train-00000-of-00001.parquet")
    rows_of([1, 0], place=["land", "water"]).to_parquet(data / "test-00000-of-00001.parquet")
    (data.parent / "animals.py").write_text("raise SystemExit('the script ran')\n")
    storage.write_text(storage.make_folder(home / "refs") / "main", COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return home


def test_a_data_set_of_the_hub_is_read_at_its_commit_and_none_of_its_code_is_run(cache):
    manifest = read_data("hf:someone/animals", DataOptions(attribute="place"))
    assert manifest.origin == f"hf:someone/animals@{COMMIT}"
    assert manifest.class_names == ("zebra", "ant")
    assert manifest.labels.tolist() == [0, 1, 1, 1, 0]
    assert manifest.attribute_names == ("land", "water")
    assert manifest.frame["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert np.asarray(read_image(manifest, 1)).max() == 13
    again = read_data(f"hf:someone/animals@{COMMIT}")
    assert again.frame["sha256"].equals(manifest.frame["sha256"])


def test_the_lock_file_of_a_run_names_the_commit(cache, tmp_path):
    recipe = make_recipe({"plan": {"model": "embedded"}})
    manifest = plan_stage.load_data("hf:someone/animals", recipe)
    plan = plan_stage.drafted_plan(manifest, recipe)
    plan_stage.write_run(manifest, plan, tmp_path / "run", recipe, source="hf:someone/animals")
    assert json.loads((tmp_path / "run/synaug.lock.json").read_text())["source"] == f"hf:someone/animals@{COMMIT}"


def test_files_that_may_execute_code_are_not_downloaded(cache, monkeypatch):
    asked = {}

    class Api:
        def dataset_info(self, name, revision):
            return type("Info", (), {"sha": COMMIT})

    def download(name, **options):
        asked.update(options)
        return cache / "snapshots" / COMMIT

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert huggingface.snapshot("someone/animals", "main").name == COMMIT
    assert asked["revision"] == COMMIT
    assert {"*.py", "*.pkl"} <= set(asked["ignore_patterns"])


def test_an_unavailable_data_set_names_the_ways_out(cache):
    with pytest.raises(
        EnvironmentFault, match=r"someone/plants cannot be downloaded from the Hub: it was never downloaded"
    ):
        read_data("hf:someone/plants")


def test_an_image_folder_on_the_hub(cache, save_image):
    home = cache.parent / "datasets--someone--folder"
    root = home / "snapshots" / COMMIT
    for number, name in enumerate(["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"]):
        save_image(root / name, seed=number)
    storage.write_text(storage.make_folder(home / "refs") / "main", COMMIT)
    manifest = read_data("hf:someone/folder")
    assert manifest.class_names == ("cat", "dog")
    assert manifest.frame["split"].tolist() == ["train", "train", "test"]


def test_a_saved_data_set_with_splits_of_other_names(tmp_path):
    parts = {"train": rows_of([0, 1]), "valid": rows_of([1, 0]), "extra": rows_of([0, 0, 1])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    manifest = read_data(tmp_path / "saved")
    assert manifest.frame["split"].tolist() == ["train", "train", "validation", "validation"]
    assert [(item.path, item.reason) for item in manifest.quarantined] == [
        ("split 'extra'", "3 images of no known split")
    ]


def test_a_saved_data_set_with_columns_by_option(tmp_path):
    data = rows_of([0, 1, 1], image="photo", label="kind", part=["train", "train", "test"], y=["a", "b", "b"])
    data.save_to_disk(str(tmp_path / "saved"))
    assert read_data(tmp_path / "saved", DataOptions(label="kind", split="part")).class_names == ("zebra", "ant")
    by_text = read_data(tmp_path / "saved", DataOptions(label="y", split="part"))
    assert by_text.class_names == ("a", "b")
    assert by_text.frame["split"].tolist() == ["train", "train", "test"]
    with pytest.raises(DataError, match=r"label column 'kinds'\..*'kind'"):
        read_data(tmp_path / "saved", DataOptions(label="kinds"))


def test_splits_of_which_none_is_known(tmp_path):
    datasets.DatasetDict({"left": rows_of([0, 1]), "right": rows_of([1, 0])}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match=r"has the splits left, right\. Known: train, val"):
        read_data(tmp_path / "saved")


def test_a_row_that_names_a_file_elsewhere_is_refused(tmp_path, save_image):
    secret = save_image(tmp_path / "secret.png")
    stored = {"bytes": None, "path": str(secret)}  # save_to_disk would store the content of an image instead
    text = datasets.Value("string")
    features = datasets.Features({"image": {"bytes": datasets.Value("binary"), "path": text}, "label": text})
    data = datasets.Dataset.from_dict({"image": [stored, stored], "label": ["a", "b"]}, features=features)
    data.save_to_disk(str(tmp_path / "saved"))
    about = tmp_path / "saved" / "dataset_info.json"
    content = storage.read_json(about)
    content["features"]["image"] = {"_type": "Image"}
    storage.write_json(about, content)
    with pytest.raises(DataError, match=r"names the file .*secret\.png, which it does not contain"):
        read_data(tmp_path / "saved")


def test_a_damaged_saved_data_set(tmp_path):
    storage.write_text(storage.make_folder(tmp_path / "saved") / "dataset_dict.json", '{"splits": ["train"]}')
    with pytest.raises(DataError, match="saved cannot be read"):
        read_data(tmp_path / "saved")


def test_cifar_from_the_hub_has_the_long_tail_of_the_archive(cache, cifar_archive):
    options = DataOptions(benchmark="cifar100_lt", partial=True, imbalance_factor=10)
    archive = read_data(cifar_archive(CIFAR100), options.model_copy(update={"imbalance_factor": 1}))
    tail = read_data(cifar_archive(CIFAR100), options)
    home = cache.parent / "datasets--uoft-cs--cifar100"
    data = storage.make_folder(home / "snapshots" / COMMIT)
    for split in ("train", "test"):
        part = archive.split(split).frame.sort_values("id")
        content = {
            "img": [{"bytes": image, "path": None} for image in part["image"]],
            "fine_label": part["label"].tolist(),
            "coarse_label": [0] * len(part),
        }
        names = list(archive.class_names)
        kinds = {"img": datasets.Image(), "fine_label": datasets.ClassLabel(names=names)}
        kinds["coarse_label"] = datasets.ClassLabel(names=["all"])
        datasets.Dataset.from_dict(content, features=datasets.Features(kinds)).to_parquet(data / f"{split}.parquet")
    storage.write_text(storage.make_folder(home / "refs") / "main", COMMIT)
    assert read_data("hf:uoft-cs/cifar100", options).frame["sha256"].tolist() == tail.frame["sha256"].tolist()
