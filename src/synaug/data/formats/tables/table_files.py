"""Read table files (CSV, TSV, JSON lines, Parquet) with every text exactly as written."""

from __future__ import annotations

import codecs
import csv
import json
import re
import warnings
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synaug.data.checks.csv_rows import csv_rows
from synaug.errors import DataError
from synaug.runtime.files import directories

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_SHEET, _ARCHIVE = " Save the sheet as CSV (UTF-8).", " Unpack it and give the folder."
_WAYS_OUT = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), _SHEET),
    **dict.fromkeys((".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"), _ARCHIVE),
    ".json": " Write one JSON object per line, and name the file .jsonl.",
    ".npz": " Load the arrays in Python and pass (images, labels).",
    ".npy": " Load the array in Python and pass (images, labels).",
}
_LONGEST_HEADER = 1_000_000
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_SEPARATORS = (",", ";", "\t", "|")


Content = bytes | np.ndarray | None
"""An image in memory; None for one in a file."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table; ``class_names`` of its numbered columns, ``contents`` of its image columns: encoded bytes or arrays."""

    frame: pd.DataFrame
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    contents: dict[str, list[Content]] = field(default_factory=dict)


def way_out(path: Path) -> str:
    """Return a sentence for an error about a file of another kind, with a leading space; empty if there is none.

    >>> way_out(Path("a.zip")), way_out(Path("a.csv"))
    (' Unpack it and give the folder.', '')
    """
    return _WAYS_OUT.get(path.suffix.lower(), "")


def read_table(path: Path) -> Table:
    """Return the table in a file, read according to its suffix.

    Raises:
        DataError: the file cannot be read, has no rows, or has two columns with the same name.
    """
    suffix = path.suffix.lower()
    try:
        directories.checked(path)
        if suffix == ".parquet":
            table = _read_parquet(path)
        elif suffix == ".jsonl":
            table = Table(_read_json_lines(path))
        else:
            table = Table(_read_separated(path))
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(
            f"The table {path} is not UTF-8 text (byte {error.object[error.start]:#04x} at position {error.start}). "
            "Save it as UTF-8; in Excel, as 'CSV UTF-8'."
        ) from error
    except (
        OSError, csv.Error, pa.ArrowException, pd.errors.ParserError, pd.errors.ParserWarning, ValueError,
        OverflowError, TypeError,
    ) as e:  # fmt: skip
        raise DataError(f"The table {path} cannot be read: {e}.") from e
    if table.frame.empty:
        raise DataError(f"The table {path} has no rows.")
    return table


def _read_separated(path: Path) -> pd.DataFrame:
    encoding = _encoding(path)
    with open(path, encoding=encoding, newline="") as file:
        header = file.readline(_LONGEST_HEADER)
        declared = _SEPARATOR_LINE.fullmatch(header.strip("\r\n "))  # Excel's own first line, which is not a row
        if declared:
            header = file.readline(_LONGEST_HEADER)
    if len(header) >= _LONGEST_HEADER:
        raise DataError(f"The first line of the table {path} is longer than {_LONGEST_HEADER:,} characters.")
    if not header.strip():
        raise DataError(f"The table {path} is empty or starts with an empty line; its first line must name columns.")
    separator = declared[1] if declared else max(_SEPARATORS, key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator, skipinitialspace=True))]
    named = [name or f"column {number}" for number, name in enumerate(names, 1)]
    _check_distinct(named, path)
    with open(path, encoding=encoding, newline="") as file:
        if declared:
            file.readline()
        deque(csv_rows(file, separator=separator, where=path, skip_spaces=True), maxlen=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header
        frame = pd.read_csv(
            path, sep=separator, names=named, header=0, index_col=False, dtype=str, keep_default_na=False,
            encoding=encoding, skipinitialspace=True, skiprows=1 if declared else 0,
        )  # fmt: skip
    unnamed = [new for name, new in zip(names, named, strict=True) if not name]
    return frame.drop(columns=[name for name in unnamed if (frame[name].str.strip() == "").all()])


def _encoding(path: Path) -> str:
    """Return the encoding of a text file judged by its first bytes: UTF-16 as written by Excel, or UTF-8."""
    with open(path, "rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _check_distinct(names: list[str], path: Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path} has the column {twice[0]!r} twice. Rename or remove one of them.")


def _read_json_lines(path: Path) -> pd.DataFrame:
    def record(pairs: list[tuple[str, object]]) -> dict[str, object]:
        _check_distinct([name for name, _ in pairs], path)
        return dict(pairs)

    records = []
    with open(path, encoding=_encoding(path)) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                records.append(json.loads(line, object_pairs_hook=record))
            except DataError:
                raise
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} is not JSON: {error}.") from error
            if not isinstance(records[-1], dict):
                raise DataError(f'{path}, line {number} is not an object such as {{"path": ..., "label": ...}}.')
    return pd.DataFrame(records)


def _read_parquet(path: Path) -> Table:
    table = pq.read_table(path)
    table.validate(full=True)  # otherwise text that is not UTF-8 would fail much later
    _check_distinct(table.column_names, path)
    columns: dict[str, list[str] | pd.Series] = {}
    contents: dict[str, list[Content]] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
            kind = column.type.field("bytes").type
            if not (_is_binary(kind) or pa.types.is_null(kind)):
                raise DataError(
                    f"{path}: the field 'bytes' of the column {name!r} holds {kind}, not encoded images (binary)."
                )
            contents[name] = _field(column, "bytes")
            columns[name] = ["" if value is None else str(value) for value in _field(column, "path")]
        elif _is_binary(column.type):
            contents[name] = column.to_pylist()
            columns[name] = [""] * len(column)
        else:
            columns[name] = column.to_pandas()
    return Table(pd.DataFrame(columns), _schema_class_names(table.schema.metadata or {}), contents)


def _is_binary(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary,
        )
    )  # fmt: skip


def _field(column: pa.ChunkedArray, name: str) -> list[Any]:
    if column.type.get_field_index(name) < 0:
        return [None] * len(column)
    return [value for chunk in column.chunks for value in chunk.field(name).to_pylist()]


def _schema_class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Return the class names that Hugging Face ``datasets`` stores for its ClassLabel columns."""
    try:
        features: object = json.loads(metadata.get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return {}
    for key in ("info", "features"):
        features = features.get(key) if isinstance(features, dict) else None
    if not isinstance(features, dict):
        return {}
    return {
        name: tuple(kind["names"])
        for name, kind in features.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and _are_names(kind.get("names"))
    }


def _are_names(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(name, str) for name in value)
