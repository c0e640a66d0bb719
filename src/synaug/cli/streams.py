"""Make the standard streams of the process safe to write to, however the shell started it."""

from __future__ import annotations

import codecs
import contextlib
import errno
import logging
import os
import select
import sys
import warnings
from pathlib import Path
from typing import Any

from synaug.cli.loudness import is_quiet
from synaug.runtime.security import visible

CLOSED_PIPE = 141  # the exit code that a shell reports for a program ended by SIGPIPE: 128 + 13
_PLAIN = {  # stand-ins of the same width, so that tables keep their columns
    "█": "#",
    "━": "=",
    "·": ".",
    "…": "~",
    "±": "~",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "\N{NO-BREAK SPACE}": " ",
}
_ERRORS = "synaug.plain"


def prepare_streams() -> None:
    """Open closed standard streams on the null device, and make every character printable in any encoding.

    A shell may start a program without streams (``>&-``). The next file that is opened would then become the standard
    output of every library that prints. If the encoding of a stream lacks a character, a plain one stands in for it
    (``#`` for a block of a bar), or its escape.
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
        with contextlib.suppress(AttributeError, ValueError):  # a test's own stream, or one that was closed
            stream.reconfigure(errors=_ERRORS)  # type: ignore[union-attr]


def plain_or_escaped(error: UnicodeError) -> tuple[str, int]:
    r"""Return the text to write in place of characters that an encoding lacks: an error handler of ``codecs``.

    >>> codecs.register_error("plain", plain_or_escaped)
    >>> "██ 3 ± 1 大".encode("ascii", "plain")
    b'## 3 ~ 1 \\u5927'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = (_PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in lacking)
    return "".join(plain), error.end


codecs.register_error(_ERRORS, plain_or_escaped)


def printable(text: str) -> str:
    """Return the text as the standard output shows it, whose encoding may lack some of its characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, _ERRORS).decode(encoding)


def is_reader_gone() -> bool:
    """Return whether nobody reads the standard output or standard error any more, as after ``| head -1``."""
    if not hasattr(select, "poll"):  # Windows
        return True
    for number in (1, 2):
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        if any(state & select.POLLERR for _, state in poll.poll(0)):
            return True
    return False


class _EscapedRecord(logging.LogRecord):
    """A line of a log in which control characters are shown as escapes."""

    def getMessage(self) -> str:
        """Return the message."""
        return visible(super().getMessage(), keep="\n")


def escape_messages() -> None:
    """Show control characters as escapes in log lines and warnings, which may quote any file.

    A warning of our own reads like the other notes, without a line of source code. One per kind is shown: a thousand
    prompts that are too long are one fact.
    """
    logging.setLogRecordFactory(_EscapedRecord)
    show = warnings.formatwarning
    package = f"{Path(__file__).parents[1]}{os.sep}"
    known: set[tuple[str, int]] = set()

    def escaped(message: Any, category: type[Warning], filename: str, lineno: int, *more: Any, **options: Any) -> str:
        if not filename.startswith(package):
            return visible(show(message, category, filename, lineno, *more, **options), keep="\n")
        if is_quiet() or (filename, lineno) in known:
            return ""
        known.add((filename, lineno))
        return visible(f"Note: {message} Notes of this kind are shown once.\n", keep="\n")

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
    """Point the streams that fail at the null device, so that the interpreter's last flush does not fail, too."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, AttributeError):
            try:
                stream.flush()
            except OSError:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
