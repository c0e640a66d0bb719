"""Follow a long task of several parts: the current part, and the time left for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synaug.runtime.progress import Progress
from synaug.runtime.wording import duration


@dataclass(frozen=True)
class Part:
    """One part of a longer task.

    Attributes:
        name: the name to pass to ``enter``.
        stage: prefix of the stages that show the part's progress; empty if the part takes hardly any time.
        kind: parts of one kind take time in proportion to their ``work``.
        work: amount of work, in any unit.
        stages: number of stages with that prefix in the part.
    """

    name: str
    stage: str = ""
    kind: str = ""
    work: float = 0.0
    stages: int = 1


class Whole:
    """A progress callback that adds "k of n" to each stage, and the time left for the whole task once it is known.

    A kind of part has a pace once one such part is under way. While parts without a pace remain, the time is a lower
    bound.
    """

    def __init__(
        self, progress: Progress, parts: Sequence[Part], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._progress, self._parts, self._clock = progress, tuple(parts), clock
        self._at = -1
        self._paces: dict[str, float] = {}  # seconds per unit of work
        self._seen: list[str] = []
        self._first, self._began, self._share = 0.0, 0.0, 0.0

    def enter(self, name: str) -> None:
        """Begin the part of that name, which ends the parts before it. Other names are ignored."""
        found = next((at for at, part in enumerate(self._parts) if part.name == name and at > self._at), None)
        if found is not None:
            self._at, self._seen, self._share = found, [], 0.0

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Pass the progress on, with the number of its part and the time left for all parts."""
        if self._at < 0:
            self._progress(stage, done, total, note)
            return
        part = self._parts[self._at]
        if part.stage and stage.startswith(part.stage):
            self._measure(part, stage, done / total if total else 1.0)
        left = self.left()
        notes = [f"whole: {left} left" if left else "", note]
        self._progress(f"{self._at + 1}/{len(self._parts)} {stage}", done, total, "  ".join(filter(None, notes)))

    def _measure(self, part: Part, stage: str, done: float) -> None:
        now = self._clock()
        if stage not in self._seen:
            self._seen.append(stage)
        share = min(1.0, (len(self._seen) - 1 + done) / part.stages)
        if len(self._seen) == 1 and self._share == 0.0:
            self._first, self._began = share, now
        self._share = max(share, 1e-9)
        if share > self._first and now > self._began:
            self._paces[part.kind] = (now - self._began) / ((share - self._first) * max(part.work, 1e-9))

    def left(self) -> str:
        """Return the time left for the whole task, such as "5:10" or "over 5:10"; empty while it is unknown."""
        if self._at < 0:
            return ""
        current, later = self._parts[self._at], self._parts[self._at + 1 :]
        todo = [(current.kind, current.work * (1 - self._share)), *((part.kind, part.work) for part in later)]
        todo = [(kind, work) for kind, work in todo if work > 0]
        known = [work * self._paces[kind] for kind, work in todo if kind in self._paces]
        if not known:
            return ""
        return ("" if len(known) == len(todo) else "over ") + duration(sum(known))


def enter(progress: Progress, name: str) -> None:
    """Announce to a ``Whole`` that a part begins; other callbacks are left alone."""
    if isinstance(progress, Whole):
        progress.enter(name)
