"""Keep the decisions of one review session: each is saved to the table of the run before it counts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synaug.data import read_image
from synaug.data.images import read_file
from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.pipeline.review.review import REAL_SHOWN, decision_row, records_by_label, spread, with_decisions
from synaug.pipeline.review.review_pictures import encoded_for_browser
from synaug.report import reason_text
from synaug.run_directory import Run
from synaug.runtime import storage
from synaug.runtime.security import shell_word, visible
from synaug.synthesis.execution import (
    ACCEPT,
    REJECT,
    Attempt,
    Decision,
    decisions_path,
    image_name,
    read_decision_table,
    rejected_files,
    row_fault,
    write_decisions,
)
from synaug.synthesis.execution.journal import FOLDER as JOURNALS
from synaug.synthesis.execution.review_decisions import FOLDER

MAX_NOTE = 500
FLAGGED = "flagged"
_DECISIONS = {"accept": ACCEPT, "reject": REJECT, "clear": ""}
Value = tuple[str, str]
"""A decision and its note."""


@dataclass(frozen=True)
class ReviewImage:
    """One image to decide about; ``slot`` is the place in the plan that at most one accepted image fills."""

    name: str
    slot: str
    label: int
    is_accepted: bool
    record: Attempt = field(repr=False)
    path: Path


class ReviewSession:
    """The images of a run and a person's decisions about them.

    The table of the run is the only memory: it is read again after somebody else changed it, and written before
    ``perform`` returns. Safe to call from several threads.
    """

    def __init__(self, run: Run, *, per_class: int | None = None) -> None:
        """Read the images.

        Args:
            run: a run with synthetic images.
            per_class: number of accepted images to show per class; None shows all.

        Raises:
            DataError: there are no images yet, or the table has a line that cannot be used.
        """
        self.out = run.path
        self._per_class = per_class
        self._lock = threading.RLock()
        self._undo: list[dict[str, Value]] = []
        self._values: dict[str, Value] = {}
        self._run = run
        self._real = self._run.manifest.split("train")
        self._read_images()
        self._read_table()
        self._write()

    def catalog(self) -> dict[str, Any]:
        """Return the content of the page, after rereading the run.

        ``items`` has rows of name, class index, whether it is accepted, rejection reason, prompt index, scores in
        the order of ``scores`` and group; ``decisions`` has decision and note by name.
        """
        with self._lock:
            self._refresh()
            prompts = {prompt: place for place, prompt in enumerate(dict.fromkeys(map(_prompt, self._shown)))}
            scores = sorted({name for image in self._shown for name in image.record["scores"]})
            return {
                "run": visible(self._run.name),
                "apply": f"synaug review {shell_word(self.out)} --apply",
                "classes": [
                    {"name": visible(name), "real": self._real_rows(label)}
                    for label, name in enumerate(self._plan.class_names)
                ],
                "scores": scores,
                "reasons": {
                    reason: reason_text(reason) for image in self._rejected() if (reason := image.record["reason"])
                },
                "prompts": [visible(prompt) for prompt in prompts],
                "items": [
                    [
                        image.name,
                        image.label,
                        image.is_accepted,
                        image.record["reason"] or "",
                        prompts[_prompt(image)],
                        [storage.without_nan(image.record["scores"].get(name)) for name in scores],
                        self._group(image),
                    ]
                    for image in self._shown
                ],
                "decisions": {image.name: value for image in self._shown if any(value := self._value(image.name))},
                "undo": len(self._undo),
            }

    def perform(self, actions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Carry out actions in order, save them, and return the changes.

        Args:
            actions: each ``{"do": "accept" | "reject" | "clear", "ids": [...]}``, ``{"do": "note", "ids": [...],
                "note": text}`` or ``{"do": "undo"}``.

        Returns:
            ``changed`` (decision and note by name), ``refused`` (sentences), ``undo`` (steps that can be undone),
            ``decided`` (rows with a decision).

        Raises:
            OptionError: an action is not one of these, or names an unknown image; nothing was changed.
            DataError: the table was edited into something that cannot be read; nothing was changed.
            EnvironmentFault: the table cannot be written; nothing was changed.
        """
        with self._lock:
            self._refresh()
            for action in actions:
                self._check(action)
            before, undo = dict(self._values), list(self._undo)
            refused: list[str] = []
            try:
                for action in actions:
                    self._perform(action, refused)
                changed = [name for name in self._values if self._value(name) != before.get(name, ("", ""))]
                if changed:
                    self._write()
            except BaseException:
                self._values, self._undo = before, undo
                raise
            return {
                "changed": {name: self._value(name) for name in changed},
                "refused": refused,
                "undo": len(self._undo),
                "decided": self.decided,
            }

    @property
    def decided(self) -> int:
        """Return how many rows of the table hold a decision."""
        return sum(bool(decision) for decision, _ in self._values.values())

    @property
    def images(self) -> list[ReviewImage]:
        """The images that are shown, class by class."""
        return list(self._shown)

    def class_name(self, image: ReviewImage) -> str:
        """Return the name of an image's class, control characters as escapes."""
        return visible(self._plan.class_names[image.label])

    def picture(self, name: str, *, whole: bool = False) -> tuple[str, bytes]:
        """Return the media type and the bytes of an image, as a thumbnail unless ``whole``.

        It is decoded and encoded again, so that no browser receives a file as it was found.

        Raises:
            KeyError: there is no such image.
            DataError: its file is missing, changed, or not an image.
        """
        image = self._images[name]
        sha256 = "" if image.record["reason"] == FLAGGED else image.record["sha256"] or ""
        return encoded_for_browser(read_file(image.path, sha256=sha256), whole=whole)

    def real_picture(self, row: int, *, whole: bool = False) -> tuple[str, bytes]:
        """Return a real training image like ``picture``; ``row`` is one of the catalog's."""
        if row not in self._real_shown:
            raise KeyError(row)
        return encoded_for_browser(read_image(self._real, row), whole=whole)

    def _read_images(self) -> None:
        self._state = self._signatures()
        self._plan = self._run.plan
        accepted, rejected = records_by_label(self._run)
        if not accepted and not rejected:
            raise DataError(
                f"{self.out} has no synthetic images to review. Run first: synaug generate {shell_word(self.out)}"
            )
        kept = {path.stem: path for paths in rejected_files(self.out).values() for path in paths}
        self._images: dict[str, ReviewImage] = {}
        self._shown: list[ReviewImage] = []
        for label in sorted(accepted.keys() | rejected.keys()):
            records = accepted.get(label, [])
            shown = records if self._per_class is None else spread(records, self._per_class)
            chosen = {image_name(record) for record in shown}
            for record in [*records, *(r for r in rejected.get(label, []) if image_name(r) in kept)]:
                name, is_accepted = image_name(record), record["verdict"] == "accepted"
                path = self.out / str(record["path"]) if is_accepted else kept[name]
                self._images[name] = image = ReviewImage(name, record["id"], label, is_accepted, record, path)
                if name in chosen or not is_accepted:
                    self._shown.append(image)
        self._slots: dict[str, list[ReviewImage]] = {}
        for image in self._images.values():
            self._slots.setdefault(image.slot, []).append(image)
        self._real_shown = {row for label in range(len(self._plan.class_names)) for row in self._real_rows(label)}

    def _real_rows(self, label: int) -> list[int]:
        return spread(np.flatnonzero(self._real.labels == label).tolist(), REAL_SHOWN)

    def _read_table(self) -> None:
        path = decisions_path(self.out)
        self._seen = _signature(path)
        rows = [decision_row(image.record, self._plan.class_names[image.label]) for image in self._shown]
        table = read_decision_table(path).decisions if self._seen else []
        merged = with_decisions(rows, table)
        self._rows = {str(row["id"]): row for row in merged}
        self._values = {
            name: (str(r.get("decision") or ""), str(r.get("note") or "")) for name, r in self._rows.items()
        }

    def _write(self) -> None:
        storage.make_folder(self.out / FOLDER)
        path = decisions_path(self.out)
        for name, (decision, note) in self._values.items():
            self._rows[name] = (self._rows.get(name) or self._new_row(name)) | {"decision": decision, "note": note}
        write_decisions(path, self._rows.values())
        self._seen = _signature(path)

    def _new_row(self, name: str) -> dict[str, Any]:
        image = self._images.get(name)  # None: its file was removed during the session
        return {"id": name} if image is None else decision_row(image.record, self._plan.class_names[image.label])

    def _refresh(self) -> None:
        """Read the journals and the table again if another process changed them."""
        if self._signatures() != self._state:
            self._read_images()
            self._read_table()
        elif _signature(decisions_path(self.out)) != self._seen:
            self._read_table()

    def _signatures(self) -> list[tuple[int, ...]]:
        return [_signature(path) for path in sorted((self.out / JOURNALS).glob("*.jsonl"))]

    def _check(self, action: Mapping[str, Any]) -> None:
        what = action.get("do") if isinstance(action, Mapping) else None
        if what == "undo":
            return
        if what not in (*_DECISIONS, "note"):
            raise OptionError(f"The action {what!r} is unknown; allowed: {', '.join(_DECISIONS)}, note, undo.")
        names = action.get("ids")
        if not isinstance(names, list) or not names:
            raise OptionError(f"The action {what!r} needs a list of ids.")
        unknown = next((name for name in names if not isinstance(name, str) or name not in self._images), None)
        if unknown is not None:
            raise OptionError(f"There is no image {unknown!r} in {self.out}.")
        note = action.get("note", "")
        if not isinstance(note, str) or len(note) > MAX_NOTE:
            raise OptionError(f"A note is a text of at most {MAX_NOTE} characters.")

    def _perform(self, action: Mapping[str, Any], refused: list[str]) -> None:
        if action["do"] == "undo":
            for name, value in (self._undo.pop() if self._undo else {}).items():
                self._values[name] = value
            return
        before: dict[str, Value] = {}

        def put(name: str, decision: str, note: str) -> None:
            before.setdefault(name, self._value(name))
            self._values[name] = (decision, note)

        for name in action["ids"]:
            self._decide(self._images[name], action, put, refused)
        before = {name: value for name, value in before.items() if value != self._value(name)}
        if before:
            self._undo.append(before)

    def _decide(
        self,
        image: ReviewImage,
        action: Mapping[str, Any],
        put: Callable[[str, str, str], None],
        refused: list[str],
    ) -> None:
        decision, note = self._value(image.name)
        if action["do"] == "note":
            note = " ".join(visible(action["note"], keep="\n\t\r").split())
            if fault := row_fault(Decision(image.name, decision, note, 0)):
                refused.append(f"{image.name}: {fault}")
                return
            put(image.name, decision, note)
            return
        decision = _DECISIONS[action["do"]]
        if decision == ACCEPT and image.record["reason"] == FLAGGED:
            refused.append(
                f"{image.name} cannot be accepted: the safety checker flagged it, and only a mosaic was kept."
            )
            return
        put(image.name, decision, note)
        if self._fills(image):
            for other in self._slots[image.slot]:  # two images of one slot cannot both be in the set
                if other is not image and self._fills(other):
                    put(other.name, REJECT if other.is_accepted else "", self._value(other.name)[1])

    def _fills(self, image: ReviewImage) -> bool:
        """Return whether the image is in the set once the table is applied."""
        decision, _ = self._value(image.name)
        return decision == ACCEPT or (image.is_accepted and decision != REJECT)

    def _value(self, name: str) -> Value:
        return self._values.get(name, ("", ""))

    def _rejected(self) -> list[ReviewImage]:
        return [image for image in self._shown if not image.is_accepted]

    def _group(self, image: ReviewImage) -> str:
        cell = str(image.record["cell"])
        return "" if cell == self._plan.class_names[image.label] else visible(cell)


def _prompt(image: ReviewImage) -> str:
    return str(image.record["prompt"])


def _signature(path: Path) -> tuple[int, ...]:
    """Return values that change if a file is replaced or written to; empty if it is missing."""
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read: {error.strerror}.") from error
    return about.st_ino, about.st_size, about.st_mtime_ns
