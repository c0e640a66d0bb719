"""JSON files of a run directory that end with a digest of their name and content, so that damage is detected.

The seal detects accidental changes by a disk, an editor or another program. It is not a signature: anyone can write a
valid seal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from synaug.errors import DataError
from synaug.runtime import storage
from synaug.runtime.storage import JsonObject

SEAL = "seal"


def seal_of(content: Mapping[str, object], name: str = "") -> str:
    """Return the digest of a JSON object and the name of its file, ignoring its seal and the order of its keys.

    Thanks to the name, two files that changed places count as changed. Earlier versions sealed without it.
    """
    rest = storage.without_nan({key: value for key, value in content.items() if key != SEAL})
    return storage.digest(f"{name}{json.dumps(rest, sort_keys=True, allow_nan=False)}".encode())


def write_sealed(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON object with its seal, atomically."""
    plain = storage.without_nan({key: value for key, value in content.items() if key != SEAL})
    storage.write_json(path, plain | {SEAL: seal_of(plain, path.name)})


def read_sealed(path: Path, *, way_out: str) -> JsonObject:
    """Return a JSON object without its seal; an object without a seal, as written by older versions, is accepted.

    Raises:
        DataError: the file is missing, not a JSON object, or changed; the message ends with ``way_out``.
    """
    try:
        content = storage.read_json(path)
    except DataError as error:
        raise DataError(f"{error} {way_out}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: it holds {type(content).__name__}, not an object. {way_out}")
    seal = content.pop(SEAL, None)
    if seal is not None and seal not in (seal_of(content, path.name), seal_of(content)):
        raise DataError(f"{path} changed since synaug wrote it. {way_out}")
    return content


def required(content: Mapping[str, object], path: Path, *, way_out: str, **kinds: type | tuple[type, ...]) -> None:
    """Check that an object has these keys, with values of these types.

    Raises:
        DataError: a key is missing or its value has another type.
    """
    for key, kind in kinds.items():
        value = content.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            state = "is missing" if key not in content else f"is {type(value).__name__}"
            raise DataError(f"{path} is damaged: {key!r} {state}. {way_out}")
