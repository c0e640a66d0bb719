"""Read the prompt names of classes from a file: CSV or another table, or a YAML mapping."""

from __future__ import annotations

from pathlib import Path

import yaml

from synaug.data.formats.tables.table_files import SUFFIXES, read_table
from synaug.errors import DataError, OptionError
from synaug.runtime.files import directories

_YAML = (".yaml", ".yml")
_COLUMNS = ("class", "name")


def read_aliases(path: Path) -> dict[str, str]:
    """Return the prompt name of each class in the file.

    Args:
        path: a table with the columns ``class`` and ``name``, or a YAML file with lines ``class: name``.

    Raises:
        DataError: the file cannot be read or has other content.
        OptionError: its suffix is not supported.
    """
    suffix = path.suffix.lower()
    if suffix in _YAML:
        pairs = _yaml_pairs(path)
    elif suffix in SUFFIXES:
        pairs = _table_pairs(path)
    else:
        raise OptionError(f"An aliases file ends in {', '.join((*SUFFIXES, *_YAML))}, got {path.name}.")
    aliases: dict[str, str] = {}
    for class_name, name in pairs:
        if isinstance(class_name, int) and not isinstance(class_name, bool):  # YAML reads the class name 0 as a number
            class_name = str(class_name)
        if not isinstance(class_name, str) or not isinstance(name, str) or not name.strip():
            raise DataError(
                f"{path} must give each class a name in words, got {class_name!r}: {name!r}; quote numbers."
            )
        if aliases.setdefault(class_name, name.strip()) != name.strip():
            raise DataError(f"{path} gives the class {class_name!r} two names: {aliases[class_name]!r} and {name!r}.")
    return aliases


def _yaml_pairs(path: Path) -> list[tuple[object, object]]:
    try:
        content = yaml.safe_load(directories.read_text(path))
    except (OSError, ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"The aliases {path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold lines 'class: name', not {type(content).__name__}.")
    return list(content.items())


def _table_pairs(path: Path) -> list[tuple[object, object]]:
    frame = read_table(path).frame
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; its columns must be {' and '.join(_COLUMNS)}.")
    return list(frame[list(_COLUMNS)].itertuples(index=False, name=None))
