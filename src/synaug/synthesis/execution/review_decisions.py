"""Manual review of a run's images: read decisions from the edited table, and record them in the journal.

A decision refers to an attempt, ``<slot id>-<attempt>``, so that it never applies to a later image in the slot of the
one that was reviewed.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from synaug.data.checks import separator_of
from synaug.data.checks.csv_rows import csv_rows
from synaug.data.labels import plain_cell
from synaug.errors import DataError
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.runtime.security import shell_word
from synaug.synthesis.execution.journal import REVIEW, read_journals, revised_path
from synaug.synthesis.execution.journal_records import Attempt, Revision
from synaug.synthesis.execution.worker import REJECTED, SYNTHETIC, rejected_files
from synaug.synthesis.planning import Plan, safe_names

FOLDER, DECISIONS = "review", "decisions.csv"
ACCEPT, REJECT = "accept", "reject"
COLUMNS = ("id", "decision", "note", "class", "now")
_SHOWN_PROBLEMS = 5
_ROW_IN_NOTE = re.compile(r"^\"?(\S+-\d{6}-[0-9a-f]{8}-\d+)\"?[,;\t]", re.MULTILINE)  # see slots.Slot.id


@dataclass(frozen=True)
class Decision:
    """The decision on one image; ``line`` is its line in the table."""

    id: str
    decision: str
    note: str
    line: int


@dataclass(frozen=True)
class DecisionTable:
    """The table of a run: its rows with a decision or a note, and the id and line of every row."""

    decisions: list[Decision] = field(default_factory=list)
    ids: list[tuple[str, int]] = field(default_factory=list)


def decisions_path(folder: Path) -> Path:
    """Return the path of the table that users edit."""
    return folder / FOLDER / DECISIONS


def image_name(record: Attempt) -> str:
    """Return the name of an attempt's image, to which decisions refer."""
    return f"{record['id']}-{record['attempt']}"


def read_decisions(path: Path) -> list[Decision]:
    """Return the rows of a table that have a decision or a note; see ``read_decision_table``."""
    return read_decision_table(path).decisions


def read_decision_table(path: Path) -> DecisionTable:
    """Read a table with the columns id, decision (accept, reject or empty) and note; other columns are ignored.

    Rows with only a note are returned too. Columns may be separated by comma, semicolon or tab, as saved by
    spreadsheets.

    Raises:
        DataError: the table cannot be used; the message lists the lines.
    """
    try:
        text = directories.read_bytes(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is missing. Write it with: synaug review {shell_word(path.parents[1])}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}. Save it as CSV with UTF-8.") from error
    rows = csv_rows(io.StringIO(text), separator=separator_of(text.split("\n", 1)[0]), where=path)
    names = [name.strip().lower() for name in next(rows, (1, []))[1]]
    absent = [name for name in COLUMNS[:2] if name not in names]
    if absent:
        raise DataError(f"{path}, line 1: the column {absent[0]} is missing; columns: {', '.join(names) or 'none'}.")
    repeated = next((name for name in COLUMNS if names.count(name) > 1), None)
    if repeated:
        raise DataError(f"{path}, line 1: the column {repeated} occurs twice. Remove one of them.")
    table = DecisionTable()
    problems: list[tuple[int, str]] = []
    lines: dict[str, Decision] = {}
    for line, row in rows:
        cells = dict(zip(names, (cell.strip() for cell in row), strict=True))
        if not any(cells.values()):
            continue
        decision = Decision(cells["id"], cells["decision"].lower(), cells.get("note", ""), line)
        found = row_fault(decision, lines)
        if found:
            problems.append((line, found))
        elif decision.decision or decision.note:
            lines[decision.id] = decision
            table.decisions.append(decision)
        table.ids.append((decision.id, line))
    _raise_problems(path, problems)
    return table


