"""List the images of a Hugging Face data set: on the Hub at a fixed commit, or saved by ``datasets`` in a folder.

The code of a data set is neither run nor downloaded. The encoded images are held in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypedDict

import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats.folders import NOT_READ, SPLIT_NAMES, split_of
from synaug.data.formats.listing import Listing
from synaug.data.formats.tables import PATH_COLUMNS, Content, Table, list_rows
from synaug.data.images import file_bytes
from synaug.data.manifest import Quarantined
from synaug.errors import DataError, EnvironmentFault, first_line
from synaug.runtime import missing_library, storage
from synaug.runtime.files import directories

if TYPE_CHECKING:
    import datasets

PREFIX = "hf:"
CARD, SECOND_HEAD = "README.md", ".huggingface.yaml"  # datasets reads both headers; the second one wins
NEVER = ("*.py", "*.pkl", "*.pickle", "*.pt", "*.pth", "*.bin", "*.npy")  # may execute code, and are not needed
_WAYS_OUT = (
    "Ways out: allow the network and, if the data set requires it, accept its terms and set HF_TOKEN; or give a "
    "folder that datasets' save_to_disk wrote."
)


def is_hub_id(path: Path) -> bool:
    """Return whether a source is a data set on the Hub: ``hf:ID`` or ``hf:ID@REVISION``."""
    return str(path).startswith(PREFIX)


def is_saved(folder: Path) -> bool:
    """Return whether the folder was written by ``save_to_disk`` of ``datasets``."""
    one = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    return one or (folder / "dataset_dict.json").is_file()


def list_hub(source: Path, options: DataOptions) -> Listing:
    """List the images of a data set on the Hub, which is downloaded if necessary.

    Raises:
        EnvironmentFault: it is not available, or the package ``datasets`` is missing.
        DataError: it cannot be read, or lacks a column.
    """
    name, _, revision = str(source).removeprefix(PREFIX).partition("@")
    datasets = _library()
    folder = snapshot(name, revision or None)
    if place := named_elsewhere(folder):
        raise DataError(
            f"The card of {source} names files outside the data set ({place}), which synaug does not load: they belong "
            "to no fixed commit. Download them, and give a folder that datasets' save_to_disk wrote."
        )
    with storage.scratch_folder("hub") as cache, _no_bars(datasets):
        try:
            loaded = datasets.load_dataset(str(folder), name=options.subset, cache_dir=str(cache))
        except Exception as error:  # each kind of damage raises its own type
            raise DataError(f"The data set {source} cannot be read: {first_line(error)}.") from error
        listing = _listing(loaded, options, source, folder=folder)
    return replace(listing, origin=f"{PREFIX}{name}@{folder.name}")


def list_saved(folder: Path, options: DataOptions) -> Listing:
    """List the images of a folder written by ``save_to_disk``.

    Raises:
        EnvironmentFault: the package ``datasets`` is missing.
        DataError: it cannot be read, or lacks a column.
    """
    datasets = _library()
    with _no_bars(datasets):
        try:
            loaded = datasets.load_from_disk(str(folder))
        except Exception as error:
            raise DataError(f"The data set {folder} cannot be read: {first_line(error)}.") from error
        return _listing(loaded, options, folder, folder=folder)


def named_elsewhere(folder: Path) -> str:
    """Return the first file in a card's header that is outside the card's folder; empty if there is none.

    ``datasets`` follows such names: to a URL, to another repository with the user's token, or to files on this machine.
    """
    import yaml
    from huggingface_hub import DatasetCard

    configs: list[dict[str, object]] = []
    try:
        if (folder / CARD).is_file():
            head = DatasetCard.load(folder / CARD, ignore_metadata_errors=True).data.to_dict()
            configs += head.get("configs") or []
        if (folder / SECOND_HEAD).is_file():
            second = yaml.safe_load(directories.read_text(folder / SECOND_HEAD)) or {}
            configs += second.get("configs") or []
        named = [config.get(key) for config in configs for key in ("data_files", "data_dir")]
    except Exception as error:  # another library's parser on an untrusted file
        raise DataError(f"The card of {folder} cannot be read: {type(error).__name__}.") from error
    elsewhere = (text for text in _texts(named) if "://" in text or text.startswith("/") or ".." in text.split("/"))
    return next(elsewhere, "")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def snapshot(name: str, revision: str | None) -> Path:
    """Return the folder of a data set in the Hub's cache, at the commit the revision currently points to.

    Raises:
        EnvironmentFault: it is not available.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    cause = "it was never downloaded"
    if not constants.HF_HUB_OFFLINE:
        try:
            commit = huggingface_hub.HfApi().dataset_info(name, revision=revision).sha
            return Path(
                huggingface_hub.snapshot_download(
                    name, repo_type="dataset", revision=commit, ignore_patterns=list(NEVER)
                )
            )
        except Exception as error:  # the Hub client passes on errors of its HTTP library, which has changed over time
            cause = first_line(error)
    try:
        return Path(
            huggingface_hub.snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True)
        )
    except (errors.LocalEntryNotFoundError, errors.HFValidationError, OSError) as error:
        raise EnvironmentFault(
            f"The data set {name} cannot be downloaded from the Hub: {cause}. {_WAYS_OUT}"
        ) from error


