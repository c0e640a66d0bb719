"""The layout of a run directory: the path of each file, and which files in it are synaug's."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from synaug.errors import DataError
from synaug.runtime import ownership
from synaug.runtime.files import component, directories

ENTRIES = {
    "plan.json", "data.parquet", "synaug.lock.json", "predictions.csv", "report.json", "report.html",
    "gap.json", "tracking", "checkpoints", "synthetic", "rejected", "journal", "review", "fitted-model",
    "fitted-model.safetensors", "choice", "choice.json", "autoencoded", "paid", "cross-validation.json",
    "cross-validation", "amount.json",
}  # fmt: skip
"""Names that synaug uses at the top of a run directory."""
_FOLDERS = (
    "tracking", "checkpoints", "synthetic", "rejected", "journal", "review", "fitted-model", "autoencoded", "paid",
    "cross-validation", "choice",
)  # fmt: skip
CHECKPOINT_FILES = (
    "result.json", "predictions.csv", "gap.json", "classifier.safetensors", "training.safetensors", "training.csv",
)  # fmt: skip
"""Files that synaug writes into the folder of a method and seed, and into its subfolder ``start``."""
MAX_DIGITS = 20  # in a seed
_FILES = {
    "plan.json", "data.parquet", "synaug.lock.json", "report.json", "report.html", "predictions.csv", "result.json",
    "gap.json", "classifier.safetensors", "training.safetensors", "training.csv", "decisions.csv",
    "fitted-model.safetensors",
}  # fmt: skip


@dataclass(frozen=True)
class RunPaths:
    """The paths of one run."""

    path: Path

    @property
    def plan_file(self) -> Path:
        return self.path / "plan.json"

    @property
    def data_file(self) -> Path:
        return self.path / "data.parquet"

    @property
    def lock_file(self) -> Path:
        return self.path / "synaug.lock.json"

    @property
    def amount(self) -> Path:
        return self.path / "amount.json"

    @property
    def choice(self) -> Path:
        return self.path / "choice.json"

    @property
    def choosing(self) -> Path:
        """The folder with training states of an unfinished choice."""
        return self.path / "choice"

    @property
    def cross_validation(self) -> Path:
        return self.path / "cross-validation.json"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.csv"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    @property
    def tracking(self) -> Path:
        return self.path / "tracking"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint(self, method: str, seed: int) -> Path:
        """Return the folder with the training state of one method and seed."""
        return self.checkpoints / f"{component(method, kind='method', where=self.path)}-{seed}"

    @property
    def gap(self) -> Path:
        """The file with the comparison of synthetic and real images."""
        return self.path / "gap.json"

    def result(self, method: str, seed: int) -> Path:
        """Return the file with the finished result of one method and seed."""
        return self.checkpoint(method, seed) / "result.json"

    def seeds(self) -> list[int]:
        """Return the seeds with a finished result of any method, ascending."""
        names = (path.parent.name for path in self.checkpoints.glob("*-*/result.json"))
        return sorted({parsed[1] for name in names if (parsed := method_and_seed(name)) is not None})

    def method_predictions(self, method: str, seed: int) -> Path:
        """Return the file with the test predictions of one method and seed."""
        return self.checkpoint(method, seed) / "predictions.csv"


def method_and_seed(name: str) -> tuple[str, int] | None:
    """Return the method and seed in a folder name made by ``RunPaths.checkpoint``, or None for any other name.

    >>> method_and_seed("synaug-0"), method_and_seed("my notes"), method_and_seed("old-copy")
    (('synaug', 0), None, None)
    """
    method, _, seed = name.rpartition("-")
    is_number = seed.isascii() and seed.isdigit() and (seed == "0" or not seed.startswith("0"))
    return (method, int(seed)) if method and is_number and len(seed) <= MAX_DIGITS else None


def foreign_files(path: Path) -> list[str]:
    """Return the entries of a run directory that synaug did not write, as relative paths: top level and checkpoints.

    No command touches them. For a folder that is not a run directory, the list is empty.
    """
    if ownership.kind_of(path) != "run":
        return []
    found = ownership.foreign_entries(path, ENTRIES)
    checkpoints = RunPaths(path).checkpoints
    if checkpoints.is_symlink() or not checkpoints.is_dir():
        return found
    for folder in sorted(checkpoints.iterdir()):
        if method_and_seed(folder.name) is None or folder.is_symlink() or not folder.is_dir():
            found.append(f"checkpoints/{folder.name}")
            continue
        names = ownership.foreign_entries(folder, (*CHECKPOINT_FILES, "start"))
        found += [f"checkpoints/{folder.name}/{name}" for name in names]
    return found


def check_regular(run: RunPaths) -> None:
    """Check that the folders of a run are its own, and that its files are regular: reading a pipe would block forever.

    Raises:
        DataError: a folder at its top is a link, a mount point or a file; or a file is a folder, a pipe, a device or a
            dangling link. The message names it.
    """
    for name in _FOLDERS:
        with contextlib.suppress(FileNotFoundError), directories.opened(run.path / name):
            pass
    folders = (run.path, *run.path.glob("journal"), *run.path.glob("review"), *run.path.glob("checkpoints/*/**"))
    for path in filter(Path.is_dir, folders):
        for entry in path.iterdir():
            is_ours = entry.name in _FILES or entry.suffix == ".jsonl"
            if is_ours and not entry.is_file():
                raise DataError(f"{entry} is not a regular file. Remove it, or restore the file from a copy.")
