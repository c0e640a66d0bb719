"""Provide shared fixtures: small real images, and the command line in this process."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before any library reads it
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

import functools
import hashlib
import io
import itertools
import pickle
import socket
import sys
import tarfile
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
import torch
import typer.main
from hypothesis import settings
from PIL import Image

from photographs import write_photographs
from synaug import cli, experiment
from synaug.data.manifest import read_image
from synaug.data.readers import read_data
from synaug.recipes import make_recipe, read_recipe
from synaug.runtime import storage
from synaug.runtime.embedded import demo_data, demo_recipe
from synaug.training.networks.packaged_weights import write_packaged_weights

settings.register_profile("synaug", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("synaug")

SLOWEST = (
    *("bench", "docs", "processes", "ray_cluster", "methods", "faults", "cli", "site", "experiment", "user_folders"),
    *("class_scorers", "pretraining", "loudness", "resume"),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the slowest files, so that at the end no process works alone on one of them."""
    place = {f"test_{name}.py": number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


# One thread, so that sums round alike on every machine and test processes can run side by side.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Block every connection to other machines."""
    here = {address.address.split("%")[0] for each in psutil.net_if_addrs().values() for address in each}
    here |= {"localhost", "127.0.0.1", "::1", "0.0.0.0", "", socket.gethostname()}

    def guarded(function, host_of):
        def call(*arguments, **options):
            host = host_of(arguments)
            if isinstance(host, str | bytes) and (host if isinstance(host, str) else host.decode()) not in here:
                raise ConnectionRefusedError(f"A test reached for the network: {host!r}.")
            return function(*arguments, **options)

        return call

    def of_address(arguments):
        own, address = arguments[0], arguments[1]
        return address[0] if own.family in (socket.AF_INET, socket.AF_INET6) else None

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name), of_address))
        patch.setattr(socket, "getaddrinfo", guarded(socket.getaddrinfo, lambda arguments: arguments[0]))
        yield


@pytest.fixture(scope="session")
def fashion():
    """The embedded demo set."""
    return read_data(demo_data(), read_recipe(demo_recipe()).data)


@pytest.fixture(scope="session")
def photos(fashion, tmp_path_factory):
    """A class-per-folder tree of three classes with 24, 12 and 6 images; do not change it."""
    root = tmp_path_factory.mktemp("photos")
    for name, number in (("bag", 24), ("coat", 12), ("ankle boot", 6)):
        rows = np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:number]
        folder = storage.make_folder(root / name)
        for row in rows:
            read_image(fashion, int(row)).save(folder / f"{row}.png")
    return root


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A class-per-folder tree of 168 photographs in six classes with 60 down to 5 images; do not change it."""
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="session")
def imagenet_network(tmp_path_factory):
    """The ``train.network`` of a small network trained on ImageNet, for use with ``train.pretrained``."""
    return write_packaged_weights(tmp_path_factory.mktemp("weights") / "efficientnet_lite0")


@dataclass
class Finished:
    """The outcome of a command: exit code and output."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def commands_built_once():
    """Keep the parser of the command line: building it takes 0.1 seconds, more than many commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def synaug(monkeypatch, capsys):
    """Call the command line in this process: ``synaug("count", folder)``."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["synaug", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Finished(code=ended.value.code or 0, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def save_image():
    """Save a noise image, for handmade trees."""

    def save(path, *, seed=0, size=(8, 8)):
        storage.make_folder(path.parent)
        values = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(values).save(path)
        return path

    return save


SMALL = {
    "plan": {"model": "embedded", "target": 24},
    "generate": {"steps": 2, "batch_size": 16},
    "quality": {"gates": ["broken"]},
    "cross_validate": {"folds": 0},
    "train": {"network": "resnet8", "stage1": {"steps": 3, "batch_size": 16}},
}


@pytest.fixture(scope="session")
def recipe():
    """Options so small that a complete run takes seconds."""
    return make_recipe(SMALL)


@pytest.fixture(scope="session")
def finished(photos, recipe, tmp_path_factory):
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("finished") / "run"
    experiment.run(photos, out, recipe, command="synaug run photos")
    return out


