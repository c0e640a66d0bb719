"""Files of tensors: the same content gives the same bytes, and damage is found."""

import json

import pytest
import torch
from safetensors.torch import save

from synaug.errors import DataError
from synaug.training.tensor_files import pack, read_about, unpack

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3)}
ABOUT = {"mean": [0.1, float("nan")], "names": ["bag", "Été"], "nested": {"b": 1, "a": None}}


def test_equal_content_gives_equal_bytes():
    # safetensors writes the entries of its metadata in random order: two of them differ in every second file
    assert len({pack(TENSORS, ABOUT) for _ in range(40)}) == 1


def test_packed_values_are_unpacked(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(pack(TENSORS, ABOUT))
    tensors, about = unpack(path, way_out="")
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert repr(about) == repr(ABOUT) == repr(read_about(path, way_out=""))


@pytest.mark.parametrize("place", [0.2, 0.5, -1])
def test_a_changed_byte_is_found(tmp_path, place):
    path, data = tmp_path / "x.safetensors", bytearray(pack(TENSORS, ABOUT))
    data[place if place < 0 else int(place * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="Remove it"):
        unpack(path, way_out="Remove it.")


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    import hashlib

    text, path = json.dumps(ABOUT), tmp_path / "x.safetensors"
    whole = hashlib.sha256(text.encode())
    for name in sorted(TENSORS):
        tensor = TENSORS[name]
        whole.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        whole.update(tensor.numpy().tobytes())
    path.write_bytes(save(TENSORS, metadata={"synaug": text, "sha256": whole.hexdigest()}))
    assert repr(unpack(path, way_out="")[1]) == repr(ABOUT)
    path.write_bytes(save(TENSORS, metadata={"synaug": text, "sha256": "0" * 64}))
    with pytest.raises(DataError):
        unpack(path, way_out="")
