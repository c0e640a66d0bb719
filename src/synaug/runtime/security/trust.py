"""Decide whether code named in a recipe or run directory may run: only if the user named or confirmed it.

A recipe can name a network by the file or module that builds it, and that code runs with all of the user's rights.
Recipes and run directories are shared, so their word is not enough: the command line names the code (``--network``),
or confirms the file or its digest (``--trust``). In Python, ``with trusting("net.py"):`` does the same. The host of
an image service, which would receive a key from the environment, is confirmed in the same way.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlsplit

from synaug.errors import OptionError
from synaug.runtime.arguments import TEXT, check_arguments

_DIGEST = re.compile(r"[0-9a-f]{64}")
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


@contextlib.contextmanager
def trusting(*names: str) -> Iterator[None]:
    """Allow the named code to run in this block, even if it is a recipe or run directory that names it.

    Args:
        names: ``path/to/net.py`` or ``package.module``, optionally followed by ``:factory``, the SHA-256 of a file, or
            the host of an image service.
    """
    for name in names:
        check_arguments("trusting", name=(name, TEXT))
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


def check_trusted_host(endpoint: str, *, sent: str, known: str) -> None:
    """Check that a key or an image may be sent to a service: a known or confirmed one, or one on this machine.

    A recipe or a run directory of somebody else can name any address, and any variable of the environment.

    Args:
        endpoint: http(s) address of the service.
        sent: what would be sent, for the message, such as ``"the value of the environment variable KEY"``.
        known: address of the service whose keys these are by default.

    Raises:
        OptionError: nobody confirmed the host.
    """
    host = (urlsplit(endpoint).hostname or "").lower()
    if host == urlsplit(known).hostname or is_loopback(host) or host in {name.lower() for name in _trusted.get()}:
        return
    raise OptionError(
        f"The recipe names the service {host}, and {sent} would be sent there. If this is the service you want, add: "
        f"--trust {host}"
    )


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("localhost.example.com")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _normalized(name: str) -> str:
    """Return a name without its factory; a file becomes an absolute path."""
    if _DIGEST.fullmatch(name):
        return name
    place, separator, factory = name.rpartition(":")
    if not separator or factory.endswith(".py"):
        place = name
    return str(Path(place).expanduser().resolve()) if place.endswith(".py") else place
