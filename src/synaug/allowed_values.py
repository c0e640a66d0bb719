"""Describe in words the values that an option accepts, from its type and its limits in ``config``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from synaug.config import MethodOptions, RetrainOptions, StageOptions

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    str: "text",
}
_LISTS: dict[Any, str] = {str: "a list such as [a, b]", float: "a list of numbers such as [0.5, 0.5]"}
_OVERRIDES: dict[str, type[BaseModel]] = {"stage1": StageOptions, "retrain": RetrainOptions}
"""The sections that validate the dicts of the same names in ``MethodOptions``."""


def allowed_values(annotation: Any, limits: Iterable[object] = ()) -> str:
    """Return the allowed values of a type in words; null is not mentioned.

    Args:
        annotation: the type of an option.
        limits: its metadata, such as pydantic's ``Field(ge=1).metadata``.

    >>> allowed_values(float | Literal["auto"], FieldInfo(gt=0, le=1).metadata)
    "a number above 0 and at most 1, or 'auto'"
    >>> allowed_values(tuple[str, ...]), allowed_values(bool | None)
    ('a list such as [a, b]', 'true or false')
    """
    origin, arguments, limits = get_origin(annotation), get_args(annotation), list(limits)
    if origin is Annotated:
        return allowed_values(arguments[0], [*limits, *_unpacked(arguments[1:])])
    if origin in (Union, UnionType):
        return ", or ".join(allowed_values(each, limits) for each in arguments if each is not NoneType)
    if origin is Literal:
        names = [repr(name) for name in arguments]
        return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    if origin is tuple:
        return _LISTS.get(arguments[0], "a list")
    if origin is dict or annotation is dict:
        return "names with values such as {name: value}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a section with options such as {next(iter(annotation.model_fields))}"
    return f"{_WORDS.get(annotation, 'another value')}{_within(limits)}"


def _unpacked(metadata: Iterable[object]) -> list[object]:
    return [limit for each in metadata for limit in (each.metadata if isinstance(each, FieldInfo) else [each])]


def _within(limits: Sequence[object]) -> str:
    """Return the limits of a number, or the pattern of a text, as words that follow the kind of value."""
    found = {
        name: value
        for name in ("gt", "ge", "lt", "le", "multiple_of", "pattern")
        for limit in limits
        if (value := getattr(limit, name, None)) is not None
    }
    if "pattern" in found:
        return f" of the form {found['pattern']}"
    if "ge" in found and "le" in found:
        text = f" from {found['ge']:,} to {found['le']:,}"
    else:
        words = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
        parts = [f"{word} {found[name]:,}" for name, word in words.items() if name in found]
        text = "".join(f" {' and '.join(parts)}".replace("and of at most", "and at most") if parts else "")
    return text + (f" that is a multiple of {found['multiple_of']}" if "multiple_of" in found else "")


def option_at(root: type[BaseModel], path: Sequence[str | int]) -> tuple[list[str | int], Any, list[object]]:
    """Return the place of the option that a pydantic location is in, its type and its metadata.

    In a union, pydantic's locations end with the kind that was tried, such as ``constrained-int``; it is left out.

    >>> from synaug.config import Recipe
    >>> option_at(Recipe, ("plan", "cap"))[0], option_at(Recipe, ("cross_validate", "folds", "constrained-int"))[0]
    (['plan', 'cap'], ['cross_validate', 'folds'])
    """
    place: list[str | int] = []
    annotation: Any = root
    limits: list[object] = []
    for part in path:
        inner = _inside(annotation, part)
        if inner is None:
            break
        annotation, limits = inner
        place.append(part)
    return place, annotation, limits


def _inside(annotation: Any, part: str | int) -> tuple[Any, list[object]] | None:
    """Return the type and the metadata of one part of a section, list or dict; None if there is no such part."""
    arguments = [each for each in get_args(annotation) if each is not NoneType]
    if get_origin(annotation) in (Union, UnionType):
        return _inside(arguments[0], part) if len(arguments) == 1 else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation is MethodOptions and part in _OVERRIDES:
            return _OVERRIDES[str(part)], []
        field = annotation.model_fields.get(str(part))
        return None if field is None else (field.annotation, list(field.metadata))
    if get_origin(annotation) is dict:
        return arguments[1], []
    return (arguments[0], []) if get_origin(annotation) is tuple and isinstance(part, int) else None
