"""Redact access tokens and passwords in text that is written or printed."""

from __future__ import annotations

import re
from typing import TypeVar, cast

# tokens of Hugging Face and keys of services, and credentials in URLs, also in those whose "//" became "/" as a Path
_SECRET = re.compile(
    r"(\bhf_[A-Za-z0-9]{30,}\b|\bsk-[A-Za-z0-9_-]{16,}|(?<=:/)/?[^/@\s]+:[^/@\s]+(?=@)|(?<=://)[^/@\s]+(?=@))"
)


T = TypeVar("T")


def redacted(value: T) -> T:
    """Return the value with access tokens and URL credentials replaced by ``***``.

    >>> redacted({"model": "https://me:secret@host/m", "token": "hf_" + 34 * "a"})
    {'model': 'https://***@host/m', 'token': '***'}
    """
    return cast(T, _redacted(value))  # of the same type, except that a tuple becomes a list


def _redacted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return _SECRET.sub(_hidden, value) if isinstance(value, str) else value


def _hidden(found: re.Match[str]) -> str:
    return "/***" if found[0].startswith("/") else "***"
