"""Make the standard streams of the process safe to write to, however the shell started it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import warnings
from typing import Any

from synaug.runtime.escaping import visible


def prepare_streams() -> None:
    """Open closed standard streams on the null device, and make every character printable in any encoding.

    A shell may start a program without streams (``>&-``). The next file that is opened would then become the standard
    output of every library that prints. In a locale that is not UTF-8, characters it lacks are shown as escapes.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            opened = os.open(os.devnull, mode)  # lowest free number, which is this one
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    for number, name, way in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:  # Python sets a closed stream to None
            setattr(sys, name, open(number, way, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # a replaced stream, as in tests, or a closed one
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


class _EscapedRecord(logging.LogRecord):
    """A line of a log in which control characters are shown as escapes."""

    def getMessage(self) -> str:
        """Return the message."""
        return visible(super().getMessage(), keep="\n")


def escape_messages() -> None:
    """Show control characters as escapes in what libraries log and warn of; it may quote any file."""
    logging.setLogRecordFactory(_EscapedRecord)
    show = warnings.formatwarning

    def escaped(message: Any, *arguments: Any, **options: Any) -> str:
        return visible(show(message, *arguments, **options), keep="\n")

    warnings.formatwarning = escaped


def flush_streams() -> OSError | None:
    """Flush the printed output; return the error if that fails, after which nothing more is written at exit."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        discard_output()
        return error
    return None


def discard_output() -> None:
    """Point the standard output at the null device, so that the interpreter's last flush does not fail as well."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
