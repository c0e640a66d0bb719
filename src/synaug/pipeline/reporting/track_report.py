"""Log the tables and the example pictures of a report to the tracker of the run, once per content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from synaug.config import Recipe
from synaug.run_directory import RunPaths
from synaug.runtime import storage
from synaug.schemas import Report

if TYPE_CHECKING:
    from synaug.report import ReportImages

NAME = "report"  # of the run in the tracker
TILE, GAP = 64, 4  # pixels
_SENT = "report.json"  # in the folder of the tracker: the digest of what each tracker has received


def track_report(run: RunPaths, recipe: Recipe, report: Report, images: ReportImages) -> None:
    """Send the tables and pictures of a report to the tracker, unless it has received the same ones before.

    Nothing is sent without ``train.track``, or if ``train.track_report`` forbids it: by default, tables and pictures,
    which contain class names and images, go only to a tracker that keeps them on this machine.

    Raises:
        EnvironmentFault: the tracker cannot start; the report itself is written before.
    """
    from synaug.training import is_local_tracker, log_report

    tracker, wanted = recipe.train.track, recipe.train.track_report
    if tracker is None or not (is_local_tracker(tracker) if wanted is None else wanted):
        return
    tables, pictures = report_tables(report), report_pictures(report, images)
    contents = [json.dumps({name: table.to_dict("split") for name, table in tables.items()}).encode()]
    contents += [name.encode() + picture.tobytes() for name, picture in pictures.items()]
    digest = storage.digest(b"\0".join(contents))
    sent = storage.make_folder(run.tracking) / _SENT
    before = storage.read_json(sent) if sent.is_file() else {}
    received = before if isinstance(before, dict) else {}
    if received.get(tracker) == digest:
        return
    log_report(tracker, name=NAME, folder=run.tracking, tables=tables, pictures=pictures)
    storage.write_json(sent, {**received, tracker: digest})


def report_tables(report: Report) -> dict[str, pd.DataFrame]:
    """Return the tables by name: ``summary``, ``results``, ``classes`` and ``synthesis``; shares are fractions."""
    from synaug.report import reason_text, recalls, shown_columns
    from synaug.report.results_table import results_table
    from synaug.report.summary import summary

    rows = results_table(report["results"])
    columns = shown_columns(rows)
    counts, planned = report["data"]["class_counts"], report["synthesis"].get("requested")
    recall = {row.method: recalls(report, row.method) for row in rows}
    per_class = [{"class": name, "real": counts.get(name)} | {m: recall[m][name] for m in recall} for name in counts]
    rejected = report["synthesis"].get("rejected") or {}
    accepted = report["synthesis"].get("accepted") or 0
    return {
        "summary": pd.DataFrame({"finding": summary(report)}),
        "results": pd.DataFrame(
            [{"method": row.method, "seeds": row.num_seeds} | {c: row.means[c] for c in columns} for row in rows]
        ),
        "classes": pd.DataFrame(per_class),
        "synthesis": pd.DataFrame(
            [("planned", planned), ("accepted", accepted), *((reason_text(name), n) for name, n in rejected.items())],
            columns=["images", "number"],
        ),
    }


def report_pictures(report: Report, images: ReportImages) -> dict[str, Image.Image]:
    """Return a picture per class, rarest class first: a row of real, of synthetic and of rejected examples."""
    from synaug.report import gallery

    pictures = {}
    for number, row in enumerate(gallery(report, images)):
        lines = [row["real"], *([image for image, _ in row[kind]] for kind in ("synthetic", "rejected"))]
        if any(lines):
            name = row["name"].replace("/", "_").replace("\\", "_")  # trackers make folders of slashes
            pictures[f"{number:02d} {name}"] = _tiled(lines)
    return pictures


def _tiled(lines: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Return the rows of images on one white picture."""
    shown = [line for line in lines if line]
    width = max(len(line) for line in shown)
    sheet = Image.new("RGB", (width * (TILE + GAP) + GAP, len(shown) * (TILE + GAP) + GAP), "white")
    for top, line in enumerate(shown):
        for left, image in enumerate(line):
            sheet.paste(_tile(image), (GAP + left * (TILE + GAP), GAP + top * (TILE + GAP)))
    return sheet


def _tile(image: Image.Image) -> Image.Image:
    resampling = Image.Resampling.NEAREST if max(image.size) <= TILE else Image.Resampling.LANCZOS
    scale = TILE / max(image.size)
    return image.convert("RGB").resize([max(1, round(side * scale)) for side in image.size], resampling)
