"""Show the scores of predictions on one self-contained HTML page, for anybody's predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from synaug.errors import OptionError
from synaug.report.html import page_template
from synaug.report.score_pages.score_panels import Row, score_panels
from synaug.report.svg import interval_track
from synaug.runtime import storage

SUFFIXES = (".html", ".htm")


def write_score_page(scores: Mapping[str, Any], path: Path, *, source: str) -> None:
    """Write the page; an existing file is replaced. It needs no network and has no script.

    Args:
        scores: as ``evaluate_predictions`` returns them.
        path: path of the page.
        source: name of the predictions on the page.

    Raises:
        OptionError: the suffix is none of ``SUFFIXES``, or the place is a folder.
        EnvironmentFault: the file cannot be written.
    """
    check_page(path)
    storage.write_text(path, score_page(scores, source=source))


def check_page(path: Path) -> None:
    """Raise an OptionError for a file that ``write_score_page`` cannot write."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--html is {str(path)!r}; allowed suffixes: {', '.join(SUFFIXES)}.")
    if path.is_dir():
        raise OptionError(f"--html {path} is a folder. Give a file, such as {path / 'scores.html'}.")


def score_page(scores: Mapping[str, Any], *, source: str) -> str:
    """Return the page; see ``write_score_page``."""
    notes = [*scores["notes"], *(note for found in (scores.get("fairness") or {}).values() for note in found["notes"])]
    panels = [(panel.title, panel.num_hidden, list(map(_cells, panel.rows))) for panel in score_panels(scores)]
    return page_template("scores.html").render(
        source=source, num_images=scores["num_images"], notes=notes, panels=panels
    )


def _cells(row: Row) -> tuple[str, float, tuple[float, float] | None, Markup]:
    """Return the name, the value, its interval and the picture of both."""
    ends = None if math.isnan(row.low) else (row.low, row.high)
    return row.name, row.value, ends, interval_track(row.value, row.low, row.high)
