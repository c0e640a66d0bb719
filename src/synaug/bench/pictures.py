"""Draw the results of an experiment: rows as bars, recall by class, accuracy against fairness, and studies."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synaug.config import CurveOptions
from synaug.runtime import storage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REAL, SYNTHETIC, BOUND = "#7f8a99", "#1769c4", "#c9a227"
MOST_CLASSES = 30  # whose recalls fit into one picture


def write_pictures(content: dict[str, Any], out: Path, *, curves: dict[str, CurveOptions] | None = None) -> list[Path]:
    """Write ``bars.png`` and, if applicable, ``classes.png``, ``fairness.png`` and one file per study."""
    rows = content["table"]
    if not rows:
        return []
    figures: dict[str, Figure | None] = {"bars": bars(rows, content["columns"][0])}
    if content["results"] and 2 < len(content["results"][0]["per_class"]) <= MOST_CLASSES:
        figures["classes"] = classes(content["results"], rows)
    gap = next((c for c in content["columns"] if c.startswith("equalized_odds")), None)
    if gap is not None:
        figures["fairness"] = scatter(rows, gap)
    for name, options in (curves or {}).items():
        figures[name] = study(rows, options)
    return [save(figure, out / f"{name}.png") for name, figure in figures.items() if figure is not None]


def bars(rows: Sequence[dict[str, Any]], column: str) -> Figure:
    """Draw a column of the table, one point per row on a cropped scale, with one standard deviation to each side."""
    figure, axes = _figure(8.0, 1.2 + 0.26 * len(rows))
    values = [100 * row[column] for row in rows]
    spreads = [0 if math.isnan(row[f"{column}_std"]) else 100 * row[f"{column}_std"] for row in rows]
    colors = [_color(row) for row in rows]
    places = range(len(rows))
    axes.errorbar(values, places, xerr=spreads, fmt="none", ecolor="black", elinewidth=0.8, zorder=1)
    axes.scatter(values, places, c=colors, s=36, zorder=2)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    for place, (value, spread) in enumerate(zip(values, spreads, strict=True)):
        if not math.isnan(value):
            axes.text(value + spread + 0.5, place, f"{value:.1f}", va="center", fontsize=7)
    axes.set_yticks(places, [row["row"] for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    lows = [value - spread for value, spread in zip(values, spreads, strict=True) if not math.isnan(value)]
    highs = [value + spread for value, spread in zip(values, spreads, strict=True) if not math.isnan(value)]
    axes.set_xlim(max(0, min(lows, default=0) - 2), min(100, max(highs, default=100) + 4))
    axes.set_xlabel(f"{column.replace('_', ' ')}, percent of the real test images")
    _legend(axes)
    return figure


def classes(results: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> Figure | None:
    """Draw the recall per class of the baseline, of the best row with synthetic images and of the bound."""
    plain = [row for row in rows if not row["uses_synthetic"] and not row["is_filled"]]
    best = max((row for row in rows if row["uses_synthetic"]), key=lambda row: row["accuracy"], default=None)
    bound = max((row for row in rows if row["is_filled"]), key=lambda row: row["accuracy"], default=None)
    chosen = [row for row in (plain[0] if plain else None, best, bound) if row is not None]
    if len(chosen) < 2:
        return None
    names = list(results[0]["per_class"])
    figure, axes = _figure(8.0, 3.4)
    for number, row in enumerate(chosen):
        of_row = [r for r in results if (r["arm"], r["method"]) == (row["arm"], row["method"])]
        recalls = np.array([[r["per_class"][name] for name in names] for r in of_row], float)
        places = np.arange(len(names)) + 0.15 * (number - (len(chosen) - 1) / 2)  # side by side and never joined:
        axes.plot(places, 100 * recalls.mean(0), "o", color=_color(row), label=row["row"], markersize=4)  # unordered
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
    axes.set_ylabel("recall, percent")
    axes.set_ylim(0, 100)
    axes.legend(fontsize=8)
    return figure


def scatter(rows: Sequence[dict[str, Any]], gap: str) -> Figure:
    """Draw accuracy against a fairness gap: further right is more accurate, further down is fairer."""
    figure, axes = _figure(7.5, 5.0)
    for row in rows:
        if "chosen" in row:  # another name of a row that is drawn already
            continue
        axes.plot(100 * row["accuracy"], 100 * row[gap], "o", color=_color(row), markersize=5)
        axes.annotate(
            row["row"], (100 * row["accuracy"], 100 * row[gap]), fontsize=6, xytext=(4, 3), textcoords="offset points"
        )
    axes.set_xlabel("accuracy, percent of the real test images")
    axes.set_ylabel(f"{gap.replace('_', ' ')}, percent")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.15)
    _legend(axes)
    return figure


def study(rows: Sequence[dict[str, Any]], options: CurveOptions) -> Figure | None:
    """Draw a column of the table against the studied option; None while a row is missing."""
    found = {row["row"]: row for row in rows}
    if any(name not in found for line in options.lines.values() for name in line):
        return None
    figure, axes = _figure(6.0, 3.6)
    style = "o" if isinstance(options.x[0], str) else "o-"  # names have nothing in between
    for label, line in options.lines.items():
        values = np.array([100 * found[name][options.column] for name in line])
        spreads = np.nan_to_num([100 * found[name][f"{options.column}_std"] for name in line])
        axes.errorbar(options.x, values, yerr=spreads, fmt=style, markersize=4, capsize=2, label=label)
    axes.set_xlabel(options.label)
    axes.set_ylabel(f"{options.column.replace('_', ' ')}, percent")
    if len(options.lines) > 1:
        axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _color(row: dict[str, Any]) -> str:
    if row["is_filled"]:
        return BOUND
    return SYNTHETIC if row["uses_synthetic"] else REAL


def _legend(axes: Any) -> None:
    from matplotlib.patches import Patch

    kinds = (("real images alone", REAL), ("with synthetic images", SYNTHETIC), ("upper bound", BOUND))
    axes.legend(handles=[Patch(color=color, label=label) for label, color in kinds], fontsize=7, loc="best")


def save(figure: Figure, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    data = io.BytesIO()
    FigureCanvasAgg(figure).print_png(data, metadata={"Software": None})  # type: ignore[no-untyped-call]
    storage.write_bytes(path, data.getvalue())
    return path
