"""List the images of WebDataset shards: plain tar files in which the members of an image follow one another.

Nothing is unpacked or executed: images are read into memory, ``.cls``, ``.txt`` and ``.json`` members as text; other
members are ignored. The split follows from the name of the tar file.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats.folders import is_image_name, split_of
from synaug.data.formats.listing import Listing
from synaug.data.formats.tables import Table, list_rows
from synaug.data.images import MAX_BYTES
from synaug.errors import DataError
from synaug.runtime.files import directories

SUFFIX = ".tar"
CLASSES = "classes.json"
_NUMBER = re.compile(r"[-_.]?\d+$")
_TEXTS = (".cls", ".txt", ".json")
_LABELS = ("label", "class", "class_name", "cls")  # keys of a .json member
_MAX_TEXT = 1_000_000  # bytes of a member of text


def is_shards(path: Path) -> bool:
    """Return whether the path is a shard, or a folder with shards and no other images at its top."""
    return path.suffix.lower() == SUFFIX if path.is_file() else path.is_dir() and bool(_shards(path))


def _shards(folder: Path) -> list[Path]:
    return sorted(
        folder / name for name in os.listdir(folder) if name.lower().endswith(SUFFIX) and not name.startswith(".")
    )


def list_shards(path: Path, options: DataOptions) -> Listing:
    """List the images of a shard, or of all shards in a folder.

    Raises:
        DataError: a shard is damaged, an image has no label, or there are no images.
    """
    folder = path if path.is_dir() else path.parent
    names = _class_names(folder)
    rows: list[dict[str, str | bytes]] = []
    for shard in _shards(path) if path.is_dir() else [path]:
        stem = _NUMBER.sub("", shard.stem)
        split = split_of(stem, options.splits) or "train"
        for key, members in _samples(shard):
            rows.append(_row(shard, key, members, split, names))
    if not rows:
        raise DataError(f"{path} has no images. A shard holds KEY.png (or .jpg, ...) and KEY.cls or KEY.json.")
    frame = pd.DataFrame(rows)
    contents = {"image": frame.pop("content").tolist()}
    if frame["attribute"].eq("").all():
        frame = frame.drop(columns="attribute")
    return list_rows(Table(frame, {"label": names} if names else {}, contents), options, where=path, root=None)


def _class_names(folder: Path) -> tuple[str, ...]:
    path = folder / CLASSES
    if not path.is_file():
        return ()
    try:
        names = json.loads(directories.read_bytes(path, limit=_MAX_TEXT))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path} must be a list of class names.")
    return tuple(names)


def _samples(shard: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the key and the members of each image; members of one image follow one another."""
    before, members = "", dict[str, bytes]()
    for place, data in _members(shard):
        name, _, kind = place.name.partition(".")
        key = str(place.parent / name)
        if key != before and members:
            yield before, members
            members = {}
        before = key
        members[kind.lower()] = data
    if members:
        yield before, members


def _members(shard: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the regular members that are images or text, with their content."""
    try:
        with (
            directories.opened_file(shard) as handle,
            open(handle, "rb", closefd=False) as file,
            tarfile.open(fileobj=file, mode="r:") as tar,
        ):
            for about in tar:
                place = PurePosixPath(about.name)
                is_image = is_image_name(place.name)
                if not about.isreg() or not (is_image or place.suffix.lower() in _TEXTS):
                    continue
                if about.size > (MAX_BYTES if is_image else _MAX_TEXT):
                    raise DataError(f"{shard}: the member {about.name!r} is too large, with {about.size:,} bytes.")
                content = tar.extractfile(about)
                yield place, b"" if content is None else content.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{shard} is damaged or not a plain tar file: {error}.") from error


def _row(
    shard: Path, key: str, members: dict[str, bytes], split: str, names: tuple[str, ...]
) -> dict[str, str | bytes]:
    image = next((data for kind, data in members.items() if is_image_name(f"x.{kind}")), None)
    if image is None:
        raise DataError(f"{shard}: {key!r} has no image, only {', '.join(sorted(members))}.")
    content: object = {}
    try:
        texts = {kind: members[kind].decode("utf-8").strip() for kind in ("cls", "txt", "json") if kind in members}
        if "json" in texts:
            content = json.loads(texts["json"])
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shard}: the text of {key!r} cannot be read: {error}.") from error
    about = content if isinstance(content, dict) else {}
    label = texts.get("cls") or next((str(about[name]) for name in _LABELS if about.get(name) is not None), "")
    label = label or texts.get("txt", "")
    if "cls" in texts and names:
        if not label.isascii() or not label.isdigit() or int(label) >= len(names):
            raise DataError(f"{shard}: {key!r} is of class {label!r}; {CLASSES} has the numbers 0 to {len(names) - 1}.")
        label = names[int(label)]
    attribute = about.get("attribute")
    return {
        "image": f"{shard.name}/{key}",
        "label": label,
        "split": split,
        "attribute": "" if attribute is None else str(attribute),
        "is_synthetic": "true" if about.get("is_synthetic") is True else "false",
        "content": image,
    }
