"""Read recipes (YAML files with the sections of ``config``) and override single options by their dotted names.

An unknown key is an error that names the nearest known key.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import yaml
from pydantic import ValidationError

from synaug.allowed_values import allowed_values, option_at
from synaug.config import Recipe, Section
from synaug.errors import DataError, OptionError, nearest, unknown
from synaug.runtime import PATH, check_arguments
from synaug.runtime.files import component_fault, directories, folded
from synaug.runtime.security import redacted

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_NAME = 100  # bytes in the name of a method, an arm or a chart
MAX_VALUES = 100_000  # in a recipe; values repeated through YAML anchors count each time


def read_recipe(path: str | Path) -> Recipe:
    """Return the recipe in a YAML file.

    Raises:
        DataError: the file cannot be read or is not YAML.
        OptionError: a key is unknown or a value is not allowed.
    """
    check_arguments("read_recipe", path=(path, PATH))
    try:
        text = directories.read_text(Path(path))
    except (OSError, ValueError, TypeError) as error:  # a DataError is a ValueError
        raise DataError(f"The recipe {path} cannot be read: {str(error).rstrip('.')}.") from error
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter two: bad dates and numbers
        raise DataError(f"The recipe {path} is not YAML: {error}.") from error
    except RecursionError:
        raise DataError(f"The recipe {path} is nested too deeply.") from None
    if not _is_small(content):
        raise DataError(f"The recipe {path} contains more than {MAX_VALUES:,} values, or contains itself.")
    if not isinstance(content, dict):
        raise OptionError(f"The recipe {path} must contain sections such as 'plan:', not {type(content).__name__}.")
    return make_recipe(content, where=str(path))


def _is_small(content: object) -> bool:
    """Return whether the document stays small after its YAML anchors are expanded ("billion laughs" attack)."""
    waiting, seen = [content], 0
    while waiting and seen <= MAX_VALUES:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value
    return not waiting


def make_recipe(content: Mapping[str, object], *, where: str = "recipe") -> Recipe:
    """Validate a nested dict of options and return it as a recipe; ``where`` begins the messages of errors.

    Raises:
        OptionError: a key is unknown or a value is not allowed; the message lists every problem.
    """
    texts = with_text_keys(content, where=where)
    try:
        recipe = Recipe.model_validate(texts)
    except ValidationError as error:
        faults = dict.fromkeys(_explained(item, texts) for item in error.errors())  # one per kind of a union
        raise OptionError(f"{_before(where)}{' '.join(faults)}") from None
    _check_names(recipe, where)
    return recipe


def _before(where: str) -> str:
    return f"{where}: " if where else ""


def _check_names(recipe: Recipe, where: str) -> None:
    """Raise an OptionError unless the names of methods, arms and charts are distinct and usable as file names."""
    bench = recipe.bench
    sections: dict[str, list[str]] = {"methods": list(recipe.methods)}
    if bench is not None:
        sections |= {"bench.arms": list(bench.arms), "bench.curves": list(bench.curves)}
    for section, names in sections.items():
        seen: dict[str, str] = {}
        for name in names:
            fault = component_fault(name)
            if fault is None and len(name.encode()) > MAX_NAME:
                fault = f"is longer than {MAX_NAME} bytes"
            if fault:
                raise OptionError(f"{_before(where)}the name {name!r} in {section} {fault}, so it cannot name a file.")
            other = seen.setdefault(folded(name), name)
            if other != name:
                raise OptionError(
                    f"{_before(where)}the names {other!r} and {name!r} in {section} differ only by letter case or "
                    "Unicode form; on some systems they would be one file. Rename one of them."
                )


def with_text_keys(content: object, *, where: str, place: str = "") -> object:
    """Return nested content with every key as text; YAML reads a class name such as ``0`` as a number.

    Raises:
        OptionError: a key is a boolean (YAML reads ``no`` and ``off`` as false) or a date; the original text is lost.

    >>> with_text_keys({"target": {0: 12, "cat": 3}}, where="recipe")
    {'target': {'0': 12, 'cat': 3}}
    """
    if not isinstance(content, dict):
        return content
    texts = {}
    for key, value in content.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise OptionError(
                f"{_before(where)}the key {key!r}{f' in {place}' if place else ''} is not text; YAML reads "
                "unquoted words such "
                "as yes, no, on and off as truth values. Write the name in quotes."
            )
        texts[str(key)] = with_text_keys(value, where=where, place=f"{place}.{key}" if place else str(key))
    return texts


def _explained(item: ErrorDetails, content: object) -> str:
    """Return the fault of an option, the allowed values, and the value in the content."""
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "value_error":
        message = f"{place}: {item['msg'].removeprefix('Value error, ')}"
        if isinstance(item["input"], dict):  # a whole section, of which the message names the options
            return f"{message}."
        return f"{message} (got {reprlib.repr(redacted(item['input']))})."
    if item["type"] != "extra_forbidden":
        return _not_allowed(item, content)
    section: type[Section] = Recipe
    for part in item["loc"][:-1]:
        if (
            isinstance(part, str) and part in section.model_fields
        ):  # otherwise a name chosen by the user, such as a method's
            section = _section_in(section.model_fields[part].annotation) or section
    siblings = [".".join((*map(str, item["loc"][:-1]), name)) for name in section.model_fields]
    return str(unknown("option", place, [*siblings, *option_names()]))


def _not_allowed(item: ErrorDetails, content: object) -> str:
    parts, annotation, limits = option_at(Recipe, item["loc"])
    place, allowed = ".".join(map(str, parts)), allowed_values(annotation, limits)
    if item["type"] == "missing":
        return f"{place} is missing; it must be {allowed}."
    value = content
    for part in parts:
        value = value[part]  # type: ignore[index]  # pydantic has found it there
    names = [name for name in get_args(annotation) if isinstance(name, str)]
    near = nearest(value, names) if isinstance(value, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{place} must be {allowed}, got {reprlib.repr(redacted(value))}.{hint}"


def option_names(section: type[Section] = Recipe, *, before: str = "") -> list[str]:
    """Return the dotted names of all options, except those in user-named sections such as a method's."""
    names = []
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            names += option_names(kind, before=f"{before}{name}.")
        else:
            names.append(f"{before}{name}")
    return names


