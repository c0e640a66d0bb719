"""Show the progress of long work: a live bar on a terminal, an occasional plain line in a log file."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from synaug.runtime.security import visible
from synaug.runtime.wording import duration

_NAME, _SHORTEST, _LONGEST = 21, 5, 20  # columns: of the stage's name, of the bar
_FIXED_CURSOR = ("dumb", "unknown")

Progress = Callable[[str, int, int, str], None]
"""Called as ``progress(stage, done, total, note)``; a stage ends when ``done`` reaches ``total``."""


def of_seed(progress: Progress, seed: int) -> Progress:
    """Return a progress callback that adds the seed to each stage name."""

    def with_seed(stage: str, done: int, total: int, note: str) -> None:
        progress(f"{stage}, seed {seed}", done, total, note)

    return with_seed


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Show nothing."""


class ConsoleProgress:
    """Write progress to standard error: redraw one line on a terminal, otherwise add one per ``interval`` seconds.

    A terminal that cannot move its cursor (``TERM=dumb``, as in Emacs and some CI systems) is treated like a file.
    With ``lines`` a terminal gets new lines, too.
    """

    def __init__(self, stream: TextIO | None = None, *, interval: float = 15.0, lines: bool = False) -> None:
        self._stream = stream or sys.stderr
        is_movable = os.environ.get("TERM", "") not in _FIXED_CURSOR
        self._live = self._stream.isatty() and is_movable and not lines
        self._interval = 0.1 if self._live else interval
        self._stage, self._began, self._first, self._shown = "", 0.0, 0, 0.0

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._first = stage, now, done
            self._shown = 0.0 if self._live else now
        finished = done >= total
        if not finished and now - self._shown < self._interval:
            return
        self._shown = now
        share = done / total if total else 1.0
        parts = self._parts(done, total, note, now - self._began)
        if self._live:
            width = _columns(self._stream) - 1  # a longer line would wrap, and stay when redrawn
            self._stream.write(f"\r\x1b[2K{_line(parts, share, width)[:width]}" + ("\n" if finished else ""))
        else:
            self._stream.write(_line(parts, share) + "\n")
        self._stream.flush()
        if finished:
            self._stage = ""

    def close(self) -> None:
        """End the line being redrawn, so that the next output starts on a new line."""
        if self._live and self._stage:
            self._stream.write("\n")
            self._stream.flush()
            self._stage = ""

    def _parts(self, done: int, total: int, note: str, seconds: float) -> list[str]:
        parts = [f"{self._stage:<{_NAME}}", f"{done:,}/{total:,}"]
        rate = (done - self._first) / seconds if seconds > 0.5 else 0.0
        if rate > 0:
            parts.append(f"{rate:,.1f}/s")
            parts.append(f"{duration((total - done) / rate)} left" if done < total else duration(seconds))
        if note:
            parts.append(note)
        return [visible(part) for part in parts]


def _columns(stream: TextIO) -> int:
    """Return the width of the terminal that a stream writes to, which need not be that of the standard output."""
    if "COLUMNS" not in os.environ:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(stream.fileno()).columns or 80
    return shutil.get_terminal_size().columns


def _line(parts: Sequence[str], share: float, width: int = sys.maxsize) -> str:
    """Return the parts in one row, with a bar after the first part that fills the remaining width."""
    room = width - sum(len(part) + 2 for part in parts)
    size = max(_SHORTEST, min(_LONGEST, room))
    bar = ("━" * round(size * share)).ljust(size, "·")
    return "  ".join((parts[0], bar, *parts[1:]))
