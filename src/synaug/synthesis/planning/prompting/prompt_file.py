"""Read and write prompts as a table that a person can edit: one row per prompt."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import SupportsFloat

from synaug.data.formats.tables import read_table
from synaug.data.labels import cell_text, label_texts, plain_cell
from synaug.errors import DataError, OptionError, columns_of, unknown
from synaug.synthesis.planning.prompting.written_prompts import AUTHOR_COLUMNS, Author, WrittenPrompt

SUFFIXES = (".csv", ".tsv", ".jsonl")
COLUMNS = ("class", "attribute", "prompt", "negative_prompt", "weight")
SPREAD = "spread."  # prefix of the columns with phrases
_REQUIRED = ("class", "prompt")


def check_suffix(path: Path) -> None:
    """Raise an OptionError if the name of a prompts file does not end in one of ``SUFFIXES``."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"A prompts file ends in {', '.join(SUFFIXES)}, got {path.name!r}.")


def read_prompts(path: Path) -> tuple[WrittenPrompt, ...]:
    """Read a table with the columns ``class`` and ``prompt``, and possibly others of ``COLUMNS``.

    Columns such as ``spread.background`` contain the background that a prompt mentions, so that images take the
    backgrounds in turn. ``AUTHOR_COLUMNS`` contain its author, for the provenance of the images.

    Raises:
        OptionError: the suffix is unknown.
        DataError: the file cannot be read, a column is missing or unknown, or a value is not allowed; the message has
            the row.
    """
    check_suffix(path)
    frame = read_table(path).frame
    names = [str(name).strip().lower().replace(" ", "_") for name in frame.columns]
    _check_columns(names, path)
    columns = dict(zip(names, (frame[name] for name in frame.columns), strict=True))
    for name in ("class", "attribute"):
        if name in columns:
            where = f"{path}: the column {name!r}"
            columns[name] = label_texts(columns[name], where=where, may_lack=name == "attribute")
    phrases = [name for name in names if name.startswith(SPREAD)]
    read = [name for name in names if name in (*COLUMNS, *AUTHOR_COLUMNS) or name in phrases]
    prompts = []
    for number, cells in enumerate(zip(*(columns[name] for name in read), strict=True), 1):
        try:
            prompts.append(_prompt(dict(zip(read, cells, strict=True)), phrases))
        except ValueError as error:
            raise DataError(f"{path}, row {number}: {error}.") from None
    return tuple(prompts)


def _check_columns(names: Sequence[str], path: Path) -> None:
    for name in _REQUIRED:
        if name not in names:
            raise DataError(f"{path} has no column {name!r}. {columns_of(names, name)} Needed: class, prompt.")
    for name in names:
        if name not in (*COLUMNS, *AUTHOR_COLUMNS) and not name.startswith(SPREAD):
            known = [*COLUMNS, *AUTHOR_COLUMNS, f"{SPREAD}NAME"]
            raise DataError(f"{path}: {unknown('column', name, known)}")
        if names.count(name) > 1:
            raise DataError(f"{path} has the column {name!r} twice. Remove one of them.")


def _prompt(cells: Mapping[str, object], phrases: Sequence[str]) -> WrittenPrompt:
    """Return the prompt of a row.

    Raises:
        ValueError: a value is not allowed.
    """
    texts = {name: _text(value, name) for name, value in cells.items() if name != "weight"}
    return WrittenPrompt(
        class_name=texts["class"],
        prompt=texts["prompt"],
        attribute=texts.get("attribute", ""),
        negative_prompt=texts.get("negative_prompt", ""),
        weight=_weight(cells.get("weight")),
        phrases=tuple((name.removeprefix(SPREAD), texts[name]) for name in phrases if texts[name]),
        author=Author(**{name: texts[name] for name in AUTHOR_COLUMNS if name in texts}),
    )


def _text(value: object, name: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if name in AUTHOR_COLUMNS and not isinstance(value, bool | list | dict):
        value = str(value)  # such as the year 2026
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {value!r:.80}")
    return cell_text(" ".join(value.split()))


def _weight(value: object) -> float:
    if value is None or (isinstance(value, str) and not value.strip()) or (value != value):
        return 1.0
    try:
        if isinstance(value, str | SupportsFloat):
            return float(value)
    except ValueError:
        pass
    raise ValueError(f"weight must be a number, got {value!r:.80}")


def prompts_text(prompts: Iterable[WrittenPrompt], suffix: str) -> str:
    """Return the text of a prompts file, which ``read_prompts`` reads; columns without any value are left out.

    Args:
        prompts: one per row.
        suffix: one of ``SUFFIXES``.
    """
    rows = [_cells(each) for each in prompts]
    phrases = dict.fromkeys(name for row in rows for name in row if name.startswith(SPREAD))
    used = {name for row in rows for name, value in row.items() if value not in ("", None)}
    columns = [name for name in (*COLUMNS, *phrases, *AUTHOR_COLUMNS) if name in used or name in _REQUIRED]
    if suffix.lower() == ".jsonl":
        kept = ({name: row[name] for name in columns if row.get(name) not in ("", None)} for row in rows)
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t" if suffix.lower() == ".tsv" else ",", lineterminator="\n")
    table.writerow(columns)
    table.writerows([plain_cell(str(row.get(name, ""))) for name in columns] for row in rows)
    return text.getvalue()


def _cells(each: WrittenPrompt) -> dict[str, str | float | None]:
    return {
        "class": each.class_name,
        "attribute": each.attribute,
        "prompt": each.prompt,
        "negative_prompt": each.negative_prompt,
        "weight": "" if each.weight == 1 else each.weight,
        **{f"{SPREAD}{name}": phrase for name, phrase in each.phrases},
        **each.author.to_dict(),
    }
