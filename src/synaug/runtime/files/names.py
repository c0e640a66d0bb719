"""Names of files: checks that one is a safe path component, and the hidden names that only synaug uses."""

from __future__ import annotations

import os
import re
import secrets
import unicodedata
from pathlib import Path

from synaug.errors import DataError

TEMPORARY = ".incomplete"
REMOVED = ".removed"
MAX_COMPONENT = 255  # bytes
_INVISIBLE = frozenset("\u00ad\u200b\u200e\u200f\u2060\ufeff")
_TOKEN = "synaug-"
_OURS = re.compile(rf"\..*\.{_TOKEN}[0-9a-f]{{16}}(\.incomplete|\.removed)", re.DOTALL)


def token_name(name: str, suffix: str = TEMPORARY, *, token: str | None = None) -> str:
    """Return a hidden name that only synaug uses, for a file or folder being written or removed.

    Args:
        name: name of the final file or folder; only its first 150 bytes are kept.
        suffix: ``.incomplete`` or ``.removed``.
        token: 16 hexadecimal digits; default: random ones.
    """
    start = name.encode(errors="surrogateescape")[:150].decode(errors="ignore")
    return f".{start}.{_TOKEN}{token or secrets.token_hex(8)}{suffix}"


def is_token_name(name: str, suffix: str = "") -> bool:
    """Return whether the name was made by ``token_name``.

    >>> is_token_name(token_name("a.json")), is_token_name(".a.incomplete")
    (True, False)
    """
    return _OURS.fullmatch(name) is not None and name.endswith(suffix)


def is_text(path: Path | str) -> bool:
    r"""Return whether a path is text in the encoding of this system; libraries and tables cannot hold any other.

    >>> is_text("photos"), is_text("ph\udcf6tos")
    (True, False)
    """
    return not any(unicodedata.category(letter) == "Cs" for letter in str(path))


def component_fault(name: str) -> str | None:
    """Return the reason why a name found in a file cannot be a single path component, or None if it can.

    >>> component_fault("bullet_train"), component_fault("../x"), component_fault("..")
    (None, 'has a path separator', 'starts with a dot')
    """
    size = len(name.encode(errors="surrogatepass"))
    rules = (
        (not name.strip(), "is empty"),
        ("/" in name or "\\" in name, "has a path separator"),
        (not is_text(name), "is not text in the encoding of this system"),
        (any(unicodedata.category(letter) == "Cc" for letter in name), "has a control character"),
        (name.startswith("."), "starts with a dot"),
        (name.endswith((".", " ")), "ends with a dot or a space"),
        (size > MAX_COMPONENT, f"has {size} bytes, but at most {MAX_COMPONENT} are allowed"),
    )
    return next((reason for applies, reason in rules if applies), None)


def component(name: object, *, kind: str, where: Path | str) -> str:
    """Return the name if it is a single safe path component.

    Args:
        name: the name as found in the file.
        kind: what it names, for the message, such as ``"method"``.
        where: the file that contains the name.

    Raises:
        DataError: it is not a safe component.
    """
    fault = component_fault(name) if isinstance(name, str) else f"is {type(name).__name__}, not text"
    if fault:
        raise DataError(f"{where}: the {kind} {name!r} {fault}, so it cannot name a file. The file was damaged.")
    return str(name)


def inside(path: object, *, where: Path | str) -> Path:
    """Return a relative path found in a file, if every component of it is safe.

    Raises:
        DataError: it is absolute, leads upward, or has a component that is not allowed.
    """
    if not isinstance(path, str) or os.path.isabs(path):
        raise DataError(f"{where}: {path!r} is not a path inside the folder. The file was damaged.")
    return Path(*(component(part, kind="path component", where=where) for part in path.split("/")))


def folded(name: str) -> str:
    """Return a name as it looks to a reader, and to a file system that ignores letter case and Unicode form.

    Characters without a width are removed: two names that differ only by them look the same.

    >>> folded("CAFE\u0301") == folded("caf\u00e9")
    True
    """
    visible = "".join(letter for letter in name if letter not in _INVISIBLE)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold())
