"""Print results safely: a console on which names have no effect, tables that truncate no name, and bars that fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import rich.console
import rich.markup
import rich.measure
import rich.table
from rich.segment import Segment
from rich.style import Style

from synaug.cli.streams import printable
from synaug.runtime.security import visible

_LONGEST, _SHORTEST = 36, 4  # columns of a bar


class Console(rich.console.Console):
    """A console on which names and messages have no effect: control characters are shown as escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"highlight": False} | options))

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield the segments to print; only rich itself may move the cursor or color the text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text, keep="\n"))


def escape(text: str) -> str:
    """Return text from data as rich's markup that shows it literally.

    Control characters, and characters that the encoding of the output lacks, become escapes here, so that a table
    reserves the columns that they take.
    """
    return rich.markup.escape(printable(visible(text)))


class Table(rich.table.Table):
    """A table without a frame, in which a narrow terminal folds long names and numbers and never truncates them."""

    def __init__(self, *headers: str, **options: Any) -> None:
        super().__init__(*headers, **({"box": None, "pad_edge": False} | options))

    def add_column(self, header: rich.console.RenderableType = "", *others: Any, **options: Any) -> None:
        """Add a column; see rich."""
        super().add_column(header, *others, **({"overflow": "fold"} | options))


class Bar:
    """A bar as long as its share of the width that a table leaves it."""

    def __init__(self, share: float, style: str) -> None:
        self._share, self._style = share, style

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> Iterator[Segment]:
        """Yield the bar."""
        room = min(_LONGEST, options.max_width)
        yield Segment("█" * max(1, round(room * self._share)), Style.parse(self._style))

    def __rich_measure__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> rich.measure.Measurement:
        """Return the least and the largest number of columns that the bar takes."""
        return rich.measure.Measurement(min(_SHORTEST, options.max_width), min(_LONGEST, options.max_width))
