"""The metadata table and the data card of an exported set, for ``datasets`` and for people."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from synaug.runtime.security import markdown, one_line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

HEAD_KEYS = ("license", "language")
UNKNOWN_LICENSE = "unknown"
SIZES = tuple((10**power, name) for power, name in enumerate(("1K", "10K", "100K", "1M", "10M", "100M"), 3))
ROWS_AT_ONCE = 10_000
KINDS = {"int": "int64", "float": "float64", "bool": "bool", "text": "string"}


def column_kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Return the kind of each column: int, float, bool or text."""
    kinds = {}
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_bool_dtype(values):
            kinds[str(name)] = "bool"
        elif pd.api.types.is_signed_integer_dtype(values):
            kinds[str(name)] = "int"
        else:
            kinds[str(name)] = "float" if pd.api.types.is_float_dtype(values) else "text"
    return kinds


def plain_value(value: Any, kind: str) -> bool | int | float | str | None:
    """Return a table cell as a JSON value, None if it is missing.

    >>> plain_value(np.int64(3), "int"), plain_value(float("nan"), "float"), plain_value(["a"], "text")
    (3, None, '["a"]')
    """
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    if value is None or pd.isna(value):
        return None
    kinds: dict[str, type[int | float | bool | str]] = {"int": int, "float": float, "bool": bool, "text": str}
    return kinds[kind](value)


def metadata_pieces(records: Iterator[Mapping[str, object]], columns: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the metadata as Parquet, piece by piece: columns file_name and label, then the given ones."""
    kinds = {"file_name": "text", "label": "text", **columns}
    schema = pa.schema([(name, pa.type_for_alias(KINDS[kind])) for name, kind in kinds.items()])
    pieces = _Pieces()
    sink = pa.PythonFile(pieces, "w")
    with pq.ParquetWriter(sink, schema) as writer:
        while part := list(islice(records, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(part, schema))
            yield pieces.taken()
    yield pieces.taken()


class _Pieces(io.RawIOBase):
    """A writable file whose content can be taken out between writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._length += len(part)
        return len(part)

    def tell(self) -> int:
        return self._length

    def taken(self) -> bytes:
        """Return the content written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def make_card(
    *,
    counts: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    columns: Mapping[str, str],
    about: Mapping[str, object],
) -> str:
    """Return the ``README.md`` of an exported set.

    Its header lists the files of every split and the type of every column, because neither can be inferred reliably if
    a class is called ``train`` or ``test-tube``.

    Args:
        counts: images per table column, such as ``train, real``; each of shape ``(C,)``.
        class_names: in the same order as the folders.
        columns: kind of each metadata column; see ``column_kinds``.
        about: ``name``, ``description``, ``license``, and any other facts to list.
    """
    splits = list(dict.fromkeys(column.split(",")[0] for column in counts))
    name = str(about.get("name") or "Balanced image set")
    head: dict[str, object] = {"license": UNKNOWN_LICENSE} | {key: about[key] for key in HEAD_KEYS if about.get(key)}
    head |= {
        "pretty_name": one_line(name),
        "task_categories": ["image-classification"],
        "size_categories": [size_category(sum(int(column.sum()) for column in counts.values()))],
        "tags": ["synaug", "synthetic", "long-tail"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}/**"} for split in splits],
                "features": _features(class_names, columns),
            }
        ],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, allow_unicode=True, sort_keys=False, width=1000)}---\n",
        f"# {markdown(name)}\n",
        str(about.get("description") or "Real images balanced with synthetic ones by SYNAuG.") + "\n",
        _SOURCES,
        _counts_table(counts, class_names),
        _missing_note(counts, class_names),
        _about_list(about),
        _LIMITS,
        _LOADING,
    ]
    return "\n".join(part for part in parts if part)


def size_category(num_images: int) -> str:
    """Return the Hub's size category for a number of images.

    >>> size_category(999), size_category(4_000), size_category(20_000_000)
    ('n<1K', '1K<n<10K', '10M<n<100M')
    """
    below = "n"
    for limit, name in SIZES:
        if num_images < limit:
            return f"{below}<{name}"
        below = f"{name}<n"
    return f"{below}<1B"


def _features(class_names: Sequence[str], columns: Mapping[str, str]) -> list[dict[str, object]]:
    numbered = {str(number): name for number, name in enumerate(class_names)}
    features: list[dict[str, object]] = [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": numbered}}},
    ]
    features += [{"name": name, "dtype": KINDS[kind]} for name, kind in columns.items()]
    return features


def _counts_table(counts: Mapping[str, np.ndarray], class_names: Sequence[str]) -> str:
    lines = ["## Images", "", f"| class | {' | '.join(counts)} |", "|---" * (len(counts) + 1) + "|"]
    for label, name in enumerate(class_names):
        cells = " | ".join(f"{int(column[label]):,}" for column in counts.values())
        lines.append(f"| {markdown(name)} | {cells} |")
    total = " | ".join(f"{int(column.sum()):,}" for column in counts.values())
    return "\n".join([*lines, f"| **all** | {total} |", ""])


def _missing_note(counts: Mapping[str, np.ndarray], class_names: Sequence[str]) -> str:
    """Return notes on splits without some class: torchvision numbers only the classes present in a split."""
    notes = []
    for column, numbers in counts.items():
        split = column.split(",")[0]
        empty = [markdown(name) for name, number in zip(class_names, numbers, strict=True) if number == 0]
        if split != "train" and empty:
            notes.append(
                f"The {split} split has no images of {', '.join(empty)}: `ImageFolder` numbers the classes of that "
                "split without them, so map its labels by name.\n"
            )
    return "\n".join(notes)


def _about_list(about: Mapping[str, object]) -> str:
    shown = {key: value for key, value in about.items() if key not in ("name", "description") and value is not None}
    if not shown:
        return ""
    lines = [
        f"- {markdown(key)}: {markdown(value if isinstance(value, str) else json.dumps(value))}"
        for key, value in shown.items()
    ]
    return "\n".join(["## How it was made", "", *lines, ""])


_SOURCES = """Every image has `source` `real` or `synthetic` in `metadata.parquet`, and every synthetic file carries the
IPTC mark `DigitalSourceType` (`trainedAlgorithmicMedia`, or `compositeWithTrainedAlgorithmicMedia` if it was made
from a real image). Test and validation images are real.
"""
_LIMITS = """## Limits

Synthetic images show a class as the generating model represents it, with the model's gaps and biases. The checks
reject broken, off-class and copied images, but do not find all of them. Train on synthetic images;
evaluate on real images only. The license of the real images and the terms of the model both apply to the whole.
"""
_LOADING = """## Loading

```python
import datasets, torchvision

data = datasets.load_dataset("path/to/this/folder")
train = torchvision.datasets.ImageFolder("path/to/this/folder/train")
assert data["train"].features["label"].names == train.classes
```

`croissant.json` describes the set for Croissant loaders such as `mlcroissant`.
`sha256sum --check SHA256SUMS`, or `synaug verify`, checks that every file is unchanged.
"""
