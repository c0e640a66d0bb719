"""Shards have the content of the export and are read back alike, and nothing in a tar file is unpacked."""

import io
import json
import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synaug.data.export.shard_writer import write_shards
from synaug.data.export.writer import export_dataset
from synaug.data.manifest import from_arrays, read_image
from synaug.data.readers import read_data
from synaug.errors import DataError, OptionError


def images(number, seed):
    return np.random.default_rng(seed).integers(0, 256, (number, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    names = ["T-shirt top", "bag", "été"]
    splits = ["train"] * 6 + ["test"] * 3
    real = from_arrays(images(9, 0), [0, 0, 0, 2, 2, 1, 0, 2, 1], class_names=names, split=splits)
    out = tmp_path_factory.mktemp("exported") / "set"
    export_dataset(real, None, out)
    return out


@pytest.fixture
def shards(exported, tmp_path):
    write_shards(exported, tmp_path / "shards", per_shard=4)
    return tmp_path / "shards"


def pixels(manifest):
    """Return label, split and pixels of every image, in an order of their own."""
    labels, splits = manifest.labels, manifest.frame["split"]
    rows = range(len(manifest))
    return sorted(
        (manifest.class_names[labels[r]], splits.iat[r], np.asarray(read_image(manifest, r)).tobytes()) for r in rows
    )


def test_reading_back_gives_the_written_values(exported, shards):
    assert sorted(path.name for path in shards.glob("*.tar")) == [
        "test-000000.tar",
        "train-000000.tar",
        "train-000001.tar",
    ]
    before, after = read_data(exported), read_data(shards)
    assert after.class_names == before.class_names
    assert pixels(after) == pixels(before)


def test_one_shard_is_read_alone_and_has_the_names_beside_it(exported, tmp_path):
    write_shards(exported, tmp_path / "shards")
    read = read_data(tmp_path / "shards" / "train-000000.tar", check=False)
    assert (len(read), read.class_names) == (6, ("T-shirt top", "bag", "été"))


def test_the_members_of_an_image_follow_one_another_and_have_its_metadata(exported, shards):
    with tarfile.open(shards / "train-000000.tar", "r:") as tar:
        members = tar.getmembers()
        names = [about.name.split(".") for about in members]
        assert [kind for _, kind in names] == ["png", "cls", "json"] * 4
        assert all(names[i][0] == names[i + 2][0] for i in range(0, 12, 3))
        record = json.load(tar.extractfile(members[2]))
        number = int(tar.extractfile(members[1]).read())
    assert json.loads((shards / "classes.json").read_text())[number] == record["label"]
    assert {about.mtime for about in members} == {0}
    table = pd.read_parquet(exported / "train" / "metadata.parquet")
    assert record["id"] in set(table["id"])


def test_the_same_set_gives_the_same_bytes_and_mixes_the_classes(exported, shards, tmp_path):
    write_shards(exported, tmp_path / "again", per_shard=4)
    for path in shards.iterdir():
        if path.name != ".synaug":
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    order = [json.loads(text)["label"] for text in texts(shards / "train-000000.tar", "json")]
    assert order != sorted(order)


def texts(shard, kind):
    with tarfile.open(shard, "r:") as tar:
        return [tar.extractfile(about).read() for about in tar if about.name.endswith(kind)]


def test_the_command_writes_them(synaug, exported, tmp_path):
    done = synaug("export", exported, "--out", tmp_path / "out", "--shards", 5, "--json")
    assert json.loads(done.out)["shards"] == {"train": 2, "test": 1}
    assert json.loads(synaug("count", tmp_path / "out", "--json").out)["class_counts"] == {
        "T-shirt top": 3,
        "bag": 1,
        "été": 2,
    }
    assert synaug("export", exported, "--out", tmp_path / "out", "--shards", 5).code == 2


def test_only_an_exported_set_becomes_shards(photos, tmp_path):
    with pytest.raises(OptionError, match="synaug export"):
        write_shards(photos, tmp_path / "out")


# ---------------------------------------------------------------- shards of others


def picture(seed=0):
    buffer = io.BytesIO()
    Image.fromarray(images(1, seed)[0]).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path, members, mode="w:"):
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            about = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                about.type, about.linkname = content
                tar.addfile(about)
            else:
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
    return path


def pairs(label_of):
    return [member for i in range(4) for member in ((f"{i}.png", picture(i)), label_of(i))]


@pytest.mark.parametrize(
    "label_of",
    [
        lambda i: (f"{i}.cls", str(i % 2).encode()),
        lambda i: (f"{i}.txt", [b"cat", b"dog"][i % 2]),
        lambda i: (f"{i}.json", json.dumps({"label": i % 2}).encode()),
    ],
)  # fmt: skip
def test_labels_are_read_from_any_of_the_usual_members(tmp_path, label_of):
    read = read_data(write_tar(tmp_path / "train-0.tar", pairs(label_of)))
    assert (len(read), read.num_classes) == (4, 2)


def test_nothing_leaves_the_shard(tmp_path):
    members = [
        *pairs(lambda i: (f"{i}.cls", str(i % 2).encode())), ("../../evil.png", (tarfile.SYMTYPE, "/etc/passwd")),
        ("link.png", (tarfile.LNKTYPE, "0.png")), ("pipe.png", (tarfile.FIFOTYPE, "")),
        ("0.pyd", b"import os"), ("setup.py", b"boom"),
    ]  # fmt: skip
    read = read_data(write_tar(tmp_path / "a.tar", members))
    assert len(read) == 4
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar"]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("a.cls", b"0")], "no image"), ([("a.png", b"x"), ("a.json", b"{")], "cannot be read"), ([], "no images"),
        ([("a.png", b"x"), ("a.cls", b"\xff")], "cannot be read"),
    ],
)  # fmt: skip
def test_a_shard_that_cannot_be_used_is_named(tmp_path, members, words):
    with pytest.raises(DataError, match=words):
        read_data(write_tar(tmp_path / "a.tar", members))


@pytest.mark.parametrize("data", [b"", b"not a tar", picture()])
def test_a_file_that_is_not_a_tar_is_named(tmp_path, data):
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tar"):
        read_data(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("classes", "label"),
    [('["a"]', b"1"), ('["a"]', b"-1"), ('["a"]', "١".encode()), ("{}", b"0"), ("[", b"0"), ("[1]", b"0")],
)
def test_numbers_must_be_those_of_the_class_names(tmp_path, classes, label):
    write_tar(tmp_path / "a.tar", [("x.png", picture()), ("x.cls", label)])
    (tmp_path / "classes.json").write_text(classes)
    with pytest.raises(DataError, match=r"classes\.json"):
        read_data(tmp_path)
