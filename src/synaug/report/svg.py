"""Draw the small pictures of the HTML report: inline SVG in the colors of the page, and data URIs.

Positions are percentages, so a picture is as wide as its table cell and its text is never scaled. Every
picture has a description in words; all text is escaped.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from PIL import Image

MAX_SIDE = 192


def data_uri(image: Image.Image) -> str:
    """Return the image as a data URI, at most ``MAX_SIDE`` pixels per side; small images stay exact."""
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    if max(image.size) > MAX_SIDE:
        image = image.copy()
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        image.save(buffer, format="JPEG", quality=85)
    else:
        image.save(buffer, format="PNG", optimize=True)
    kind = "jpeg" if buffer.getvalue()[:2] == b"\xff\xd8" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def recall_track(before: float, after: float, *, interval: Sequence[float | None] | None = None) -> Markup:
    """Draw recall before (ring) and after (disc) on a track from 0 to 100 %.

    Args:
        before: fraction in [0, 1], or NaN: not drawn.
        after: fraction in [0, 1], or NaN: not drawn.
        interval: low and high end for ``after``, drawn as a bar behind it.
    """
    old, new = _percentage(before), _percentage(after)
    parts = [Markup('<line class="axis" x1="1%" x2="99%" y1="50%" y2="50%"/>')]
    parts += [
        Markup('<line class="tick" x1="{0}" x2="{0}" y1="30%" y2="70%"/>').format(_along(x)) for x in (0, 50, 100)
    ]
    if interval is not None and None not in interval:
        low, high = (_along(100 * float(end)) for end in interval if end is not None)
        parts.append(Markup('<line class="interval" x1="{}" x2="{}" y1="50%" y2="50%"/>').format(low, high))
    if old is not None and new is not None:
        kind = "gain" if new >= old else "loss"
        parts.append(
            Markup('<line class="change {}" x1="{}" x2="{}" y1="50%" y2="50%"/>').format(kind, _along(old), _along(new))
        )
    if old is not None:
        parts.append(Markup('<circle class="before" cx="{}" cy="50%" r="5"/>').format(_along(old)))
    if new is not None:
        parts.append(Markup('<circle class="after" cx="{}" cy="50%" r="6"/>').format(_along(new)))
    words = f"before {_words(old)}, after {_words(new)}"
    return _picture("track", words, parts)


def interval_track(value: float, low: float, high: float) -> Markup:
    """Draw a fraction as a disc on a track from 0 to 100 %, its interval as a bar behind it; NaN is not drawn."""
    parts = [Markup('<line class="axis" x1="1%" x2="99%" y1="50%" y2="50%"/>')]
    ends, middle = [_percentage(end) for end in (low, high)], _percentage(value)
    if None not in ends:
        first, last = (_along(end) for end in ends if end is not None)
        parts.append(Markup('<line class="interval" x1="{}" x2="{}" y1="50%" y2="50%"/>').format(first, last))
    if middle is not None:
        parts.append(Markup('<circle class="after" cx="{}" cy="50%" r="5"/>').format(_along(middle)))
    return _picture("track", _words(middle), parts)


def count_bar(real: int, synthetic: int, largest: int) -> Markup:
    """Draw real and synthetic image counts as one stacked bar; ``largest`` is the longest bar of the table."""
    scale = 100 / max(largest, 1)
    parts = [
        Markup('<rect class="real" x="0" y="15%" width="{:.2f}%" height="70%"/>').format(real * scale),
        Markup('<rect class="synthetic" x="{:.2f}%" y="15%" width="{:.2f}%" height="70%"/>').format(
            real * scale, synthetic * scale
        ),
    ]
    return _picture("bar", f"{real:,} real and {synthetic:,} synthetic images", parts)


def curve(series: Mapping[str, Sequence[float]], *, title: str) -> Markup:
    """Draw curves over equal steps on one scale; values that are not finite are left out.

    Args:
        series: name to values.
        title: description in words.
    """
    low, high = curve_range(series)
    span = (high - low) or 1.0
    parts = []
    for number, values in enumerate(series.values()):
        width = max(len(values) - 1, 1)
        points = " ".join(
            f"{100 * i / width:.2f},{40 - 40 * (v - low) / span:.2f}" for i, v in enumerate(values) if math.isfinite(v)
        )
        parts.append(Markup('<polyline class="series{}" points="{}"/>').format(number % 5, points))
    body = Markup("").join(parts)
    return Markup(
        '<svg class="curve" role="img" aria-label="{}" viewBox="0 0 100 40" preserveAspectRatio="none">{}</svg>'
    ).format(title, body)


def curve_range(series: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Return the lowest and the highest finite value of curves, the ends of their vertical axis.

    >>> curve_range({"a": [3.0, 1.0], "b": [math.nan, 2.0]})
    (1.0, 3.0)
    """
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)


def confused_pairs(matrix: np.ndarray, names: Sequence[str], *, limit: int = 5) -> list[tuple[str, str, int, float]]:
    """Return the most frequent mistakes: true class, predicted class, images, share of the true class's images."""
    totals = matrix.sum(axis=1)
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = [divmod(int(position), len(names)) for position in order]
    return [
        (names[row], names[column], int(wrong[row, column]), float(wrong[row, column] / totals[row]))
        for row, column in cells
        if wrong[row, column] > 0
    ]


def _picture(kind: str, words: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}">{}</svg>').format(kind, words, Markup("").join(parts))


def _percentage(fraction: float) -> float | None:
    return None if math.isnan(fraction) else 100 * fraction


def _along(value: float) -> str:
    """Return a position on the track that leaves room for the marks at both ends."""
    return f"{1 + 0.98 * value:.2f}%"


def _words(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0f} %"
