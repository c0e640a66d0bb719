"""JSON files of a run directory that end with a digest of their own content, so that damage does not pass for data.

The seal detects what a disk, an editor or another program did to the file. It is no signature: a person who writes a
new seal is believed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synaug.errors import DataError
from synaug.runtime import storage

SEAL = "seal"


def seal_of(content: dict[str, Any]) -> str:
    """Return the digest of a JSON object, without its seal and independent of the order of its keys."""
    rest = storage.without_nan({key: value for key, value in content.items() if key != SEAL})
    return storage.digest(json.dumps(rest, sort_keys=True, allow_nan=False).encode())


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object with its seal, atomically."""
    plain = storage.without_nan({key: value for key, value in content.items() if key != SEAL})
    storage.write_json(path, plain | {SEAL: seal_of(plain)})


def read_sealed(path: Path, *, way_out: str) -> dict[str, Any]:
    """Return a JSON object without its seal; an object without one, as older versions wrote it, is accepted.

    Raises:
        DataError: the file is missing, is no JSON object, or its content changed; the message ends with the way out.
    """
    try:
        content = storage.read_json(path)
    except DataError as error:
        raise DataError(f"{error} {way_out}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: it holds {type(content).__name__}, not an object. {way_out}")
    seal = content.pop(SEAL, None)
    if seal is not None and seal != seal_of(content):
        raise DataError(f"{path} changed since synaug wrote it. {way_out}")
    return content


def required(content: dict[str, Any], path: Path, *, way_out: str, **kinds: type | tuple[type, ...]) -> None:
    """Check that an object has these keys with values of these types.

    Raises:
        DataError: one is missing or of another type.
    """
    for key, kind in kinds.items():
        value = content.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            state = "is missing" if key not in content else f"is {type(value).__name__}"
            raise DataError(f"{path} is damaged: {key!r} {state}. {way_out}")
