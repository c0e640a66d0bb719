"""Check an exported folder: its files are unchanged, and torchvision and ``datasets`` load it correctly."""

from __future__ import annotations

import importlib.util
import stat
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.data.export.digests import DIGESTS, read_digests
from synaug.data.export.writer import CARD
from synaug.data.formats import SECOND_HEAD
from synaug.data.manifest import SPLITS
from synaug.errors import first_line
from synaug.runtime import MARKER, Progress, counted, left_over, silent, stop_here, storage
from synaug.runtime.files import directories

if TYPE_CHECKING:
    import datasets

_CHUNK = 256
_SHOWN = 20


def verify_dataset(folder: Path, *, progress: Progress = silent) -> list[str]:
    """Return the faults of an exported folder, one sentence each; an empty list if there are none.

    Recomputes all digests, looks for missing and extra files, and loads the folder with torchvision and ``datasets``,
    if they are installed.

    Raises:
        DataError: the folder does not exist or is not a synaug export.
    """
    folder = directories.own(folder.resolve())
    digests = read_digests(folder)
    problems, may_load = _file_problems(folder, digests, progress)
    images: dict[str, list[str]] = {}  # by split: class and name
    for path in digests:
        split, _, rest = path.partition("/")
        if "/" in rest:
            images.setdefault(split, []).append(rest)
    del digests
    if may_load and importlib.util.find_spec("torchvision"):
        problems += _torchvision_problems(folder, images)
    if may_load and importlib.util.find_spec("datasets"):
        problems += _datasets_problems(folder, images)
    hidden = len(problems) - _SHOWN
    return problems[:_SHOWN] + ([f"And {hidden:,} more."] if hidden > 0 else [])


def _file_problems(folder: Path, digests: dict[str, str], progress: Progress) -> tuple[list[str], bool]:
    """Return the faults of the files, and whether a library may open them all: not if one is a pipe or a link."""
    kinds = {
        path.relative_to(folder).as_posix(): path.lstat().st_mode
        for path in directories.entries_below(folder)
        if path != folder / MARKER
    }
    for name in left_over(folder):  # of an export that was killed right after its last step
        kinds.pop(name)
    present = {name for name, mode in kinds.items() if not stat.S_ISDIR(mode)}
    odd = {name for name in present if not stat.S_ISREG(kinds[name])}  # nothing may block on a pipe or follow a link
    problems = [f"{name} is {directories.kind_of(kinds[name])}, not a file." for name in sorted(odd)]
    present -= odd
    digests = {name: sha256 for name, sha256 in digests.items() if name not in odd}
    problems += [f"{path} is missing." for path in sorted(digests.keys() - present)]
    problems += [f"{path} is not part of the export." for path in sorted(present - digests.keys() - {DIGESTS})]
    paths = sorted(digests.keys() & present)
    with ThreadPoolExecutor(8) as pool:
        for start in range(0, len(paths), _CHUNK):
            stop_here()
            progress("checking digests", start, len(paths), "")
            chunk = paths[start : start + _CHUNK]
            found = pool.map(lambda path: storage.file_digest(folder / path), chunk)
            problems += [
                f"{path} changed: its digest is not the one in {DIGESTS}."
                for path, sha256 in zip(chunk, found, strict=True)
                if sha256 != digests[path]
            ]
    progress("checking digests", len(paths), len(paths), "")
    return problems, not odd


def _torchvision_problems(folder: Path, images: dict[str, list[str]]) -> list[str]:
    from torchvision.datasets import ImageFolder

    problems = []
    for split, expected in sorted(images.items()):
        try:
            loaded = ImageFolder(str(folder / split))
        except (OSError, RuntimeError) as error:
            problems.append(f"torchvision cannot load {split}: {error}.")
            continue
        if loaded.classes != _class_names(expected):
            problems.append(f"torchvision finds other classes in {split}: {', '.join(loaded.classes)}.")
        if len(loaded) != len(expected):
            problems.append(f"torchvision finds {counted(len(loaded), 'image')} in {split}, not {len(expected):,}.")
    return problems


def _class_names(images: list[str]) -> list[str]:
    return sorted({path.partition("/")[0] for path in images})


def _datasets_problems(folder: Path, images: dict[str, list[str]]) -> list[str]:
    import datasets

    if fault := remote_fault(folder):
        return [f"datasets did not load the folder: {fault}"]
    hides_bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with storage.scratch_folder("verify") as cache:
            return _loaded_problems(datasets.load_dataset(str(folder), cache_dir=str(cache)), images)
    except Exception as error:  # each kind of damage raises its own type
        return [f"datasets cannot load the folder: {first_line(error)}."]
    finally:
        if not hides_bars:
            datasets.enable_progress_bars()


def remote_fault(folder: Path) -> str:
    """Return the first reason why ``datasets`` would read anything outside the folder; empty if there is none.

    The header of ``README.md`` lists the files of each split, and may name a URL or a repository instead: ``datasets``
    would connect to it and send the token of a user who only wanted to check a folder.
    """
    from huggingface_hub import DatasetCard

    if (folder / SECOND_HEAD).exists():
        return f"{SECOND_HEAD} may name files elsewhere, and is not part of an export."
    try:
        head = DatasetCard.load(folder / CARD).data.to_dict() if (folder / CARD).is_file() else {}
    except Exception as error:  # another library's parser on an untrusted file
        return f"the header of {CARD} cannot be read: {type(error).__name__}."
    configs = head.get("configs")
    if not isinstance(configs, list) or len(configs) != 1 or not isinstance(configs[0], dict):
        return f"the header of {CARD} does not have exactly one entry in 'configs', as an export has."
    if not set(configs[0]) <= {"config_name", "data_files", "features"}:
        return f"the entry in 'configs' of {CARD} has options that an export does not have."
    files = configs[0].get("data_files")
    if not isinstance(files, list) or not all(isinstance(each, dict) for each in files):
        return f"'data_files' in {CARD} is not a list of splits."
    for each in files:
        split = each.get("split")
        if split not in SPLITS or each != {"split": split, "path": f"{split}/**"}:
            return f"'data_files' in {CARD} names {each.get('path')!r}, which is not the folder of a split."
    return ""


def _loaded_problems(loaded: datasets.DatasetDict, images: dict[str, list[str]]) -> list[str]:
    """Compare every row loaded by ``datasets``, by file name and label, with the files in the folder."""
    import datasets

    problems, class_names = [], _class_names(images.get("train", []))
    for split in sorted({*images, *loaded}):
        if split not in loaded:
            problems.append(f"datasets does not find the split {split}.")
            continue
        names = getattr(loaded[split].features.get("label"), "names", None)
        if names != class_names:
            problems.append(f"datasets finds other classes in {split}: {names}.")
            continue
        rows = loaded[split].cast_column("image", datasets.Image(decode=False))
        difference = Counter(images.get(split, ()))
        difference.subtract(
            f"{names[row['label']]}/{Path(row['image']['path']).name}"
            for row in rows.select_columns(["image", "label"])
        )
        if missing := +difference:
            problems.append(
                f"datasets fails to load {counted(missing.total(), 'image')} of {split} correctly, "
                f"such as {next(iter(missing))}."
            )
        if others := -difference:
            problems.append(
                f"datasets loads {counted(others.total(), 'image')} of {split} under a wrong name or class, "
                f"such as {next(iter(others))}."
            )
    return problems
