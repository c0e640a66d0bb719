"""Read a recipe, a YAML file with the sections of ``config``, and change single options of one by their names.

An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from synaug.config import Recipe, Section
from synaug.errors import DataError, OptionError, unknown
from synaug.runtime.secrets import redacted

MAX_VALUES = 100_000  # what a recipe may hold; what its anchors repeat counts each time


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        DataError: the file cannot be read or is not YAML.
        OptionError: a key is unknown or a value is not allowed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The recipe {path} cannot be read: {error}.") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter two: dates and numbers
        raise DataError(f"The recipe {path} is not YAML: {error}.") from error
    except RecursionError:
        raise DataError(f"The recipe {path} is nested too deeply.") from None
    if not _is_small(content):
        raise DataError(f"The recipe {path} holds more than {MAX_VALUES:,} values, or holds itself.")
    if not isinstance(content, dict):
        raise OptionError(f"The recipe {path} must hold sections such as 'plan:', not {type(content).__name__}.")
    return make_recipe(content, where=str(path))


def _is_small(content: Any) -> bool:
    """Return whether the document is small also when all that its anchors repeat is written out."""
    waiting, seen = [content], 0
    while waiting and seen <= MAX_VALUES:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value
    return not waiting


def make_recipe(content: dict[str, Any], *, where: str = "recipe") -> Recipe:
    """Check a nested dict of options and return them as a recipe.

    Raises:
        OptionError: a key is unknown or a value is not allowed; the message names all of them.
    """
    try:
        return Recipe.model_validate(with_text_keys(content, where=where))
    except ValidationError as error:
        raise OptionError(f"{where}: {' '.join(_explained(item) for item in error.errors())}") from None


def with_text_keys(content: Any, *, where: str, place: str = "") -> Any:
    """Return nested content with keys as text: YAML reads the class name ``0`` as a number.

    Raises:
        OptionError: a key is a truth value, as YAML reads ``no`` and ``off``, or a date; what was written is lost.

    >>> with_text_keys({"target": {0: 12, "cat": 3}}, where="recipe")
    {'target': {'0': 12, 'cat': 3}}
    """
    if not isinstance(content, dict):
        return content
    texts = {}
    for key, value in content.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise OptionError(
                f"{where}: the key {key!r}{f' in {place}' if place else ''} is no text; YAML reads unquoted words such "
                "as yes, no, on and off as truth values. Write the name in quotes."
            )
        texts[str(key)] = with_text_keys(value, where=where, place=f"{place}.{key}" if place else str(key))
    return texts


def _explained(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{place}: {item['msg'].removeprefix('Value error, ')} (got {reprlib.repr(redacted(item['input']))})."
    section: Any = Recipe
    for part in item["loc"][:-1]:
        if part in section.model_fields:  # else it is a name of the user's, such as a method's
            section = _section_in(section.model_fields[part].annotation) or section
    return str(
        unknown("option", place, [".".join((*map(str, item["loc"][:-1]), name)) for name in section.model_fields])
    )


def _section_in(annotation: Any) -> Any:
    """Return the section that an annotation such as ``dict[str, Section] | None`` is about.

    >>> _section_in(dict[str, Recipe] | None).__name__
    'Recipe'
    """
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section_in(each))), None)


def with_overrides(recipe: Recipe, overrides: dict[str, Any]) -> Recipe:
    """Return the recipe with dotted options replaced, such as ``{"plan.model": "embedded"}``; None is skipped."""
    content = recipe.model_dump()
    for name, value in overrides.items():
        if value is None:
            continue
        *sections, last = name.split(".")
        place = content
        for section in sections:
            if not isinstance(place.get(section), dict):
                raise unknown("option", name, [key for key in place if key != section])
            place = place[section]
        place[last] = value
    return make_recipe(content, where="options")