def row_fault(decision: Decision, earlier: Mapping[str, Decision] = MappingProxyType({})) -> str:
    """Return the fault of a row, by itself or in combination with an earlier one; an empty text if there is none."""
    if not decision.id:
        return "the id is missing."
    if decision.decision not in ("", ACCEPT, REJECT):
        near = difflib.get_close_matches(decision.decision, (ACCEPT, REJECT), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"decision {decision.decision!r} is neither {ACCEPT!r} nor {REJECT!r} nor empty.{hint}"
    if (decision.decision or decision.note) and decision.id in earlier:
        return f"{decision.id} is decided in line {earlier[decision.id].line} already; keep one of the two."
    swallowed = _ROW_IN_NOTE.search(decision.note)
    if swallowed:
        return (
            f"the note spans several lines and contains the row of {swallowed[1]}. A double quote at its beginning "
            "lacks its partner; remove it or add the closing one."
        )
    return ""


def _raise_problems(path: Path, problems: Sequence[tuple[int, str]]) -> None:
    if not problems:
        return
    shown = [f"{path}, line {line}: {text}" for line, text in sorted(problems)[:_SHOWN_PROBLEMS]]
    if len(problems) > len(shown):
        shown.append(f"{len(problems) - len(shown)} more lines have problems.")
    raise DataError("\n".join([*shown, "Nothing was changed."]))


def attempts(plan: Plan, folder: Path, slots: Iterable[str]) -> dict[str, Attempt]:
    """Return the journal records of the slots, by image name."""
    wanted = set(slots)
    records = (record for record in read_journals(plan, folder) if record["kind"] == "attempt")
    return {image_name(record): record for record in records if record["id"] in wanted}


def pending(plan: Plan, folder: Path, decisions: Sequence[Decision]) -> list[tuple[Attempt, Decision]]:
    """Return the decisions not yet in the journal, each with the record of its image.

    Raises:
        DataError: a decision cannot be applied; the message gives its line.
    """
    decisions = [each for each in decisions if each.decision]
    if not decisions:
        return []  # without reading the journals
    known = attempts(plan, folder, (each.id.rpartition("-")[0] for each in decisions))
    problems = [
        (each.line, f"no image {each.id!r} was made in this run.") for each in decisions if each.id not in known
    ]
    _raise_problems(decisions_path(folder), problems)
    todo = [(known[each.id], each) for each in decisions if _is_new(known[each.id], each)]
    _check_places(folder, known, todo)
    return todo


def _is_new(record: Attempt, decision: Decision) -> bool:
    """Return whether a decision differs from the journal; images rejected by a gate need no second rejection."""
    if decision.decision == REJECT and record["verdict"] == "rejected":
        return record.get("reviewed") == REJECT and record.get("note") != decision.note
    return (record.get("reviewed"), record.get("note")) != (decision.decision, decision.note)


def _check_places(folder: Path, known: Mapping[str, Attempt], todo: Sequence[tuple[Attempt, Decision]]) -> None:
    """Raise a DataError if an image to accept is missing, or if its slot has another accepted image."""
    kept = _kept(folder)
    rejected = {image_name(record) for record, each in todo if each.decision == REJECT}
    taken = {r["id"]: name for name, r in known.items() if r["verdict"] == "accepted" and name not in rejected}
    problems = []
    for record, each in todo:
        if each.decision == REJECT or record["verdict"] == "accepted":
            continue
        if record["reason"] == "flagged":
            problems.append(
                (each.line, f"{each.id} cannot be accepted: the safety checker flagged it, and only a mosaic was kept.")
            )
            continue
        other = taken.setdefault(record["id"], each.id)
        if other != each.id:
            problems.append(
                (each.line, f"the place of {each.id} is taken by {other}; reject that one to use this one.")
            )
        elif each.id not in kept:
            problems.append((each.line, f"{each.id} cannot be accepted: its image was not kept."))
        elif storage.file_digest(kept[each.id]) != record["sha256"]:
            problems.append((each.line, f"{each.id} cannot be accepted: {kept[each.id]} changed since it was made."))
    _raise_problems(decisions_path(folder), problems)


def _kept(folder: Path) -> dict[str, Path]:
    """Return the kept rejected images by name."""
    return {path.stem: path for paths in rejected_files(folder).values() for path in paths}


def apply_decisions(plan: Plan, folder: Path, decisions: Sequence[Decision]) -> list[tuple[Attempt, Decision]]:
    """Apply the decisions: rejecting an image reopens its slot, accepting one overrules the gates.

    All decisions are checked before anything changes. If interrupted, repeat the call to finish.

    Returns:
        The new decisions, each with the previous record.

    Raises:
        DataError: a decision cannot be applied; the message gives its line, and nothing was changed.
    """
    todo = pending(plan, folder, decisions)
    for decision in (REJECT, ACCEPT):  # frees a slot before another image takes it
        lines = [_moved(plan, folder, record, each) for record, each in todo if each.decision == decision]
        storage.append_records(revised_path(folder), lines)
    _tidy(plan, folder, decisions)  # last: until the journal refers to the copies, the originals count
    return todo


def _moved(plan: Plan, folder: Path, record: Attempt, decision: Decision) -> Revision:
    """Copy the image to its new place, and return the journal line for it."""
    line: Revision
    if decision.decision == REJECT:
        line = {
            "id": record["id"],
            "attempt": record["attempt"],
            "reviewed": decision.decision,
            "note": decision.note,
            "verdict": "rejected",
            "reason": REVIEW,
            "path": record["path"],
        }
        if record["verdict"] == "rejected":  # only the note is new
            return line | {"reason": record["reason"]}
        source, place = folder / str(record["path"]), storage.make_folder(folder / REJECTED / REVIEW)
        target = place / f"{image_name(record)}{source.suffix}"
    else:
        overruled = record["reason"] if record["reason"] not in (None, REVIEW) else record.get("overruled")
        line = {
            "id": record["id"],
            "attempt": record["attempt"],
            "reviewed": decision.decision,
            "note": decision.note,
            "verdict": "accepted",
            "reason": None,
            "overruled": overruled,
            "path": record["path"],
        }
        if record["verdict"] == "accepted":
            return line
        source, place = _kept(folder)[image_name(record)], storage.make_folder(folder / _class_folder(plan, record))
        target = place / f"{record['id']}{source.suffix}"
    storage.copy_file(source, target)
    storage.sync_folder(place)
    return line | {"path": str(target.relative_to(folder))}


def _class_folder(plan: Plan, record: Attempt) -> Path:
    label = next(cell.label for cell in plan.cells if cell.name == record["cell"])
    return Path(SYNTHETIC) / safe_names(plan.class_names)[label]


def _tidy(plan: Plan, folder: Path, decisions: Sequence[Decision]) -> None:
    """Remove images from their previous places, including those left by an interrupted call."""
    known = attempts(plan, folder, (each.id.rpartition("-")[0] for each in decisions))
    taken = {record["id"] for record in known.values() if record["verdict"] == "accepted"}
    kept = _kept(folder)
    for each in decisions:
        record = known.get(each.id)
        if record is None or not each.decision:
            continue
        if record["verdict"] == "accepted" and each.id in kept:
            storage.remove_file(kept[each.id])
        elif record["verdict"] == "rejected" and record["id"] not in taken and record["path"]:
            suffix = Path(record["path"]).suffix
            storage.remove_file(folder / _class_folder(plan, record) / f"{record['id']}{suffix}")


def write_decisions(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write the table for users to edit; class names that a spreadsheet would run as formulas are quoted."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow([plain_cell(str(row.get(name) or "")) if name == "class" else row.get(name) for name in COLUMNS])
    storage.write_text(path, text.getvalue())