def _listing(
    loaded: datasets.DatasetDict | datasets.Dataset, options: DataOptions, where: Path, *, folder: Path
) -> Listing:
    splits, left_out = _splits(loaded, where, options.splits)
    tables = [_table(part, split, options, folder=folder) for split, part in splits]
    image = next((column for column in PATH_COLUMNS if column in tables[0].contents), None)
    if options.path is None and image is None and tables[0].contents:
        options = options.model_copy(update={"path": next(iter(tables[0].contents))})
    together = Table(
        pd.concat([table.frame for table in tables], ignore_index=True),
        tables[0].class_names,
        {name: [one for table in tables for one in table.contents[name]] for name in tables[0].contents},
    )
    listing = list_rows(together, options, where=where, root=where.parent)
    return replace(listing, root=folder, repeated=(*listing.repeated, *left_out))


def _splits(
    loaded: datasets.DatasetDict | datasets.Dataset, where: Path, given: Mapping[str, str]
) -> tuple[list[tuple[str, datasets.Dataset]], list[Quarantined]]:
    """Return (split, rows) of the recognized splits, and the splits with other names as skipped."""
    if not isinstance(loaded, Mapping):
        return [(split_of(str(loaded.split), given) or "train", loaded)], []
    if len(loaded) == 1:
        return [("train", next(iter(loaded.values())))], []
    named = {name: split for name in loaded if (split := split_of(name, given)) not in (None, NOT_READ)}
    if not named:
        raise DataError(
            f"{where} has the splits {', '.join(loaded)}. Known: {', '.join(SPLIT_NAMES)} and their usual spellings; "
            f"assign others with --splits {next(iter(loaded))}=train (data.splits)."
        )
    others = [name for name in loaded if name not in named]
    left_out = [Quarantined(f"split {name!r}", f"{len(loaded[name]):,} images of no known split") for name in others]
    return [(split, loaded[name]) for name, split in named.items() if split], left_out


def _table(part: datasets.Dataset, split: str, options: DataOptions, *, folder: Path) -> Table:
    """Return the columns of one split that have one value per row, and the encoded images."""
    import datasets

    frame: dict[str, list[object]] = {}
    contents: dict[str, list[Content]] = {}
    class_names: dict[str, tuple[str, ...]] = {}
    for name, kind in part.features.items():
        if isinstance(kind, datasets.Image):
            cells = list(part.cast_column(name, datasets.Image(decode=False))[name])
            contents[name] = [_encoded(cell, folder) for cell in cells]
            frame[name] = [(cell or {}).get("path") or "" for cell in cells]
        elif isinstance(kind, datasets.ClassLabel | datasets.Value):
            frame[name] = list(part[name])
            if isinstance(kind, datasets.ClassLabel):
                class_names[name] = tuple(kind.names)
    table = Table(pd.DataFrame(frame), class_names, contents)
    return table if options.split else replace(table, frame=table.frame.assign(split=split))


class _Encoded(TypedDict, total=False):
    bytes: bytes | None
    path: str | None


"""A cell of an image column that is not decoded."""


def _encoded(cell: _Encoded | None, folder: Path) -> bytes:
    """Return the bytes of an image, from the row itself or from a file inside the data set, never from elsewhere.

    A missing image has no bytes and is quarantined as unreadable.
    """
    data, place = (None, None) if cell is None else (cell.get("bytes"), cell.get("path"))
    if data is not None:
        return bytes(data)
    if not place:
        return b""
    path = Path(place)
    if not path.absolute().is_relative_to(folder.absolute()) or ".." in path.parts:
        raise DataError(
            f"The data set names the file {place}, which it does not contain. Save it together with its images."
        )
    return file_bytes(path) if path.is_file() else b""


def _library() -> ModuleType:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise missing_library(error, "Reading this") or error from None
    return datasets


@contextlib.contextmanager
def _no_bars(datasets: ModuleType) -> Iterator[None]:
    were_off = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            datasets.enable_progress_bars()
