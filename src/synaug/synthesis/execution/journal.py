"""Record the attempts at each slot, in one append-only file per worker: any number of workers may run, and any may die.

A worker appends a ``run`` record (the plan's digest, the generator's description) each time it starts, then one record
per attempt: ``id, cell, index, attempt, seed, prompt, modifier, verdict, reason, scores, path, sha256, seconds`` and,
for image-to-image, ``guide``. If a gate or manual review changes a verdict later, ``revised.jsonl`` gets a line with
``id, attempt`` and the fields that differ; the last line of an attempt counts.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypedDict, cast

import numpy as np

from synaug.errors import DataError, OptionError
from synaug.runtime import JsonObject, storage
from synaug.runtime.records import Unchanged
from synaug.synthesis.execution.journal_records import Attempt, JournalRecord, Revision, checked_records, revision_fault
from synaug.synthesis.planning import Plan, Slot

FOLDER = "journal"
REVIEW = "review"  # reason of images rejected in manual review
_ACCEPTED = -1
_BEFORE = "withdrawn.jsonl"  # revised verdicts (only rejections) before manual review existed


def journal_path(folder: Path, shard: tuple[int, int]) -> Path:
    """Return the journal of one worker."""
    return folder / FOLDER / f"worker-{shard[0]}-of-{shard[1]}.jsonl"


def revised_path(folder: Path) -> Path:
    """Return the file of verdicts changed later."""
    return folder / FOLDER / "revised.jsonl"


def read_journals(plan: Plan, folder: Path) -> Iterator[JournalRecord]:
    """Yield the records of all workers; each attempt is preceded by the ``run`` record it belongs to.

    Raises:
        OptionError: the images in the folder belong to another plan.
        DataError: a line is damaged, or images were made with two different sets of weights.
    """
    revised = {(line["id"], line["attempt"]): line for line in _revisions(folder)}
    cells = {cell.name: cell for cell in plan.cells}
    weights: str | None = None
    for path in sorted((folder / FOLDER).glob("worker-*.jsonl")):
        for record in checked_records(_of_plan(_lines(path), plan, folder), path, cells):
            if record["kind"] == "run":
                weights = _same_weights(record["about"].get("weights"), weights, folder)
                yield record
                continue
            found = revised.get((record["id"], record["attempt"]))
            now: Attempt = record if found is None else {**record, **found}
            if now["verdict"] == "accepted" and now.get("sha256") is None:
                raise DataError(f"{path}: the accepted image {now['id']} has no sha256. The journal was damaged.")
            yield now


def _revisions(folder: Path) -> Iterator[Revision]:
    """Yield the lines that change earlier records, oldest first."""
    lines: list[JsonObject] = [
        {"verdict": "rejected", "path": None, **line} for line in _lines(folder / FOLDER / _BEFORE)
    ]
    lines += _lines(revised_path(folder))
    for line in lines:
        if fault := revision_fault(line):
            raise DataError(f"{revised_path(folder)}: {fault}. The journal was damaged or changed.")
        yield cast("Revision", line)


def _lines(path: Path) -> Iterator[JsonObject]:
    for number, record in enumerate(storage.read_records(path), 1):
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number} holds {type(record).__name__}, not an object. It was damaged.")
        yield record


def _same_weights(now: object, before: str | None, folder: Path) -> str | None:
    """Return the digest of the weights that made the images; custom generators have none.

    Raises:
        DataError: the images in the folder were made with two different sets of weights.
    """
    now = str(now) if now is not None else None
    if now is not None and before is not None and now != before:
        raise DataError(
            f"The images of {folder} were made with two different weights of one model ({before[:12]} and {now[:12]}). "
            "Remove its 'synthetic', 'rejected' and 'journal' folders, and generate with one of them."
        )
    return now or before


def _of_plan(records: Iterator[JsonObject], plan: Plan, folder: Path) -> Iterator[JsonObject]:
    for record in records:
        if record.get("kind") == "run" and record.get("plan") != plan.digest:
            raise OptionError(
                f"{folder} holds images of another plan ({str(record.get('plan'))[:12]}, this one is "
                f"{plan.digest[:12]}). Choose another folder, or remove its 'synthetic', 'rejected' and 'journal' "
                "folders first."
            )
        yield record


@dataclass
class State:
    """The progress of each slot in two bytes: the number of rejected attempts, or that one was accepted.

    Rejections in manual review do not use up a slot's attempts: ``reviewed`` counts them by slot id.
    """

    tried: dict[str, np.ndarray]
    rejected: dict[str, int] = field(default_factory=dict)
    reviewed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def attempt(self, slot: Slot) -> int | None:
        """Return the number of the next attempt, or None if one was accepted."""
        tried = int(self.tried[slot.cell.name][slot.index])
        return None if tried == _ACCEPTED else tried

    def is_settled(self, slot: Slot, max_attempts: int) -> bool:
        """Return whether nothing is left to do for the slot."""
        attempt = self.attempt(slot)
        return attempt is None or attempt >= max_attempts + self.reviewed.get(slot.id, 0)

    def add(self, record: Attempt) -> None:
        """Add an attempt; one that belongs to no slot of the plan only affects the counts."""
        self.seconds += record["seconds"]
        is_accepted = record["verdict"] == "accepted"
        if not is_accepted:
            reason = str(record["reason"])
            self.rejected[reason] = self.rejected.get(reason, 0) + 1
            if reason == REVIEW:
                self.reviewed[record["id"]] = self.reviewed.get(record["id"], 0) + 1
        tried = self.tried[record["cell"]]
        if record["index"] >= len(tried) or tried[record["index"]] == _ACCEPTED:
            return
        tried[record["index"]] = _ACCEPTED if is_accepted else max(tried[record["index"]], record["attempt"] + 1)

    @property
    def accepted(self) -> int:
        return int(sum((tried == _ACCEPTED).sum() for tried in self.tried.values()))


class ReviewCounts(TypedDict):
    """The numbers of images accepted and rejected in manual review, and how often each reason was overruled."""

    accepted: int
    rejected: int
    overruled: dict[str, int]


@dataclass
class Tally:
    """Totals of a run's journals: its state, and the numbers and rejected images shown in reports.

    ``model``: description of the latest generator. ``accepted`` and ``rejected``: counts by cell, the latter also by
    reason. ``kept``: path and reason of the kept rejected images, by class. ``review``: images accepted and rejected in
    manual review, and the reasons overruled.
    """

    state: State
    accepted: Counter[str]
    model: dict[str, object] = field(default_factory=dict)
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    kept: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    review: ReviewCounts = field(default_factory=lambda: ReviewCounts(accepted=0, rejected=0, overruled={}))

    def add(self, record: Attempt, label: int) -> None:
        """Count an attempt in a class."""
        is_accepted = record["verdict"] == "accepted"
        if is_accepted:
            self.accepted[record["cell"]] += 1
        else:
            reason = str(record["reason"])
            self.rejected.setdefault(record["cell"], Counter())[reason] += 1
            if record["path"]:
                self.kept.setdefault(label, []).append((record["path"], reason))
        if record.get("reviewed"):
            self.review[record["verdict"]] += 1
            if is_accepted and (overruled := record.get("overruled")):
                self.review["overruled"][overruled] = self.review["overruled"].get(overruled, 0) + 1


_tallies: Unchanged[Tally] = Unchanged()


def images_key(plan: Plan, folder: Path) -> Hashable:
    """Return everything besides their content that the meaning of the journals depends on: folder, plan and slots."""
    return folder, plan.digest, tuple(cell.num_to_generate for cell in plan.cells)


def journal_files(folder: Path) -> list[Path]:
    """Return the files read by ``read_journals``."""
    return [*sorted((folder / FOLDER).glob("worker-*.jsonl")), folder / FOLDER / _BEFORE, revised_path(folder)]


def read_tally(plan: Plan, folder: Path) -> Tally:
    """Return the totals of the journals, reread only if one of them changed. Callers must not modify them."""
    return _tallies.get(images_key(plan, folder), journal_files(folder), partial(_read_tally, plan, folder))


def _read_tally(plan: Plan, folder: Path) -> Tally:
    tally = Tally(
        State({cell.name: np.zeros(cell.num_to_generate, np.int16) for cell in plan.cells}),
        Counter({cell.name: 0 for cell in plan.cells}),
    )
    labels = {cell.name: cell.label for cell in plan.cells}
    for record in read_journals(plan, folder):
        if record["kind"] == "run":
            tally.model = record["about"]
        else:
            tally.state.add(record)
            tally.add(record, labels[record["cell"]])
    return tally


def read_state(plan: Plan, folder: Path) -> State:
    """Return the progress of all workers so far, as a copy that the caller may update."""
    return copy.deepcopy(read_tally(plan, folder).state)
