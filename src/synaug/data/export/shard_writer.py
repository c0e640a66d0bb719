"""Write an exported set as WebDataset shards: plain tar files that are read from front to back.

::

    out/train-000000.tar   KEY.png, KEY.cls (number of the class), KEY.json (metadata), one after another
    out/test-000000.tar
    out/classes.json       names of the classes in the order of their numbers
    out/SHA256SUMS         digest of every other file

The order within a split is shuffled by the digest of the id, so classes are mixed for a reader that streams, and it is
the same every time.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from synaug.data.export.dataset_card import column_kinds, plain_value
from synaug.data.export.digests import DIGESTS
from synaug.data.export.writer import METADATA
from synaug.data.images import file_bytes
from synaug.data.manifest import SPLITS
from synaug.errors import DataError, OptionError
from synaug.runtime import Progress, is_free, kind_of, put_in_place, silent, stop_here, storage, taken, work_folder
from synaug.runtime.files import inside
from synaug.runtime.security import shell_word

CLASSES = "classes.json"
PER_SHARD = 1000


def write_shards(
    exported: Path, out: Path, *, per_shard: int = PER_SHARD, progress: Progress = silent
) -> dict[str, dict[str, int]]:
    """Write the images of an exported set into tar files in the new folder ``out``.

    Args:
        exported: folder that ``synaug export`` wrote.
        out: a folder that does not exist or is empty.
        per_shard: images per tar file.
        progress: called with how many images were written.

    Returns:
        ``shards`` (their number by split) and ``images`` (likewise).

    Raises:
        OptionError: ``exported`` is not an exported set, ``out`` is not empty, or ``per_shard`` is below 1.
        DataError: the set is damaged.
    """
    if per_shard < 1:
        raise OptionError(f"per_shard must be at least 1, got {per_shard}.")
    if kind_of(exported) != "export" or not (exported / DIGESTS).is_file():
        raise OptionError(
            f"{exported} is not an exported data set. Write one first: synaug export RUN --out {shell_word(exported)}"
        )
    out = out.resolve()
    tables = {
        name: pd.read_parquet(exported / name / METADATA) for name in SPLITS if (exported / name / METADATA).is_file()
    }
    if "train" not in tables:
        raise DataError(f"{exported} has no train/{METADATA}. Export the run again.")
    classes = sorted(set(tables["train"]["label"]))
    content = storage.digest(f"{storage.file_digest(exported / DIGESTS)} {per_shard}".encode())
    parts = {
        f"{split}-{number:06d}.tar": (split, rows)
        for split, table in tables.items()
        for number, rows in enumerate(_parts(table, per_shard))
    }
    names = (*parts, CLASSES, DIGESTS)
    if not is_free(out, content, names):
        raise taken(out)
    total, done = sum(map(len, tables.values())), 0
    with work_folder(out, content, names) as folder:
        for name, (split, rows) in parts.items():
            stop_here()
            progress("writing shards", done, total, name)
            storage.write_chunks(folder / name, _members(exported / split, rows, classes))
            done += len(rows)
        progress("writing shards", total, total, "")
        storage.write_json(folder / CLASSES, classes)
        lines = [f"{storage.file_digest(folder / name)}  {name}\n" for name in sorted((*parts, CLASSES))]
        storage.write_text(folder / DIGESTS, "".join(lines))
        put_in_place(folder, out, kind="export", last=DIGESTS)
    return {
        "shards": {split: sum(name.startswith(f"{split}-") for name in parts) for split in tables},
        "images": {split: len(table) for split, table in tables.items()},
    }


def _parts(table: pd.DataFrame, per_shard: int) -> Iterator[pd.DataFrame]:
    order = table["id"].map(lambda name: storage.digest(str(name).encode())).argsort(kind="stable")
    shuffled = table.iloc[order]
    for start in range(0, len(shuffled), per_shard):
        yield shuffled.iloc[start : start + per_shard]


def _members(folder: Path, rows: pd.DataFrame, classes: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of a tar file: a header and the padded content of each member, then the end."""
    kinds = column_kinds(rows)
    for number in range(len(rows)):
        record = {str(name): plain_value(rows[name].iloc[number], kinds[str(name)]) for name in rows.columns}
        place = inside(record["file_name"], where=folder / METADATA)
        key = storage.digest(str(record["id"]).encode())[:32]  # without a dot: the first one in a name ends the key
        yield from _member(f"{key}{place.suffix}", file_bytes(folder / place))
        yield from _member(f"{key}.cls", str(classes.index(record["label"])).encode())
        yield from _member(f"{key}.json", json.dumps(storage.without_nan(record), ensure_ascii=False).encode())
    yield bytes(2 * tarfile.BLOCKSIZE)


def _member(name: str, data: bytes) -> Iterator[bytes]:
    about = tarfile.TarInfo(name)  # without time and owner, so that the same images give the same bytes
    about.size = len(data)
    yield about.tobuf(tarfile.USTAR_FORMAT)
    yield data
    yield bytes(-len(data) % tarfile.BLOCKSIZE)
