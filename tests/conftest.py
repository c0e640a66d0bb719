"""What many tests start from: small real images, and the command line in this process."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before any library reads it
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

import socket
import sys
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from synaug import cli, experiment, storage
from synaug.config import make_recipe, read_recipe
from synaug.data.images import read_image
from synaug.data.readers import read_data
from synaug.embedded import demo_data, demo_recipe

torch.set_num_threads(2)


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Refuse every connection that would leave this machine."""
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
    """A class-per-folder tree of three classes, 24, 12 and 6 images; do not change it."""
    root = tmp_path_factory.mktemp("photos")
    for name, number in (("bag", 24), ("coat", 12), ("ankle boot", 6)):
        rows = np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:number]
        folder = storage.make_folder(root / name)
        for row in rows:
            read_image(fashion, int(row)).save(folder / f"{row}.png")
    return root


@dataclass
class Finished:
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str


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
    """Save a noise image, for trees made by hand."""

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
    "train": {"network": "resnet8", "stage1": {"steps": 3, "batch_size": 16}},
}


@pytest.fixture(scope="session")
def recipe():
    """Options so small that the whole method takes seconds."""
    return make_recipe(SMALL)


@pytest.fixture(scope="session")
def finished(photos, recipe, tmp_path_factory):
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("finished") / "run"
    experiment.run(photos, out, recipe, command="synaug run photos")
    return out
