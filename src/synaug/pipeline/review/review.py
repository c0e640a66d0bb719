"""Prepare the manual review of a run's images, and apply the decisions."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from synaug.data import Manifest, read_image
from synaug.data.images import read_file
from synaug.errors import DataError, OptionError
from synaug.run_directory import Run, RunPaths
from synaug.runtime import Progress, silent, storage
from synaug.runtime.security import shell_word
from synaug.schemas.command_output import Applied, ReviewFiles
from synaug.schemas.report_file import Review
from synaug.synthesis.execution import (
    Attempt,
    Decision,
    apply_decisions,
    attempts,
    decisions_path,
    image_name,
    pending,
    read_decision_table,
    read_decisions,
    read_journals,
    read_tally,
    rejected_files,
    write_decisions,
)
from synaug.synthesis.execution.review_decisions import FOLDER
from synaug.synthesis.planning import safe_names
from synaug.synthesis.planning.slots import slots

REAL_SHOWN, PER_CLASS = 12, 200
T = TypeVar("T")
Records = dict[int, list[Attempt]]
"""Journal records by label."""


def review(run: Run, *, per_class: int = PER_CLASS, progress: Progress = silent) -> ReviewFiles:
    """Write one page per class and a table for manual review; an existing table keeps its decisions.

    Args:
        run: a run with synthetic images.
        per_class: accepted images to show; the kept rejected ones are all shown.
        progress: called with the number of finished classes.

    Returns:
        ``page``, ``decisions``, ``sheets`` (paths), ``shown`` and ``pending`` (numbers).

    Raises:
        DataError: there are no images yet, or the table has an invalid line.
    """
    plan, out = run.plan, run.path
    decisions = saved_decisions(run)
    waiting = pending(plan, out, decisions)
    accepted, rejected = records_by_label(run)
    if not accepted and not rejected:
        raise DataError(
            f"{out} has no synthetic images to review. Generate them first: synaug generate {shell_word(out)}"
        )
    real = run.manifest.split("train")
    folder = storage.make_folder(out / FOLDER)
    names = safe_names(plan.class_names)
    kept = {path.stem: path for paths in rejected_files(out).values() for path in paths}
    rows, index = [], []
    labels = sorted(accepted.keys() | rejected.keys())
    for number, label in enumerate(labels):
        progress("writing contact sheets", number, len(labels), plan.class_names[label])
        used = spread(accepted.get(label, []), per_class)
        unused = [record for record in rejected.get(label, []) if image_name(record) in kept]
        file = f"class-{names[label]}.html"
        page = _sheet(run, real, label, used, unused, kept, (accepted, rejected))
        storage.write_text(folder / file, page)
        index.append((plan.class_names[label], file, len(accepted.get(label, [])), len(rejected.get(label, []))))
        rows += [decision_row(record, plan.class_names[label]) for record in [*used, *unused]]
    progress("writing contact sheets", len(labels), len(labels), "")
    _write_index(run, folder, index)
    write_decisions(decisions_path(out), with_decisions(rows, decisions))
    return {
        "page": str(folder / "index.html"),
        "decisions": str(decisions_path(out)),
        "sheets": [str(folder / file) for _, file, _, _ in index],
        "shown": len(rows),
        "pending": len(waiting),
    }


def apply(run: Run) -> Applied:
    """Apply the decisions in the run's table: rejected images will be replaced, accepted ones count.

    Returns:
        ``rows``: how many were ``read``, are ``decided``, were ``applied`` now, and name an ``unknown`` image
        (without a decision; with one it is an error); ``accepted`` and ``rejected``: new decisions; ``review``: all
        decisions so far; ``to_make``: open slots.

    Raises:
        DataError: a line is invalid or cannot be applied; nothing was changed.
        OptionError: a process is generating images in the run.
    """
    plan, out = run.plan, run.path
    with contextlib.ExitStack() as stack:
        for name in sorted({"worker-0-of-1"} | {path.name[1:-5] for path in out.glob(".worker-*.lock")}):
            stack.enter_context(storage.lock(out, name=name))
        table = read_decision_table(decisions_path(out))
        done = apply_decisions(plan, out, table.decisions)
    new = Counter(decision.decision for _, decision in done)
    state, most = read_tally(plan, out).state, run.recipe.quality.max_attempts
    known = attempts(plan, out, (name.rpartition("-")[0] for name, _ in table.ids))
    return {
        "rows": {
            "read": len(table.ids),
            "decided": sum(bool(each.decision) for each in table.decisions),
            "applied": len(done),
            "unknown": sum(name not in known for name, _ in table.ids),
        },
        "accepted": new["accept"],
        "rejected": new["reject"],
        "review": cast("Review", read_tally(plan, out).review),
        "to_make": sum(not state.is_settled(slot, most) for slot in slots(plan)),
    }


def check_applied(run: Run) -> None:
    """Raise an OptionError if the table contains decisions that have not been applied."""
    waiting = len(pending(run.plan, run.path, saved_decisions(run)))
    if waiting:
        raise OptionError(
            f"{decisions_path(run.path)} holds {waiting:,} decisions that have not been applied. Apply "
            f"them with: synaug review {shell_word(run.path)} --apply"
        )


def check_present(synthetic: Manifest, run: RunPaths) -> None:
    """Raise a DataError if accepted images were deleted from the run directory; the message explains the fix."""
    missing = [row for row in range(len(synthetic)) if not synthetic.absolute_path(row).exists()]
    if missing:
        raise DataError(
            f"{len(missing):,} accepted images of {run.path} are missing, first {synthetic.absolute_path(missing[0])}. "
            f"If you deleted them because they are bad, reject them: synaug check {shell_word(run.path)} --reject. "
            f"Then synaug generate {shell_word(run.path)} makes others."
        )


def saved_decisions(run: RunPaths) -> list[Decision]:
    """Return the decisions in the table of the run; none if there is no table."""
    path = decisions_path(run.path)
    return read_decisions(path) if path.exists() else []


def records_by_label(run: Run) -> tuple[Records, Records]:
    """Return the records of accepted and of rejected images, sorted by name."""
    labels = {cell.name: cell.label for cell in run.plan.cells}
    accepted: Records = {}
    rejected: Records = {}
    for record in read_journals(run.plan, run.path):
        if record["kind"] == "attempt":
            chosen = accepted if record["verdict"] == "accepted" else rejected
            chosen.setdefault(labels[record["cell"]], []).append(record)
    for records in (*accepted.values(), *rejected.values()):
        records.sort(key=image_name)
    return accepted, rejected


def spread(records: Sequence[T], number: int) -> list[T]:
    """Return ``number`` of the records, evenly spread."""
    chosen = np.unique(np.linspace(0, len(records) - 1, min(number, len(records))).astype(int))
    return [records[position] for position in chosen]


def _sheet(
    run: Run,
    real: Manifest,
    label: int,
    used: Sequence[Attempt],
    unused: Sequence[Attempt],
    kept: dict[str, Path],
    records: tuple[Records, Records],
) -> str:
    from synaug.report import Shot, make_sheet

    def shot(record: Attempt, path: Path) -> Shot:
        return Shot(
            name=image_name(record),
            image=read_file(path),
            cell=record["cell"],
            prompt=record["prompt"],
            reason=record["reason"] or "",
            scores=record["scores"],
            decision=record.get("reviewed") or "",
            note=record.get("note") or "",
        )

    examples = spread(np.flatnonzero(real.labels == label).tolist(), REAL_SHOWN)
    return make_sheet(
        run.plan.class_names[label],
        real=[read_image(real, row) for row in examples],
        accepted=[shot(record, run.path / str(record["path"])) for record in used],
        rejected=[shot(record, kept[image_name(record)]) for record in unused],
        num_accepted=len(records[0].get(label, [])),
        num_rejected=len(records[1].get(label, [])),
    )


def decision_row(record: Attempt, class_name: str) -> dict[str, Any]:
    """Return the row of the table for an image."""
    now = "accepted" if record["verdict"] == "accepted" else f"rejected: {record['reason']}"
    return {
        "id": image_name(record),
        "decision": record.get("reviewed"),
        "note": record.get("note"),
        "class": class_name,
        "now": now,
    }


def with_decisions(rows: Sequence[dict[str, Any]], decisions: Sequence[Decision]) -> Iterator[dict[str, Any]]:
    """Yield the rows with their existing decisions, then the existing decisions on images that are not shown."""
    said = {each.id: {"id": each.id, "decision": each.decision, "note": each.note} for each in decisions}
    for row in rows:
        yield row | said.pop(row["id"], {})
    yield from said.values()


def _write_index(run: Run, folder: Path, index: Sequence[tuple[str, str, int, int]]) -> None:
    from synaug.report import make_index

    storage.write_text(folder / "index.html", make_index(run.name, index))