# ---------------------------------------------------------------- small data in the formats of known data sets


def _packed(path, members):
    """Write a .tar.gz of pickled members in CIFAR's official format, and return its MD5."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=4)
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar_archive(tmp_path, monkeypatch):
    """Make an archive of CIFAR-100 or CIFAR-10 with a few noise images, whose MD5 then counts as the official one."""

    def make(known, *, names=("apple", "bee", "cup", "train"), per_class=20, replaced=None):
        rng = np.random.default_rng(0)

        def part(name, per_class):
            labels = rng.permutation(np.repeat(np.arange(len(names)), per_class)).tolist()
            pixels = rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
            return {"batch_label": name, "filenames": [], "data": pixels, known.labels: labels}

        members = {f"{known.folder}/{name}": part(name, per_class // len(known.train)) for name in known.train}
        members[f"{known.folder}/{known.test}"] = part(known.test, 3)
        members[f"{known.folder}/{known.meta}"] = {known.names: list(names)}
        members |= {f"{known.folder}/{name}": content for name, content in (replaced or {}).items()}
        path = tmp_path / known.file
        monkeypatch.setitem(known.md5, known.file, _packed(path, members))
        return path

    return make


@pytest.fixture
def waterbirds(tmp_path, save_image):
    """Make a folder with the metadata.csv of Waterbirds, with given numbers of images per group and split."""

    def make(train=((6, 2), (2, 4)), test=2):
        root, rows = tmp_path / "waterbirds", []
        for split, groups in ((0, train), (2, ((test, test), (test, test)))):
            for y, place, number in ((y, place, groups[y][place]) for y in (0, 1) for place in (0, 1)):
                for _ in range(number):
                    name = f"{y + 1:03d}.Bird/Bird_{len(rows):04d}.jpg"
                    save_image(root / name, seed=len(rows), size=(32, 32))
                    rows.append(f"{len(rows)},{name},{y},{split},{place},/b/beach/1.jpg")
        header = "img_id,img_filename,y,split,place,place_filename"
        (root / "metadata.csv").write_text("\n".join([header, *rows]) + "\n")
        return root

    return make


@pytest.fixture
def utkface(tmp_path, save_image):
    """A folder with file names in UTKFace's format, one of which lacks its race."""
    root, number = tmp_path / "UTKFace", 0
    for gender, race in itertools.product(range(2), range(5)):
        for _ in range(3 if gender else 2):
            number += 1
            name = f"{(10, 25, 45, 65)[number % 4]}_{gender}_{race}_2017010{number:010d}.jpg.chip.jpg"
            save_image(root / name, seed=number, size=(32, 32))
    save_image(root / "61_1_20170109150557335.jpg.chip.jpg", seed=99, size=(32, 32))
    return root


@pytest.fixture
def imagenet100(tmp_path, save_image):
    """An image folder and the list files of ImageNet100-LT; labels do not follow the order of the synsets."""
    root, lines = tmp_path / "imagenet", {"train": [], "val": []}
    for label, (synset, train) in enumerate((("n02869837", 8), ("n01440764", 3))):
        for split, number in (("train", train), ("val", 2)):
            for image in range(number):
                name = f"{split}/{synset}/{synset}_{image}.JPEG"
                save_image(root / name, seed=100 * label + 10 * (split == "val") + image, size=(32, 32))
                lines[split].append(f"{name} {label}")
    (root / "imageNet_100_LT_train.txt").write_text("\n".join(lines["train"]) + "\n")
    (root / "ImageNet_100_test.txt").write_text("\n".join(lines["val"]) + "\n")
    held_out = [
        f"train/{synset}/{synset}_held_out.JPEG {label}" for label, synset in enumerate(("n02869837", "n01440764"))
    ]
    for number, line in enumerate(held_out):
        save_image(root / line.split()[0], seed=300 + number, size=(32, 32))
    (root / "ImageNet_100_val.txt").write_text("\n".join(held_out) + "\n")
    return root