def _section_in(annotation: object) -> type[Section] | None:
    """Return the section class inside an annotation such as ``dict[str, Section] | None``, or None.

    >>> _section_in(dict[str, Recipe] | None).__name__
    'Recipe'
    """
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section_in(each))), None)


def with_overrides(recipe: Recipe, overrides: Mapping[str, object]) -> Recipe:
    """Return the recipe with dotted options replaced, such as ``{"plan.model": "embedded"}``; None is skipped."""
    if not isinstance(overrides, dict) or not all(isinstance(name, str) for name in overrides):
        raise OptionError(f"Options must be a dict of dotted names and values, got {overrides!r:.80}.")
    content = recipe.model_dump()
    for name, value in overrides.items():
        if value is not None:
            _put(content, name, value)
    return make_recipe(content, where="")


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Return the recipe with ``--set`` options applied, such as ``train.stage1.learning_rate=0.01``.

    A value is parsed as YAML (``0.01``, ``true``, ``null``, ``[broken, copy]``), or taken as plain text if the parsed
    value is not allowed for that option (``plan.template={class} on water``). Later settings override earlier ones.

    Raises:
        OptionError: a setting has no ``=`` or names an unknown option, or its value is not allowed.
    """
    for setting in settings:
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not (name and equals):
            raise OptionError(f"--set takes section.option=value, such as train.stage1.epochs=30; got {setting!r}.")
        content = recipe.model_dump()
        _put(content, name, _yaml_value(text))
        try:
            recipe = make_recipe(content, where="--set")
        except OptionError:
            _put(content, name, text)
            try:
                recipe = make_recipe(content)
            except OptionError:
                # Neither reading is allowed: repeat the first one for an error about the value as the user meant it.
                _put(content, name, _yaml_value(text))
                recipe = make_recipe(content, where="--set")
    return recipe


def _yaml_value(text: str) -> object:
    try:
        value: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return text
    return value if _is_small(value) else text


def _put(content: dict[str, object], name: str, value: object) -> None:
    """Set the option with this dotted name in nested options, in place.

    Raises:
        OptionError: the name contains an unknown section.
    """
    *sections, last = name.split(".")
    place = content
    for number, section in enumerate(sections):
        if number and sections[0] == "methods":
            place.setdefault(section, {})  # a method that the recipe has no options for yet
        inner = place.get(section)
        if not isinstance(inner, dict):
            raise unknown("option", name, option_names())
        place = inner
    place[last] = value
