"""Read ``report.json`` and turn it into one self-contained HTML page.

The page needs no network and has no script: images are data URIs, pictures are inline SVG, and everything
that comes from data (class names, prompts, file names) is escaped.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import jinja2

from synaug.errors import DataError
from synaug.report import sections, svg
from synaug.report.cross_validation import cross_validation_columns, cross_validation_note, cross_validation_rows
from synaug.report.duplicate_pairs import duplicate_pairs
from synaug.report.results_table import TITLES, compared_methods, method_title, percent, results_table, shown_columns
from synaug.report.sections import ReportImages
from synaug.report.summary import summary
from synaug.runtime import duration_in_words, measure_in_words, storage
from synaug.runtime.records import of_form
from synaug.runtime.security import visible
from synaug.schemas import Report

__all__ = ["SCHEMA_VERSION", "ReportImages", "checked_report", "make_report", "read_report"]

SCHEMA_VERSION = 1
MAX_COLUMNS = 5  # of pictures
_SECTIONS: dict[str, type] = {"data": dict, "plan": dict, "synthesis": dict, "training": dict, "results": list}


def read_report(path: Path) -> Report:
    """Read and check a ``report.json``.

    Raises:
        DataError: the file is missing, is not JSON, has another schema version, or does not have the form of a report.
    """
    report = checked_report(storage.read_json(path), where=str(path))
    return of_form(report, Report, where=path, way_out="Recreate it with 'synaug report RUN'.")


def checked_report(report: object, *, where: str = "The report") -> Report:
    """Return a report after checking its schema version and that all sections are present.

    Raises:
        DataError: they are not.
    """
    if not isinstance(report, dict):
        raise DataError(f"{where} must hold a report, not {type(report).__name__}.")
    version = report.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{where} has schema version {version!r}; this synaug reads version {SCHEMA_VERSION}. "
            "Read it with the version of synaug that wrote it, or recreate it with 'synaug report RUN'."
        )
    wrong = [name for name, kind in _SECTIONS.items() if not isinstance(report.get(name), kind)]
    if wrong:
        raise DataError(f"{where} lacks the sections {', '.join(wrong)}; recreate it with 'synaug report RUN'.")
    absent = [name for name in ("class_names", "class_counts") if name not in report["data"]]
    if absent:
        raise DataError(f"{where} lacks {', '.join(f'data.{name}' for name in absent)}.")
    return cast("Report", report)


def make_report(report: Mapping[str, object], *, images: ReportImages | None = None) -> str:
    """Return the whole report as one HTML page.

    Args:
        report: the content of ``report.json``.
        images: examples to show beside the numbers.

    Raises:
        DataError: the report has another schema version or lacks a section.
    """
    content = checked_report(storage.without_nan(dict(report)))
    images = images or ReportImages()
    before, after = compared_methods(content)
    rows, curves = results_table(content["results"]), content["training"].get("curves") or {}
    seconds: dict[str, float] = {}
    for run in content["results"]:
        seconds[run["method"]] = seconds.get(run["method"], 0.0) + (run.get("seconds") or 0.0)
    return page_template("report.html").render(
        report=content,
        data=content["data"],
        plan=content["plan"],
        synthesis=content["synthesis"],
        training=content["training"],
        summary=summary(content),
        titles=TITLES,
        columns=shown_columns(rows),
        rows=rows,
        folds=cross_validation_rows(content),
        folds_columns=list(cross_validation_columns(content).values()),
        folds_note=cross_validation_note(content),
        before=method_title(before),
        after=method_title(after),
        facts=sections.facts(content, before, after),
        recalls=sections.recall_rows(content, before, after),
        counts=sections.count_rows(content),
        gallery=sections.gallery(content, images),
        num_classes_hidden=max(0, len(content["data"]["class_names"]) - sections.MAX_CLASSES_WITH_IMAGES),
        rejections=sections.rejections(content),
        confusions=sections.confusions(content, (before, after)),
        curves=svg.curve(curves, title="Training loss") if curves else None,
        curve_ends=svg.curve_range(curves),
        curve_names=[method_title(name) for name in curves],
        costs=sections.costs(content),
        times=[(row.title, seconds[row.method]) for row in rows if row.method in seconds],
        groups=sections.groups(content),
        gap=sections.gap_rows(content),
        fine_detail=sections.fine_detail(content),
        light=sections.light(content),
        notes=content.get("warnings") or [],
        left_out=content["data"].get("left_out") or [],
        duplicates=duplicate_pairs(content, images.duplicates),
        settings=[
            (key, value)
            for key, value in content["training"].items()
            if key != "seconds" and not isinstance(value, dict | list)
        ],
        options=sections.settings({key: content["training"].get(key) or {} for key in ("options", "overrides")}),
        model=sections.settings(content["synthesis"].get("model") or {}),
    )


def page_template(name: str) -> jinja2.Template:
    """Return a page template of ``assets/report``, with the filters that the pages share."""
    return _environment().get_template(name)


@functools.cache  # compiling the templates takes longer than filling them in
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("synaug", "assets/report"),
        autoescape=True,
        finalize=_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent,
        decimal=_decimal,
        number=_number,
        duration=_duration,
        size=_size,
        uri=svg.data_uri,
        unbroken=_unbroken,
        range=_range,
        spread=_spread,
        columns=_columns,
        measure=measure_in_words,
    )
    return environment


def _visible(value: object) -> object:
    """Return text or markup with control characters shown as escapes; other values unchanged."""
    return type(value)(visible(value, keep="\n\t")) if isinstance(value, str) else value


def _percent(value: float | None, digits: int = 0) -> str:
    """Return a fraction as a percentage that is not broken across lines."""
    return _unbroken(percent(value, digits))


def _columns(items: Sequence[object]) -> int:
    """Return the number of columns, at most five, that fills the rows of pictures most evenly: none stands alone."""
    rows = max(1, math.ceil(len(items) / MAX_COLUMNS))
    return max(1, math.ceil(len(items) / rows))


def _decimal(value: float | None) -> str:
    """Return a number with three decimals; None as n/a."""
    return "n/a" if value is None else f"{value:.3f}"


def _spread(value: float | None) -> str:
    """Return a standard deviation in percentage points, such as " ± 0.4"; empty if undefined."""
    return "" if value is None or math.isnan(value) else f"\N{NO-BREAK SPACE}± {100 * value:.1f}"


def _range(ends: Sequence[float | None] | None) -> str:
    """Return the two ends of an interval in whole percent; empty if undefined."""
    if not ends or None in ends:
        return ""
    low, high = ends
    return _unbroken(f"{percent(low)[:-2]}\N{EN DASH}{percent(high)}")


def _unbroken(sentence: str) -> str:
    """Return the sentence with no line breaks before its percent signs and around its deviations."""
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%").replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def _number(value: object) -> str:
    """Return a number with thousands separators; None as n/a, other values as text."""
    if value is None:
        return "n/a"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _duration(seconds: float | None) -> str:
    return "n/a" if seconds is None else duration_in_words(seconds)


def _size(num_bytes: float) -> str:
    """Return bytes in a suitable unit, such as 812 kB or 4.2 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.1f} {unit}"
    return f"{num_bytes / 1e3:.0f} kB"
