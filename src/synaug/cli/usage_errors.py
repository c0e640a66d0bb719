"""Errors of the command line's own parser: they repeat the typed text, with control characters shown as escapes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

from synaug.runtime.security import visible

_KINDS = {int: "a whole number", float: "a number"}


class EscapingGroup(TyperGroup):
    """A group of commands whose usage errors repeat nothing raw: an argument may be a file name that anybody gave."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the arguments before the command; an unknown option there may be one of the command."""
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
            if (refusal := _refusal(error)) is not None:
                error.message = refusal  # type: ignore[attr-defined]
            text = visible(error.format_message(), keep="\n")
            if of_option and hasattr(error, "option_name"):
                text = f"{text} {of_option}"
            error.format_message = lambda: text
        raise


def _refusal(error: Exception) -> str | None:
    """Return the allowed values of an option and the typed one; None if the parser's own message contains them.

    The parser checks types and ranges with pydantic, whose messages lack the value.
    """
    details = getattr(error.__cause__, "errors", None)
    parameter = getattr(error, "param", None)
    if details is None or parameter is None:
        return None
    first = details()[0]
    kind = _KINDS.get(parameter.type_descriptor.annotation)
    if kind is None:  # a choice, whose message has the value
        return str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    allowed = parameter.type_descriptor.parameter_info
    return f"must be {kind}{_range(allowed.min, allowed.max)}, got {first['input']!s:.80}"


def _range(least: float | None, most: float | None) -> str:
    """Return the allowed range as words that follow "a number".

    >>> _range(8, None), _range(0, 1.0), _range(None, None)
    (' of at least 8', ' from 0 to 1', '')
    """
    if least is not None and most is not None:
        return f" from {least:,g} to {most:,g}"
    if least is not None:
        return f" of at least {least:,g}"
    return "" if most is None else f" of at most {most:,g}"
