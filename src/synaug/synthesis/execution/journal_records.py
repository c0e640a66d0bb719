"""The records of a journal, validated before use: a record may refer only to files of its own run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NotRequired, TypeAlias, TypedDict, cast

from synaug.errors import DataError
from synaug.runtime import JsonObject
from synaug.runtime.files import component_fault
from synaug.synthesis.generators import GuideRecord
from synaug.synthesis.planning import image_seed


class WorkerStart(TypedDict):
    """A worker starts: the digest of its plan and the description of its generator."""

    kind: Literal["run"]
    plan: str
    about: dict[str, object]


class PromptOrigin(TypedDict, total=False):
    """The origin of a prompt: the template or a file, and the author of that file."""

    prompt_source: str
    prompt_file: str
    prompt_model: str
    prompt_revision: str
    prompt_date: str


class Attempt(GuideRecord, PromptOrigin):
    """One attempt at a slot; ``reviewed``, ``note`` and ``overruled`` come from manual review."""

    kind: Literal["attempt"]
    id: str
    cell: str
    index: int
    attempt: int
    seed: int
    prompt: str
    modifier: NotRequired[str | None]
    negative_prompt: NotRequired[str]
    verdict: Literal["accepted", "rejected"]
    reason: str | None
    scores: dict[str, float]
    path: str | None
    sha256: str | None
    seconds: float
    spread: NotRequired[dict[str, str]]
    reviewed: NotRequired[str]
    note: NotRequired[str]
    overruled: NotRequired[str | None]


class Revision(TypedDict):
    """The fields of an attempt that a gate or manual review changed later."""

    id: str
    attempt: int
    verdict: Literal["accepted", "rejected"]
    path: str | None
    reason: NotRequired[str | None]
    scores: NotRequired[dict[str, float]]
    reviewed: NotRequired[str]
    note: NotRequired[str]
    overruled: NotRequired[str | None]


JournalRecord: TypeAlias = WorkerStart | Attempt

_PLAIN = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,198}[A-Za-z0-9_-])?"
_PLAIN_ID = re.compile(_PLAIN)
_PLAIN_PATH = re.compile(rf"(?:synthetic|rejected)/{_PLAIN}/{_PLAIN}")
_KINDS: dict[str, type | tuple[type, ...]] = {  # required by readers, besides id, attempt and path
    "seed": int, "scores": dict, "seconds": (int, float), "prompt": str, "sha256": (str, type(None)),
}  # fmt: skip
_TEXTS = (
    "modifier", "negative_prompt", "guide", "mask_sha256", "prompt_source", "prompt_file", "prompt_model",
    "prompt_revision", "prompt_date", "reviewed", "note", "overruled",
)  # fmt: skip
"""Optional texts of a record."""
_IMAGE_FOLDERS = ("synthetic", "rejected")


def checked_records(records: Iterator[JsonObject], path: Path, cells: Mapping[str, object]) -> Iterator[JournalRecord]:
    """Yield the records of a journal after validating them.

    Args:
        records: the records as read.
        path: path of the journal, for messages.
        cells: cells of the plan, by name.

    Raises:
        DataError: a record has an unknown cell, or its id or path cannot name a file of the run.
    """
    for number, record in enumerate(records, 1):
        fault = _fault(record, cells)
        if fault:
            raise DataError(f"{path}, record {number}: {fault}. The journal was damaged or changed.")
        yield cast("JournalRecord", record)


def _fault(record: JsonObject, cells: Mapping[str, object]) -> str:
    """Return the fault of a record, or an empty string.

    >>> _fault({"kind": "attempt", "id": "../x", "cell": "a", "index": 0, "attempt": 0}, {"a": 1})
    "the id '../x' cannot name a file"
    """
    if record.get("kind") == "run":
        about = record.get("about")
        if not isinstance(record.get("plan"), str) or not isinstance(about, dict):
            return "it has no plan"
        weights = about.get("weights")
        return "" if weights is None or isinstance(weights, str) else f"the digest of the weights is {weights!r}"
    if record.get("kind") != "attempt":
        return f"the kind {record.get('kind')!r} is unknown"
    if not isinstance(record.get("cell"), str) or record["cell"] not in cells:
        return f"the class or group {record.get('cell')!r} is not in the plan"
    index = record.get("index")
    if type(index) is not int or index < 0:
        return f"the index {index!r} is not a whole number"
    if fault := revision_fault(record):
        return fault
    for key, kinds in _KINDS.items():
        if not isinstance(record.get(key), kinds) or isinstance(record.get(key), bool):
            return f"{key!r} is {record.get(key)!r}"
    attempt = cast("Attempt", record)
    if attempt["seed"] != image_seed(attempt["id"], attempt["attempt"]):
        return "id, attempt and seed do not belong together"
    return ""


def revision_fault(record: JsonObject) -> str:
    """Return the fault in a value that both a record and a line that revises one may have."""
    name, attempt, path, reason = (record.get(key) for key in ("id", "attempt", "path", "reason"))
    if not isinstance(name, str) or not (_PLAIN_ID.fullmatch(name) or component_fault(name) is None):
        return f"the id {name!r} cannot name a file"
    if record.get("verdict") not in ("accepted", "rejected"):
        return f"the verdict is {record.get('verdict')!r}"
    if path is None and record["verdict"] == "accepted":
        return "an accepted image has no path"
    if type(attempt) is not int or attempt < 0:
        return f"the attempt {attempt!r} is not a whole number"
    if reason is not None and (not isinstance(reason, str) or component_fault(reason)):
        return f"the reason {reason!r} cannot name a folder"
    if fault := _fault_of_optional(record):
        return fault
    if path is None or (isinstance(path, str) and _PLAIN_PATH.fullmatch(path)):
        return ""
    parts = path.split("/") if isinstance(path, str) else []
    is_inside = len(parts) == 3 and parts[0] in _IMAGE_FOLDERS and not any(map(component_fault, parts))
    return "" if is_inside else f"the path {path!r} is not that of an image of the run"


def _fault_of_optional(record: JsonObject) -> str:
    """Return the fault in the type of a value that a record or revision may have."""
    for key in _TEXTS:
        if not isinstance(record.get(key), str | None):
            return f"{key!r} is {record[key]!r}"
    guides, spread, scores = (record.get(key) for key in ("guides", "spread", "scores"))
    if guides is not None and not (isinstance(guides, list) and all(isinstance(each, str) for each in guides)):
        return f"'guides' is {guides!r}"
    for key, found, kinds in (("spread", spread, str), ("scores", scores, int | float | None)):
        if found is not None and not (isinstance(found, dict) and all(isinstance(v, kinds) for v in found.values())):
            return f"{key!r} is {found!r}"
    return ""
