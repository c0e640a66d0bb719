"""Decide whether code named in a recipe or run directory may run: only if the user named or confirmed it.

A recipe can name a network by the file or module that builds it, and that code runs with all of the user's rights.
Recipes and run directories are shared, so their word is not enough: the command line names the code (``--network``),
or confirms the file or its digest (``--trust``). In Python, ``with trusting("net.py"):`` does the same.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from synaug.errors import OptionError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


@contextlib.contextmanager
def trusting(*names: str) -> Iterator[None]:
    """Allow the named code to run in this block, even if it is a recipe or run directory that names it.

    Args:
        names: ``path/to/net.py`` or ``package.module``, optionally followed by ``:factory``, or the SHA-256 of a file.
    """
    token = _trusted.set(_trusted.get() | {_normalized(name) for name in names})
    try:
        yield
    finally:
        _trusted.reset(token)


def trusted() -> frozenset[str]:
    """Return the names that are trusted now, to pass to ``trusting`` in another process."""
    return _trusted.get()


def is_trusted(network: str, digest: str) -> bool:
    """Return whether code may run, given its ``network`` name in the recipe and the SHA-256 ``digest`` of its file."""
    allowed = _trusted.get()
    return digest in allowed or _normalized(network) in allowed


def check_trusted(network: str, digest: str) -> None:
    """Raise an OptionError for code that may not run; the message explains how to review and confirm it."""
    if is_trusted(network, digest):
        return
    place = network.rpartition(":")[0]
    confirmed = digest or place
    raise OptionError(
        f"The recipe names code: {network} (SHA-256 {digest or 'unknown'}). It runs with all your rights, so "
        f"it runs only if you confirm it. Read it; if you trust it, add: --trust {confirmed}"
    )


def _normalized(name: str) -> str:
    """Return a name without its factory; a file becomes an absolute path."""
    if _DIGEST.fullmatch(name):
        return name
    place, separator, factory = name.rpartition(":")
    if not separator or factory.endswith(".py"):
        place = name
    return str(Path(place).expanduser().resolve()) if place.endswith(".py") else place
