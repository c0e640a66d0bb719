"""Check that the content of a JSON file has the form its readers rely on, so that damage raises a clear error."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from synaug.errors import DataError
from synaug.runtime.records.sealed import read_sealed

T = TypeVar("T")
_LONGEST = 60  # characters of a value in a message


def of_form(content: object, form: type[T], *, where: object, way_out: str) -> T:
    """Return the content unchanged after checking its form: its keys and the types of their values.

    Args:
        content: the content of a JSON file.
        form: a type, such as a typed dict of ``synaug.schemas``; it decides whether unknown keys are allowed.
        where: the file, for the message.
        way_out: what to do about it.

    Raises:
        DataError: a key is missing, or a value has another type or is out of range; the first one is named.
    """
    try:
        _adapter(cast("Any", form)).validate_python(content, strict=True)  # "1" is not a number, and true is not 1
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, found = ".".join(map(str, first["loc"])) or "its content", _short(first["input"])
        raise DataError(f"{where} is damaged: {place} is {found} ({first['msg']}). {way_out}") from None
    return content  # type: ignore[return-value]


def read_form(path: Path, form: type[T], *, needs: Sequence[str], way_out: str) -> T:
    """Return the content of a sealed JSON file after checking its form; an empty value if there is no file.

    Args:
        path: the file.
        form: a type, such as a typed dict whose keys may be missing.
        needs: the keys that the file must have.
        way_out: what to do if it is damaged.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return form()
    content = read_sealed(path, way_out=way_out)
    if missing := [key for key in needs if key not in content]:
        raise DataError(f"{path} is damaged: {missing[0]} is missing. {way_out}")
    return of_form(content, form, where=path, way_out=way_out)


@functools.cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


def _short(value: object) -> str:
    """Return a value as text of limited length.

    >>> _short({"a": 1}), _short("b" * 90) == "'" + "b" * 59 + "..."
    ("{'a': 1}", True)
    """
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
