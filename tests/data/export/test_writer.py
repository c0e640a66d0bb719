"""Test export and verification: torchvision and ``datasets`` load exactly what was written."""

import contextlib
import errno
import hashlib
import itertools
import os
import subprocess
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from torchvision.datasets import ImageFolder

from synaug.config import DataOptions
from synaug.data.export import file_index
from synaug.data.export.dataset_card import column_kinds, make_card
from synaug.data.export.verify import verify_dataset
from synaug.data.export.writer import export_dataset
from synaug.data.images.ai_mark import is_marked
from synaug.data.images.codec import Encoding, encode
from synaug.data.manifest import from_arrays, joined
from synaug.data.manifest_file import write_manifest
from synaug.data.readers import read_data
from synaug.errors import ChangedFileError, DataError, EnvironmentFault, OptionError

NAMES = (
    "train",
    "test-tube",
    "bullet_train",
    "naïve ☃",
    "eval",
    "007",
    "null",
    "a[b]",
    "50% off",
    "test",
    'it\'s: "x"',
)


@pytest.fixture
def real(tmp_path):
    """A split tree of PNG files in classes with difficult names, and one JPEG."""
    for split, number in (("train", 2), ("test", 1)):
        for label, name in enumerate(NAMES):
            folder = tmp_path / "real" / split / name
            folder.mkdir(parents=True)
            for k in range(number):
                Image.new("RGB", (4, 4), (label, k, number)).save(folder / f"{k}.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "real/train/007/x.jpg")
    return read_data(tmp_path / "real")


def made(real, num=1):
    """Return synthetic images of every class, in memory, and their provenance."""
    labels = np.repeat(np.arange(real.num_classes), num)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    manifest = from_arrays(images, labels, class_names=real.class_names)
    ids = [f"made-{n}" for n in range(len(labels))]
    manifest.frame["id"], manifest.frame["source"] = ids, "synthetic"
    facts = {"id": ids, "prompt": "a photo", "seed": range(len(labels)), "score": 0.5, "variant": "intra"}
    return manifest, pd.DataFrame(facts)


@pytest.fixture
def out(real, tmp_path):
    synthetic, facts = made(real)
    about = {"name": "Odd names", "license": "cc0-1.0", "model": "tiny | one"}
    export_dataset(real, synthetic, tmp_path / "out", provenance=facts, card=about)
    return tmp_path / "out"


def test_torchvision_and_datasets_agree(out, tmp_path):
    torchvision, datasets = pytest.importorskip("torchvision"), pytest.importorskip("datasets")
    data = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    folder = torchvision.datasets.ImageFolder(out / "train")
    assert {split: len(rows) for split, rows in data.items()} == {"train": 3 * len(NAMES) + 1, "test": len(NAMES)}
    assert data["train"].features["label"].names == folder.classes == sorted(NAMES)
    by_pixels = {np.asarray(image).tobytes(): label for image, label in folder}
    assert all(by_pixels[np.asarray(row["image"]).tobytes()] == row["label"] for row in data["train"])


def test_provenance_arrives_typed(out, tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    synthetic = [row for row in rows.remove_columns("image") if row["source"] == "synthetic"]
    assert sorted(row["seed"] for row in synthetic) == list(range(len(NAMES)))
    assert {row["score"] for row in synthetic} == {0.5}
    assert {row["prompt"] for row in rows if row["source"] == "real"} == {None}


def test_a_fresh_export_has_no_faults(out):
    assert verify_dataset(out) == []


def test_sha256sum_agrees(out):
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_real_files_keep_their_bytes(real, out):
    files = {path.read_bytes() for path in out.rglob("*.*")}
    assert all(real.absolute_path(row).read_bytes() in files for row in range(len(real)))


def test_the_export_reads_back_with_its_sources(real, out):
    manifest = read_data(out)
    assert manifest.class_names == tuple(sorted(NAMES))
    assert manifest.is_synthetic.sum() == len(NAMES)
    assert len(manifest.split("test")) == len(NAMES)


def test_synthetic_files_carry_the_mark_and_their_pixels(real, out):
    path = next((out / "train" / "null").glob("made-*.png"))
    with Image.open(path) as image:
        assert "compositeWithTrainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]
        row = int(path.stem.split("-")[1])
        assert (np.asarray(image) == made(real)[0].frame["image"][row]).all()
    assert not any(is_marked(path.read_bytes()) for path in (out / "test").rglob("*.png"))


def test_the_card_names_files_and_columns(out):
    card = (out / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["license"] == "cc0-1.0"
    assert head["configs"][0]["data_files"][0] == {"split": "train", "path": "train/**"}
    assert "| naïve ☃ | 2 | 1 | 1 |" in card
    assert "- model: tiny \\| one" in card


def test_the_same_export_has_the_same_digests(real, out, tmp_path):
    synthetic, facts = made(real)
    about = {"name": "Odd names", "license": "cc0-1.0", "model": "tiny | one"}
    export_dataset(real, synthetic, tmp_path / "again", provenance=facts, card=about)
    assert (tmp_path / "again/SHA256SUMS").read_bytes() == (out / "SHA256SUMS").read_bytes()


def test_croissant_is_valid_and_its_records_are_the_files(out, caplog):
    mlc = pytest.importorskip("mlcroissant")
    images = ImageFolder(str(out / "train"))
    by_pixels = {np.asarray(image).tobytes(): images.classes[label] for image, label in images}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rdflib and pandas, inside mlcroissant
        data = mlc.Dataset(jsonld=str(out / "croissant.json"))
        rows = list(data.records(record_set="train"))
        num_test = sum(1 for _ in data.records(record_set="test"))
    assert not data.metadata.ctx.issues.errors
    assert "not standard" not in caplog.text
    assert data.metadata.license == ["cc0-1.0"]
    assert (len(rows), num_test) == (3 * len(NAMES) + 1, len(NAMES))
    labels = [row["train/label"].decode() for row in rows]
    assert labels == [by_pixels[np.asarray(row["train/image"].convert("RGB")).tobytes()] for row in rows]
    assert sum(row["train/is_synthetic"] for row in rows) == len(NAMES)
    assert {row["train/prompt"] for row in rows if row["train/is_synthetic"]} == {b"a photo"}


def test_verify_finds_a_changed_croissant_file(out):
    (out / "croissant.json").write_text("{}")
    assert "croissant.json changed: its digest is not the one in SHA256SUMS." in verify_dataset(out)


# ---------------------------------------------------------------- problems that verify finds


def test_changed_missing_and_extra_files_are_named(out):
    first, second = sorted((out / "test").rglob("*.png"))[:2]
    first.write_bytes(second.read_bytes())
    second.unlink()
    (out / "train/null/extra.png").write_bytes(first.read_bytes())
    problems = "\n".join(verify_dataset(out))
    assert f"{first.relative_to(out)} changed: its digest is not the one in SHA256SUMS" in problems
    assert f"{second.relative_to(out)} is missing." in problems
    assert "train/null/extra.png is not part of the export." in problems
    assert "torchvision finds" in problems


def test_a_wrong_label_in_the_metadata_is_found(out):
    table = pq.read_table(out / "train/metadata.parquet")
    rows = table.to_pylist()
    rows[0]["label"] = rows[-1]["label"]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), out / "train/metadata.parquet")
    problems = "\n".join(verify_dataset(out))
    assert "train/metadata.parquet changed" in problems
    assert "datasets fails to load 1 image of train correctly" in problems
    assert "datasets loads 1 image of train under a wrong name or class" in problems


def test_lost_columns_are_found_by_loading(out):
    (out / "README.md").write_text("no head")
    assert any(problem.startswith("datasets ") for problem in verify_dataset(out))


@pytest.mark.parametrize("line", ["nonsense", f"{'0' * 64}  ../secret", f"{'0' * 64}  /etc/passwd"])
def test_damaged_digests(tmp_path, line):
    (tmp_path / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(DataError, match=r"line 1 is not a digest and a path inside the folder"):
        verify_dataset(tmp_path)


def test_a_folder_that_is_not_an_export_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"was not written by 'synaug export'"):
        verify_dataset(tmp_path)


def test_a_lock_file_left_by_a_kill_is_harmless_and_the_same_call_removes_it(real, out):
    (out / ".export.lock").write_text("4711")
    assert verify_dataset(out) == []
    export_again(real, out)
    assert not (out / ".export.lock").exists()
    (out / ".export.lock").write_text("my notes")
    assert verify_dataset(out) == [".export.lock is not part of the export."]


def export_again(real, out):
    synthetic, facts = made(real)
    export_dataset(real, synthetic, out, provenance=facts, card={"name": "Odd names"})


def test_the_same_call_does_not_take_a_damaged_export_for_a_finished_one(real, out):
    damaged = next((out / "train/007").glob("*.png"))
    damaged.write_bytes(b"no image")
    with pytest.raises(ChangedFileError, match=f"1 of its files changed.*{damaged.name}"):
        export_again(real, out)
    damaged.unlink()
    with pytest.raises(ChangedFileError, match=f"1 of its files changed.*{damaged.name}"):
        export_again(real, out)


# ---------------------------------------------------------------- an export that is read back as data


def swap(out):
    first, second = (next((out / "train" / name).glob("*.png")) for name in ("007", "eval"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return "2 files changed"


def remove(out):
    next((out / "test/007").glob("*.png")).unlink()
    return "1 file disappeared"


def move(out):
    path = next((out / "train/007").glob("*.png"))
    path.rename(out / "train/eval" / path.name)
    return "1 file disappeared"


def change_table(out):
    path = out / "train/metadata.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    return "1 file changed"


@pytest.mark.parametrize("change", [swap, remove, move, change_table])
def test_an_export_that_changed_is_not_read_as_data(out, change):
    said = change(out)
    with pytest.raises(ChangedFileError, match=f"{said} .*accept_changed"):
        read_data(out)
    assert len(read_data(out, DataOptions(accept_changed=True))) >= 3 * len(NAMES)


def test_images_that_were_added_to_an_export_are_used_and_named(out):
    Image.new("RGB", (4, 4), (9, 9, 9)).save(out / "train/007/mine.png")
    manifest = read_data(out)
    assert any("1 image was added to the export since: train/007/mine.png" in note for note in manifest.notes)
    assert "train/007/mine.png" in set(manifest.frame["id"])


def test_a_split_of_an_export_is_compared_too(out):
    assert len(read_data(out / "train")) == len(read_data(out).split("train"))
    swap(out)
    with pytest.raises(ChangedFileError, match="2 files changed"):
        read_data(out / "train")


def test_digests_that_somebody_else_wrote_are_not_compared(tmp_path, save_image):
    for name in ("a", "b"):
        save_image(tmp_path / name / "0.png")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  a/0.png\n")
    assert len(read_data(tmp_path)) == 2


def test_a_manifest_with_other_digests_can_be_accepted(real, tmp_path):
    write_manifest(real, tmp_path / "real/x.parquet")
    path = tmp_path / "real/train/007/0.png"
    Image.new("RGB", (4, 4), (9, 9, 9)).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert sha256 not in set(read_data(tmp_path / "real/x.parquet").frame["sha256"])
    assert sha256 in set(read_data(tmp_path / "real/x.parquet", DataOptions(accept_changed=True)).frame["sha256"])


# ---------------------------------------------------------------- rejected input and faults


def test_a_folder_with_content_is_refused(real, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(OptionError, match=r"full exists and is not empty; it contains 'mine.txt'"):
        export_dataset(real, None, tmp_path / "full")


def test_a_class_that_cannot_be_a_folder_is_refused(tmp_path):
    manifest = from_arrays(np.zeros((2, 2, 2), np.uint8), [0, 1], class_names=["t-shirt/top", "x"])
    with pytest.raises(DataError, match=r"'t-shirt/top' has a path separator"):
        export_dataset(manifest, None, tmp_path / "out")


def test_a_class_without_training_images_is_refused(tmp_path):
    manifest = from_arrays(np.zeros((2, 2, 2), np.uint8), [0, 0], class_names=["x", "y"])
    with pytest.raises(DataError, match=r"The class 'y' has no training images"):
        export_dataset(manifest, None, tmp_path / "out")


def test_synthetic_test_images_are_refused(real, tmp_path):
    synthetic, _ = made(real)
    synthetic.frame["split"] = "test"
    with pytest.raises(DataError, match=r"only real images may be used for testing"):
        export_dataset(real, synthetic, tmp_path / "out")


def test_shared_ids_are_refused(real, tmp_path):
    with pytest.raises(DataError, match=r"images share an id with another, the first"):
        export_dataset(joined(real, real), None, tmp_path / "out")


def test_an_image_that_changed_is_named(real, tmp_path):
    Image.new("RGB", (4, 4), "red").save(real.absolute_path(0))
    with pytest.raises(DataError, match=r"1 of 34 images are not those that were recorded: .*0\.png"):
        export_dataset(real, None, tmp_path / "out")


def test_a_full_disk_leaves_nothing_and_the_next_call_resumes(real, tmp_path, monkeypatch):
    replace, calls = os.replace, []

    def full_after_ten(*paths, **folders):
        calls.append(paths)
        if len(calls) == 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(*paths, **folders)

    monkeypatch.setattr(os, "replace", full_after_ten)
    with pytest.raises(EnvironmentFault, match=r"No space left on device. Free some space"):
        export_dataset(real, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    export_dataset(real, None, tmp_path / "out")
    assert verify_dataset(tmp_path / "out") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "real"]


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "replace"])
def test_whichever_file_operation_fails_the_next_call_ends_alike(tmp_path, monkeypatch, operation):
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    manifest = from_arrays(pixels, [0, 1], class_names=["x", "y"])
    export_dataset(manifest, None, tmp_path / "whole")
    expected = (tmp_path / "whole/SHA256SUMS").read_bytes()
    original, failed = getattr(os, operation), 0
    for at in range(1, 20):
        calls = itertools.count(1)

        def fail(*arguments, calls=calls, at=at, **options):
            if next(calls) == at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return original(*arguments, **options)

        out = tmp_path / f"out{at}"
        with monkeypatch.context() as patch:
            patch.setattr(os, operation, fail)
            with contextlib.suppress(EnvironmentFault):
                export_dataset(manifest, None, out)
        if not out.exists():
            failed += 1
            export_dataset(manifest, None, out)
        assert (out / "SHA256SUMS").read_bytes() == expected
        assert sorted(path.name for path in tmp_path.glob(f".out{at}.*")) == []
    assert failed >= 5


def test_gif_becomes_png_and_odd_suffixes_are_corrected(tmp_path):
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    manifest = from_arrays([pixels, pixels + 100], [0, 1], class_names=["x", "y"])
    manifest.frame["image"] = [encode(Image.fromarray(pixels), Encoding(format=kind)) for kind in ("GIF", "JPEG")]
    export_dataset(manifest, None, tmp_path / "out")
    assert sorted(path.suffix for path in (tmp_path / "out/train").rglob("image-*")) == [".jpg", ".png"]


def test_attributes_are_exported_by_name(tmp_path):
    manifest = from_arrays(
        np.zeros((2, 2, 2), np.uint8), [0, 1], class_names=["x", "y"], attributes=[1, -1], attribute_names=["a", "b"]
    )
    export_dataset(manifest, None, tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out/train/metadata.parquet")["attribute"][0] == "b"
    assert verify_dataset(tmp_path / "out") == []


def test_the_card_warns_of_a_class_without_test_images():
    counts = {"train, real": np.array([2, 1]), "test, real": np.array([1, 0])}
    card = make_card(counts=counts, class_names=["x", "y"], columns={}, about={})
    assert "The test split has no images of y" in card


def test_column_kinds():
    frame = pd.DataFrame({"a": [1], "b": [0.5], "c": [True], "d": ["x"], "e": [[1]]})
    assert list(column_kinds(frame).values()) == ["int", "float", "bool", "text", "text"]


def test_plain_ids_are_file_names_and_others_get_their_own():
    stems = [file_index.stem(name) for name in ("made-1", "cat/1.png", "dog/1.png", "☃.png", "a" * 200)]
    assert stems[0] == "made-1"
    assert len(set(stems)) == 5
    assert max(map(len, stems)) < 101


def test_a_name_cannot_end_the_head_of_a_card():
    card = make_card(
        counts={"train": np.array([2])},
        class_names=["a"],
        columns={},
        about={"name": "x\n---\n# <img src=y>\x1b[31m"},
    )
    head, rest = card.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(head)["pretty_name"] == "x --- # <img src=y>\\x1b[31m"
    assert "<img" not in rest
