"""Write the table of an experiment for a paper, a spreadsheet or a page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

from synaug.bench.result_tables import markdown, table_cells
from synaug.data.labels import plain_cell
from synaug.errors import unknown
from synaug.runtime.security import visible

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
_NUMBERS = ("gap_closed", "gap_low", "gap_high", "difference", "difference_low", "difference_high", "seconds")


def formatted(content: Mapping[str, Any], name: str) -> str:
    """Return the table of an experiment in a format of ``FORMATS``.

    Args:
        content: as ``collect`` returns it.
        name: ``markdown`` and ``latex`` hold percent, mean ± standard deviation; ``csv`` holds the fractions.

    Raises:
        OptionError: the format is unknown.
    """
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return FORMATS[name](content)


def latex(content: Mapping[str, Any]) -> str:
    """Return the table as a ``tabular`` of the package booktabs, the best of each column bold, bounds aside."""
    cells = table_cells(content)
    lines = [
        f"% {visible(cells.note).replace('±', '+-')}",
        f"\\begin{{tabular}}{{l{'r' * (len(cells.head) - 1)}}}",
        "\\toprule",
    ]
    lines += [" & ".join(map(escape, cells.head)) + r" \\", "\\midrule"]
    for number, row in enumerate(cells.rows):
        shown = [
            rf"\textbf{{{escape(cell)}}}" if (number, place) in cells.best else escape(cell)
            for place, cell in enumerate(row)
        ]
        lines.append(" & ".join(shown) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def escape(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    >>> print(escape("50 % of_{all} ± 0.1"))
    50 \% of\_\{all\} $\pm$ 0.1
    """
    return "".join(_LATEX.get(letter, letter) for letter in visible(text))


def as_csv(content: Mapping[str, Any]) -> str:
    """Return the table as CSV: a row per method, fractions at full precision, empty where undefined."""
    measured = [name for column in content["columns"] for name in (column, f"{column}_std")]
    head = ["row", "arm", "method", "uses_synthetic", "is_bound", "seeds", *measured, *_NUMBERS]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in content["table"]:
        writer.writerow([_cell(row.get(name)) for name in head])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return ""
    return plain_cell(value) if isinstance(value, str) else value


FORMATS: dict[str, Callable[[Mapping[str, Any]], str]] = {"markdown": markdown, "latex": latex, "csv": as_csv}
