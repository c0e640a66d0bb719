"""Write a manifest as a Parquet file, and read it back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synaug.data.checks import manifest_fault
from synaug.data.images import encoded
from synaug.data.manifest import (
    COLUMNS,
    SINGLE_ATTRIBUTE,
    SPLITS,
    DuplicatePair,
    Duplicates,
    LeftOut,
    Manifest,
    Quarantined,
)
from synaug.errors import DataError
from synaug.runtime import storage
from synaug.runtime.files import directories


class _Pair(TypedDict):
    first: str
    second: str
    is_equal: bool


class _DuplicateCounts(TypedDict, total=False):
    num_leaked: int
    leaked: list[_Pair]
    num_two_labels: int
    two_labels: list[_Pair]
    num_split_groups: int


class _Description(TypedDict):
    """The description of the images in the file's metadata; manifests of earlier versions lack some keys."""

    class_names: list[str]
    attribute_names: list[str]
    root: str | None
    quarantined: list[list[str]]
    layout: NotRequired[str]
    notes: NotRequired[list[str]]
    drew_test: NotRequired[bool]
    duplicates: NotRequired[_DuplicateCounts]
    left_out: NotRequired[list[tuple[str, str, int, list[str]]]]


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the manifest as one Parquet file that includes its class and attribute names."""
    storage.write_bytes(path, manifest_bytes(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return a manifest as a Parquet file; with one version of pyarrow, equal manifests give equal bytes."""
    about = {
        "class_names": list(manifest.class_names),
        "attribute_names": list(manifest.attribute_names),
        "root": None if manifest.root is None else str(manifest.root.resolve()),
        "quarantined": [[item.path, item.reason] for item in manifest.quarantined],
        "layout": manifest.layout,
        "notes": list(manifest.notes),
        "drew_test": manifest.drew_test,
        "duplicates": asdict(manifest.duplicates),
        "left_out": [(item.reason, item.suffix, item.number, list(item.examples)) for item in manifest.left_out],
    }
    frame = manifest.frame
    if "image" in frame:
        in_memory = (bytes, np.ndarray)  # all others are in files
        contents = [encoded(value) if isinstance(value, in_memory) else None for value in frame["image"]]
        frame = frame.assign(image=pd.Series(contents, frame.index, dtype=object))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"synaug": json.dumps(about)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def read_manifest(path: Path) -> Manifest:
    """Return the manifest in a file written by ``write_manifest``.

    Raises:
        DataError: the file is missing or is not a manifest.
    """
    try:
        table = pq.read_table(directories.checked(path))
        table.validate(full=True)  # otherwise text that is not UTF-8 would fail much later
        content = json.loads((table.schema.metadata or {})[b"synaug"])
        frame = table.to_pandas()
        fault = manifest_fault(  # reads every text: some may be no UTF-8
            frame, content, columns=COLUMNS, splits=SPLITS, single=SINGLE_ATTRIBUTE
        )
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"{path} is not a manifest of synaug: {error}.") from error
    if fault:
        raise DataError(f"{path} is not a manifest of synaug: {fault}.")
    about: _Description = content
    return Manifest(
        frame=frame,
        class_names=tuple(about["class_names"]),
        attribute_names=tuple(about["attribute_names"]),
        root=None if about["root"] is None else Path(about["root"]),
        quarantined=tuple(Quarantined(*item) for item in about["quarantined"]),
        layout=about.get("layout", ""),  # like the two below, missing in manifests of earlier versions
        notes=tuple(about.get("notes", ())),
        drew_test=about.get("drew_test") is True,
        duplicates=_duplicates(about.get("duplicates", {})),
        left_out=tuple(
            LeftOut(reason, suffix, number, tuple(examples))
            for reason, suffix, number, examples in about.get("left_out", ())
        ),
    )


def _duplicates(content: _DuplicateCounts) -> Duplicates:
    return Duplicates(
        num_leaked=content.get("num_leaked", 0),
        leaked=tuple(DuplicatePair(**pair) for pair in content.get("leaked", ())),
        num_two_labels=content.get("num_two_labels", 0),
        two_labels=tuple(DuplicatePair(**pair) for pair in content.get("two_labels", ())),
        num_split_groups=content.get("num_split_groups", 0),
    )
