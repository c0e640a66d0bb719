"""Read and write tensors and their metadata in one safetensors file with a digest: no pickle, no silent damage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from synaug.errors import DataError
from synaug.runtime import JsonObject
from synaug.runtime.files import directories

_KEY = "synaug"  # the only entry of the metadata: safetensors writes several in random order
_DIGEST = "sha256"  # beside the plain values; earlier versions had it as a second entry


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, object]) -> bytes:
    """Return the bytes of a file with these tensors and plain values."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    digest = _digest(plain, json.dumps(about))
    return save(plain, metadata={_KEY: json.dumps({**about, _DIGEST: digest})})


def unpack(path: Path, *, way_out: str) -> tuple[dict[str, Tensor], JsonObject]:
    """Return the tensors and the plain values of a file; files of older versions have no digest to compare.

    Raises:
        DataError: the file cannot be read, or its content changed since it was written.
    """
    try:
        with safe_open(directories.checked(path), framework="pt") as file:
            about, recorded = _values(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError, RuntimeError) as error:
        raise DataError(f"{path} is damaged: {error}. {way_out}") from error
    if recorded not in (None, _digest(tensors, json.dumps(about))):
        raise DataError(f"{path} is damaged: its tensors are not those that were written. {way_out}")
    return tensors, about


def read_about(path: Path, *, way_out: str) -> JsonObject:
    """Return the plain values of a file, without its tensors.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with safe_open(directories.checked(path), framework="pt") as file:
            about, _ = _values(file.metadata())
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError, RuntimeError) as error:
        raise DataError(f"{path} is damaged: {error}. {way_out}") from error
    return about


def _values(metadata: Mapping[str, str] | None) -> tuple[JsonObject, str | None]:
    """Return the plain values in the metadata of a file, and the recorded digest, None if there is none."""
    metadata = metadata or {}
    about = json.loads(metadata[_KEY])
    if not isinstance(about, dict):
        raise ValueError("its header holds no object")
    recorded = about.pop(_DIGEST, metadata.get(_DIGEST))
    return about, None if recorded is None else str(recorded)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    whole = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        whole.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
