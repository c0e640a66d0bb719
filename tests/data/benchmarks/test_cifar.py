"""Test long-tailed CIFAR on archives made here in the official format."""

import hashlib
import pickle
import tarfile

import numpy as np
import pytest

from synaug.config import DataOptions
from synaug.data.benchmarks.cifar import CIFAR10, CIFAR100
from synaug.data.manifest import read_image
from synaug.data.readers import read_data
from synaug.errors import DataError

SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 and newer

TRIAL = DataOptions(benchmark="cifar100_lt", partial=True, imbalance_factor=10)


def counts(manifest, split="train"):
    part = manifest.split(split)
    return dict(zip(part.class_names, np.bincount(part.labels, minlength=part.num_classes).tolist(), strict=True))


def test_the_archive_is_read_with_a_long_tail(cifar_archive):
    manifest = read_data(cifar_archive(CIFAR100), TRIAL)
    assert counts(manifest) == {"apple": 20, "bee": 9, "cup": 4, "train": 2}
    assert counts(manifest, "test") == {"apple": 3, "bee": 3, "cup": 3, "train": 3}
    assert read_image(manifest, 0).size == (32, 32)


def test_pixels_and_labels_are_those_of_the_archive(cifar_archive):
    path = cifar_archive(CIFAR100)
    manifest = read_data(path.parent, TRIAL)
    with tarfile.open(path) as tar:
        content = pickle.load(tar.extractfile("cifar-100-python/train"))
    row = int(manifest.frame["id"][7].removeprefix("train-"))
    assert manifest.labels[7] == content["fine_labels"][row]
    assert (np.asarray(read_image(manifest, 7)) == content["data"][row].reshape(3, 32, 32).transpose(1, 2, 0)).all()


def test_a_larger_imbalance_factor_draws_from_a_smaller_ones_images_and_everybody_the_same(cifar_archive):
    path = cifar_archive(CIFAR100)
    ids = [
        set(read_data(path, TRIAL.model_copy(update={"imbalance_factor": factor})).frame["id"])
        for factor in (20, 10, 2, 10)
    ]
    assert ids[0] < ids[1] < ids[2]
    assert ids[1] == ids[3]


def test_the_images_are_those_that_ldam_drw_draws(cifar_archive):
    """Cao et al. 2019: ``np.random.seed(0)``, each class shuffled in turn, the first n taken."""
    path = cifar_archive(CIFAR100)
    with tarfile.open(path) as tar:
        labels = np.array(pickle.load(tar.extractfile("cifar-100-python/train"))["fine_labels"])
    state = np.random.get_state()
    np.random.seed(0)
    drawn = []
    for label, number in enumerate((20, 9, 4, 2)):
        idx = np.where(labels == label)[0]
        np.random.shuffle(idx)
        drawn += idx[:number].tolist()
    np.random.set_state(state)
    got = read_data(path, TRIAL).split("train").frame["id"]
    assert set(got) == {f"train-{row:05d}" for row in drawn}


def test_the_five_batches_of_cifar10_and_its_unpacked_folder(cifar_archive, tmp_path, monkeypatch):
    path = cifar_archive(CIFAR10)
    options = TRIAL.model_copy(update={"benchmark": "cifar10_lt"})
    packed = read_data(path, options)
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "unpacked", **SAFELY)
    with pytest.raises(DataError, match=r"data_batch_1.*MD5"):
        read_data(tmp_path / "unpacked", options)
    for name in (*CIFAR10.train, CIFAR10.test, CIFAR10.meta):
        data = (tmp_path / "unpacked" / CIFAR10.folder / name).read_bytes()
        monkeypatch.setitem(CIFAR10.md5, name, hashlib.md5(data).hexdigest())
    assert packed.frame["sha256"].equals(read_data(tmp_path / "unpacked", options).frame["sha256"])


def test_another_md5_is_refused_before_anything_is_opened(cifar_archive):
    path = cifar_archive(CIFAR100)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"MD5.*[0-9a-f]{32},.*[0-9a-f]{32}\."):
        read_data(path, TRIAL)


def test_pickles_of_python_2_as_the_official_ones_are(cifar_archive):
    """Opcode by opcode: text without an encoding, and NumPy's old names."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x08M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
    )
    pixels = bytes(range(256)) * 96
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in [0, 1, 2, 3] * 2) + b"e"
    old = b"\x80\x02}U\x04data" + array + len(pixels).to_bytes(4, "little") + pixels + b"tbs"
    old += b"U\x0bfine_labels" + labels + b"s."
    manifest = read_data(
        cifar_archive(CIFAR100, replaced={"train": old}), TRIAL.model_copy(update={"imbalance_factor": 1})
    )
    assert counts(manifest) == {"apple": 2, "bee": 2, "cup": 2, "train": 2}
    assert np.asarray(read_image(manifest, 0))[0, :, 0].tolist() == list(range(32))


class Malicious:
    def __reduce__(self):
        return eval, ("print('the pickle ran')",)


@pytest.mark.parametrize("place", ["train", "meta"])
def test_a_pickle_that_names_functions_is_refused_even_with_the_right_md5(cifar_archive, capsys, place):
    path = cifar_archive(CIFAR100, replaced={place: pickle.dumps({"data": Malicious()})})
    with pytest.raises(DataError, match=rf"file {place} was rejected: it names builtins\.eval"):
        read_data(path, TRIAL)
    assert "the pickle ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "contains list, not a dict"),
        ({"data": np.zeros((2, 3)), "fine_labels": [0, 1]}, "no uint8 images of 32 x 32"),
        ({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [7]}, "labels that are not in 0 to 3"),
        (b"nonsense", "was rejected"),
    ],
)
def test_a_damaged_member_is_named(cifar_archive, content, words):
    with pytest.raises(DataError, match=words):
        read_data(cifar_archive(CIFAR100, replaced={"train": content}), TRIAL)


def test_a_member_that_is_a_link_is_refused(cifar_archive, monkeypatch):
    path = cifar_archive(CIFAR100)
    with tarfile.open(path, "w:gz") as tar:
        about = tarfile.TarInfo("cifar-100-python/train")
        about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(about)
    monkeypatch.setitem(CIFAR100.md5, CIFAR100.file, hashlib.md5(path.read_bytes()).hexdigest())
    with pytest.raises(DataError, match="cifar-100-python/train is not a regular file of at most"):
        read_data(path, TRIAL)


def test_missing_files_are_named(cifar_archive, tmp_path):
    with pytest.raises(DataError, match=r"cifar-100-python.tar.gz.*folder.*missing: train, test, meta"):
        read_data(tmp_path, TRIAL)
    whole = TRIAL.model_copy(update={"partial": False})
    with pytest.raises(DataError, match=r"100 classes.*500 training images,.*80.*4 classes: class 'apple'"):
        read_data(cifar_archive(CIFAR100), whole)
