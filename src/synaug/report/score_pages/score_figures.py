"""Draw the scores of predictions as a figure for a paper: SVG, PDF or PNG, the same bytes for the same scores."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synaug.errors import OptionError
from synaug.report.score_pages.score_panels import Panel, score_panels
from synaug.runtime import storage
from synaug.runtime.security import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".pdf", ".png")
POINT, RANGE = "#34577f", "#9db3cc"
_ROW, _TITLE, _WIDTH = 0.24, 0.75, 6.5  # inches
_LONGEST_NAME = 40


def write_score_figure(scores: Mapping[str, Any], path: Path) -> None:
    """Draw a panel per kind of score, each value with its 95 % interval; an existing file is replaced.

    Raises:
        OptionError: the suffix is none of ``SUFFIXES``, or the place is a folder.
        EnvironmentFault: the file cannot be written.
    """
    check_figure(path)
    import matplotlib

    # text as paths: a viewer without the fonts shows the same; the salt makes ids repeatable
    with matplotlib.rc_context({"svg.hashsalt": "synaug", "svg.fonttype": "path", "pdf.fonttype": 42}):
        data = io.BytesIO()
        kind = path.suffix.lower().removeprefix(".")
        undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
        score_figure(scores).savefig(data, format=kind, metadata=undated[kind], dpi=200)
    storage.write_bytes(path, data.getvalue())


def check_figure(path: Path) -> None:
    """Raise an OptionError for a file that ``write_score_figure`` cannot write."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--figure is {str(path)!r}; allowed suffixes: {', '.join(SUFFIXES)}.")
    if path.is_dir():
        raise OptionError(f"--figure {path} is a folder. Give a file, such as {path / 'scores.svg'}.")


def score_figure(scores: Mapping[str, Any]) -> Figure:
    """Return the figure, one panel below the other."""
    from matplotlib.figure import Figure

    panels = score_panels(scores)
    heights = [_TITLE + _ROW * len(panel.rows) for panel in panels]
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    for axes, panel in zip(
        figure.subplots(len(panels), height_ratios=heights, squeeze=False).flat, panels, strict=True
    ):
        _draw(axes, panel)
    figure.axes[-1].set_xlabel("percent; bars are 95 % intervals", fontsize=8)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    for place, row in enumerate(panel.rows):
        if math.isnan(row.value):
            axes.text(1, place, "n/a", va="center", fontsize=7, color="0.4")
            continue
        if not math.isnan(row.low):
            axes.plot([100 * row.low, 100 * row.high], [place, place], color=RANGE, linewidth=4, solid_capstyle="butt")
        axes.plot(100 * row.value, place, "o", color=POINT, markersize=5)
    names = [visible(row.name) for row in panel.rows]
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names]
    axes.set_yticks(range(len(shown)), shown, fontsize=8, parse_math=False)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(-2, 102)
    axes.set_title(visible(panel.title), fontsize=9, loc="left", parse_math=False)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
