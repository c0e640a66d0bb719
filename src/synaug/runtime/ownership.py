"""Recognize synaug's own folders by a marker file, which is written before anything else.

An output folder must be absent, empty or synaug's own. The marker also keeps a run directory or an export from being
read as images when it lies inside the folder of a data set.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from synaug.errors import DataError, OptionError
from synaug.runtime import storage
from synaug.runtime.files import directories, is_token_name
from synaug.runtime.storage import JsonObject

MARKER = ".synaug"
KINDS = {
    "run": "run directory",
    "bench": "bench directory",
    "export": "exported data set",
    "classifier": "exported classifier",
}
_BEFORE_MARKERS = {  # a file written by earlier versions, and keys it contains
    "run": ("synaug.lock.json", {"recipe", "data_digest"}),
    "bench": ("bench.json", {"results", "table"}),
}
_COPIED_RESULTS = ("results.jsonl", {"experiment", "method", "seed"})  # copied from another bench, to resume
_LARGEST_MARKER = 10_000
_SHOWN = 5


def kind_of(folder: Path) -> str | None:
    """Return the kind of a folder, a key of ``KINDS``, or None if it is not synaug's."""
    content = _json_of(folder / MARKER, limit=_LARGEST_MARKER)
    if content.get("synaug") in KINDS:
        return str(content["synaug"])
    for kind, (name, keys) in _BEFORE_MARKERS.items():
        if keys <= _json_of(folder / name).keys():
            return kind
    return None


def _json_of(path: Path, *, limit: int | None = None) -> JsonObject:
    """Return the JSON object in a file, or an empty one if it cannot be read as such."""
    with contextlib.suppress(OSError, ValueError, RecursionError):  # a DataError is a ValueError
        if os.path.islink(path):
            return {}
        content = json.loads(directories.read_bytes(path, limit=limit))
        return content if isinstance(content, dict) else {}
    return {}


def check_free(out: Path, kind: str) -> None:
    """Check, without changing anything, that a folder may be written to: it is absent, empty or of that kind.

    From then on no link below it is followed.

    Raises:
        OptionError: it may not be written to; the message lists its content.
    """
    directories.own(out)
    try:
        found = sorted(name for name in os.listdir(out) if not _is_left_over(name))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise OptionError(f"{out} is a file. Choose another folder with --out.") from None
    if not found:
        return
    other = kind_of(out)
    if other == kind or (other is None and kind == "bench" and _has_copied_results(out)):
        return
    if other is not None:
        raise OptionError(f"{out} holds an {KINDS[other]}, not a {KINDS[kind]}. Choose another folder with --out.")
    raise OptionError(
        f"{out} is not empty and is not a {KINDS[kind]} of synaug; it contains {listed(found)}. Nothing was changed. "
        "Choose another folder with --out, or an empty one."
    )


def listed(names: list[str]) -> str:
    """Return the first few names of a folder's entries, for a message.

    >>> listed(["a", "b"])
    "'a', 'b'"
    """
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _is_left_over(name: str) -> bool:
    """Return whether an interrupted start may have left this name in an otherwise empty folder."""
    return is_token_name(name) or name == ".run.lock"


def _has_copied_results(out: Path) -> bool:
    name, keys = _COPIED_RESULTS
    with contextlib.suppress(DataError, OSError):
        return any(keys <= record.keys() for record in islice(storage.read_records(out / name), 1))
    return False


def claim(out: Path, kind: str) -> Path:
    """Take ownership of a folder: create it if it is missing, and write the marker. Returns the folder.

    Raises:
        OptionError: it contains files that are not synaug's; see ``check_free``.
    """
    check_free(out, kind)
    storage.make_folder(out)
    if kind_of(out) is None:
        storage.write_text(out / MARKER, json.dumps({"synaug": kind, "version": 1}) + "\n")
    return out


def foreign_entries(folder: Path, known: Collection[str]) -> list[str]:
    """Return the entries of a synaug folder that synaug did not write, sorted.

    Args:
        folder: the folder.
        known: the names synaug uses there.
    """
    with directories.opened(folder) as handle:
        names = os.listdir(handle)
    return sorted(
        name
        for name in names
        if name not in known and name != MARKER and not is_token_name(name) and not _is_lock_name(name)
    )


def _is_lock_name(name: str) -> bool:
    return name.startswith(".") and name.endswith(".lock")
