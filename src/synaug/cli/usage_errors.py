"""Errors of the command line's own parser, with the control characters of what was typed shown as escapes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

from synaug.runtime.security import visible


class EscapingGroup(TyperGroup):
    """A group of commands whose usage errors repeat nothing raw: an argument may be a file name that anybody gave."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse what stands before the command; an unknown option there may be one of the command."""
        with _escaped(of_option="Options of a command go after its name: synaug COMMAND --verbose."):
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Find the command, parse its arguments, and run it."""
        with _escaped():
            return super().invoke(ctx)


@contextlib.contextmanager
def _escaped(of_option: str = "") -> Iterator[None]:
    """Escape the text of a usage error; append ``of_option`` if it is about an unknown option."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message"):  # every error of the parser, whichever package it is from
            text = visible(error.format_message(), keep="\n")
            if of_option and hasattr(error, "option_name"):
                text = f"{text} {of_option}"
            error.format_message = lambda: text
        raise
