"""Show the status of a run repeatedly, until it is done or the user stops watching."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.cli.printing import print_json, print_note, print_text, wipe_terminal
from synaug.errors import OptionError

if TYPE_CHECKING:
    from synaug.schemas.command_output import Status


def watch_status(run: Path, *, interval: float, as_json: bool) -> None:
    """Print the status every ``interval`` seconds; return when the run is done or a signal arrives.

    A terminal is wiped before each, so that the status stays in place. Elsewhere, and as JSON, only changes are
    printed. If the run has no plan yet, it may be starting just now: wait for it.
    """
    from synaug.cli.printing import console
    from synaug.pipeline.status import status
    from synaug.run_directory import Run
    from synaug.runtime import signals

    is_live = sys.stdout.isatty() and not as_json
    before: Status | None = None
    with signals.graceful():
        if _may_start(run):
            print_note(f"Waiting: {run} has no plan yet. Ctrl-C ends this.")
        while _may_start(run):
            if signals.wait(interval):
                return
        while True:
            content = status(Run.open(run))  # again each time: 'generate --set' may change the plan
            if is_live:
                wipe_terminal()
            if is_live or _changed(content, before):
                print_json(content) if as_json else console.show_status(content, run)
            if is_live:
                print_text(f"\n{time.strftime('%H:%M:%S')}, every {interval:g} s; Ctrl-C ends this, not the run.")
            sys.stdout.flush()
            before = content
            if content["stage"] == "done" or signals.wait(interval):
                return


def _may_start(run: Path) -> bool:
    """Return whether a run may still be planned in a folder: it is absent, empty, or holds a run without a plan."""
    from synaug.run_directory import RunPaths
    from synaug.runtime import check_free

    paths = RunPaths(run)
    if paths.plan_file.is_file() and paths.lock_file.is_file():
        return False
    with contextlib.suppress(OptionError):
        check_free(run, "run")
        return True
    return False


def _changed(content: Status, before: Status | None) -> bool:
    """Return whether anything but the estimated times is new."""
    return before is None or _steady(content) != _steady(before)


def _steady(content: Status) -> list[object]:
    return [
        *(
            {key: value for key, value in (part or {}).items() if key not in ("seconds_left", "per_second")}
            for part in (content["images"], content["training"])
        ),
        *(content["stage"], content["results"], content["held_by"]),
    ]
