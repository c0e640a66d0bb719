"""The run folder: where each thing of a run lies, and the lock file that says what the run is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synaug.config import UNNAMED, Recipe
from synaug.errors import ChangedFileError, DataError, OptionError
from synaug.recipes import make_recipe, with_overrides
from synaug.runtime import ownership, storage
from synaug.runtime.escaping import shell_word
from synaug.runtime.files import directories
from synaug.runtime.files.names import component
from synaug.runtime.recorded import check_file, current_digest
from synaug.runtime.sealed import read_sealed, required, write_sealed
from synaug.runtime.secrets import redacted

LIBRARIES = (
    "synaug",
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "timm",
    "scikit-learn",
    "numpy",
    "Pillow",
)
ENTRIES = {
    "plan.json", "data.parquet", "synaug.lock.json", "predictions.csv", "report.json", "report.html",
    "gap.json", "tracking", "checkpoints", "synthetic", "rejected", "journal", "review", "fitted-model",
    "fitted-model.safetensors", "choice.json", "autoencoded", "paid",
}  # fmt: skip
"""What synaug writes at the top of a run directory."""
CHECKPOINT_FILES = (
    "result.json", "predictions.csv", "gap.json", "classifier.safetensors", "training.safetensors", "training.csv",
)  # fmt: skip
"""What synaug writes into the folder of a method and seed, and into ``start`` in it."""
MAX_DIGITS = 20  # of a seed
SCHEMA_VERSION = 1
_FILES = {
    "plan.json", "data.parquet", "synaug.lock.json", "report.json", "report.html", "predictions.csv", "result.json",
    "gap.json", "classifier.safetensors", "training.safetensors", "training.csv", "decisions.csv",
    "fitted-model.safetensors",
}  # fmt: skip
_OF_MODEL = ("model", "revision", "licence", "path", "weights")
_OF_METHODS = ("methods.", "choose.")
_OF_SERVICE = tuple(  # what changes no image of a service
    f"api.{name} "
    for name in (
        *("key_variable", "price", "max_cost", "concurrency", "requests_per_minute", "timeout", "retries", "backoff"),
    )
)
_OF_TRAINING = ("train.", "methods.", "choose.", "name ")
_SHOWN_DIFFERENCES = 6
_DAMAGED = "Restore it from a copy, or plan into another directory with: synaug plan DATA --out OTHER"


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def data(self) -> Path:
        return self.path / "data.parquet"

    @property
    def lock_file(self) -> Path:
        return self.path / "synaug.lock.json"

    @property
    def choice(self) -> Path:
        return self.path / "choice.json"

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
        """Return the folder that holds the training state of one method and seed."""
        return self.checkpoints / f"{component(method, kind='method', where=self.path)}-{seed}"

    @property
    def gap(self) -> Path:
        """The file that holds the comparison of the synthetic images with the real ones."""
        return self.path / "gap.json"

    def result(self, method: str, seed: int) -> Path:
        """Return the file that holds the finished result of one method and seed."""
        return self.checkpoint(method, seed) / "result.json"

    def seeds(self) -> list[int]:
        """Return the seeds of which any method has a finished result, in ascending order."""
        names = (path.parent.name for path in self.checkpoints.glob("*-*/result.json"))
        return sorted({parsed[1] for name in names if (parsed := method_and_seed(name)) is not None})

    def method_predictions(self, method: str, seed: int) -> Path:
        """Return the predictions of one method and seed on the test images."""
        return self.checkpoint(method, seed) / "predictions.csv"


def method_and_seed(name: str) -> tuple[str, int] | None:
    """Return what ``RunFolder.checkpoint`` made the name of, or None for a folder that is not ours.

    >>> method_and_seed("synaug-0"), method_and_seed("my notes"), method_and_seed("old-copy")
    (('synaug', 0), None, None)
    """
    method, _, seed = name.rpartition("-")
    is_number = seed.isascii() and seed.isdigit() and (seed == "0" or not seed.startswith("0"))
    return (method, int(seed)) if method and is_number and len(seed) <= MAX_DIGITS else None


def foreign_files(path: Path) -> list[str]:
    """Return what is not of synaug in a run directory, relative to it: at its top and among its checkpoints.

    All of it is left alone by every command. A folder that is no run directory has nothing foreign.
    """
    if ownership.kind_of(path) != "run":
        return []
    found = ownership.foreign_entries(path, ENTRIES)
    checkpoints = RunFolder(path).checkpoints
    if checkpoints.is_symlink() or not checkpoints.is_dir():
        return found
    for folder in sorted(checkpoints.iterdir()):
        if method_and_seed(folder.name) is None or folder.is_symlink() or not folder.is_dir():
            found.append(f"checkpoints/{folder.name}")
            continue
        names = ownership.foreign_entries(folder, (*CHECKPOINT_FILES, "start"))
        found += [f"checkpoints/{folder.name}/{name}" for name in names]
    return found


def open_run(path: Path) -> RunFolder:
    """Return a run folder that ``plan`` made, after comparing its plan and manifest with their recorded digests.

    Raises:
        DataError: there is no plan in it, or its lock file is damaged.
        ChangedFileError: the plan or the manifest is not the one that was recorded.
    """
    run = RunFolder(directories.own(path))
    if not run.plan.is_file() or not run.lock_file.is_file():
        missing = run.lock_file if run.plan.is_file() else run.plan
        raise DataError(
            f"{path} is not a run folder: it has no {missing.name}. Make one with: synaug plan DATA --out {path}"
        )
    check_regular(run)
    check_recorded(run)
    return run


def check_regular(run: RunFolder) -> None:
    """Check that what bears the name of a file of a run is one: a pipe would be read from for ever.

    Raises:
        DataError: one is a folder, a pipe, a device or a link to nothing; the message names it.
    """
    folders = (run.path, *run.path.glob("journal"), *run.path.glob("review"), *run.path.glob("checkpoints/*/**"))
    for path in filter(Path.is_dir, folders):
        for entry in path.iterdir():
            is_ours = entry.name in _FILES or entry.suffix == ".jsonl"
            if is_ours and not entry.is_file():
                raise DataError(f"{entry} is not a regular file. Remove it, or restore the file from a copy.")


def check_recorded(run: RunFolder) -> None:
    """Compare the plan and the manifest with the digests in the lock file; runs of older versions have none.

    Raises:
        DataError: the lock file is damaged, or a file is missing.
        ChangedFileError: a file is not the one that was recorded.
    """
    for name, digests in read_lock(run).get("files", {}).items():
        recorded = [digests] if isinstance(digests, str) else list(digests)
        check_file(
            run.path / name,
            *recorded,
            way_out="The same 'synaug plan' or 'synaug run' command that planned this run writes it again.",
        )


def read_lock(run: RunFolder) -> dict[str, Any]:
    """Return the content of the lock file.

    Raises:
        DataError: it is missing, damaged, or of another version.
    """
    path = run.lock_file
    content = read_sealed(path, way_out=_DAMAGED)
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} is of version {version!r}; this synaug reads version {SCHEMA_VERSION}. Use the "
            "synaug that wrote it, or plan again."
        )
    required(content, path, way_out=_DAMAGED, source=str, data_digest=str, recipe=dict, versions=dict)
    for key in ("model", "scorer", "networks", "files"):
        if not isinstance(content.get(key, {}), dict):
            raise DataError(f"{path} is damaged: {key!r} is {type(content[key]).__name__}. {_DAMAGED}")
    if not set(content.get("files", {})) <= {run.plan.name, run.data.name}:
        raise DataError(
            f"{path} is damaged: it records other files than {run.plan.name} and {run.data.name}. {_DAMAGED}"
        )
    return content


def _change_lock(run: RunFolder, **changes: Any) -> None:
    content = read_lock(run)
    if any(content.get(key) != value for key, value in changes.items()):
        write_sealed(run.lock_file, redacted(content | changes))


def write_lock(
    run: RunFolder, *, source: str, recipe: Recipe, data_digest: str, model: Mapping[str, Any] | None = None
) -> None:
    """Record what the run is; while nothing is trained, the options of training may still change.

    Those of single methods may always: each result says of which options it is.

    Raises:
        OptionError: the folder already holds a run of other data or other options; the message names them.
    """
    content = {
        "schema_version": 1,
        "source": source,
        "data_digest": data_digest,
        "recipe": recipe.model_dump(mode="json"),
        "versions": {name: _version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        "machine": machine(),
    }
    if run.lock_file.exists():
        differing = _differences(read_lock(run), content)
        allowed = _OF_SERVICE + (_OF_METHODS if run.checkpoints.exists() else _OF_TRAINING)
        if differing and all(name.startswith(allowed) for name in differing):
            replace_recipe(run, recipe)
        elif differing:
            raise OptionError(f"{run.path} already holds another run ({_in_short(differing)}). {_way_out(run, recipe)}")
        _change_lock(run, source=redacted(source))
        return
    write_sealed(run.lock_file, redacted(content | ({"model": dict(model)} if model else {})))


def _way_out(run: RunFolder, recipe: Recipe) -> str:
    """Return what to do about options that differ from those of a run: train again, or use another folder."""
    differing = changed_options(locked_recipe(run), recipe)
    settings = [f"{name}={'null' if value is None else value}" for name, (_, value) in differing.items()]
    if settings and all(setting.startswith(_OF_TRAINING) for setting in settings):
        command = shlex.join(["synaug", "train", str(run.path), *(f"--set={setting}" for setting in settings)])
        return f"To train again on the same images: {command}. To keep both, choose another folder with --out."
    return (
        "Choose another folder with --out, or repeat the options of that run to resume it. Only options of training "
        f"may change on the same images: synaug train {shell_word(run.path)} --set train.SECTION.OPTION=VALUE"
    )


def change_training(run: RunFolder, recipe: Recipe) -> Recipe:
    """Replace the options of training of a run; its images stay, and methods of other options are trained again.

    Returns the recipe, as the lock file has it then.

    Raises:
        OptionError: another option differs, on which the images depend.
    """
    differing = changed_options(locked_recipe(run), recipe)
    outside = [name for name in differing if not name.startswith(("train.", "methods."))]
    if outside:
        raise OptionError(
            f"{outside[0]} cannot change in {run.path}: the images there depend on it. Allowed are the options below "
            "train and methods. For others start a new run: synaug run DATA --out OTHER --set ..."
        )
    if differing:
        replace_recipe(run, recipe)
    return recipe


def changed_options(before: Recipe, now: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the dotted options that differ, each with its value before and now."""
    old, new = (_flat(recipe.model_dump(mode="json")) for recipe in (before, now))
    return {
        name: (old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def locked_recipe(run: RunFolder) -> Recipe:
    """Return the options that the run was planned with."""
    return make_recipe(read_lock(run)["recipe"], where=str(run.lock_file))


def write_files(run: RunFolder, contents: Mapping[str, bytes]) -> None:
    """Write the plan and the manifest where they are missing or others, and their digests into the lock file.

    The digests come first: both the old and the new one while a file is replaced, so that an interruption leaves
    a run directory that opens.
    """
    recorded = read_lock(run).get("files", {})
    new = {name: storage.digest(data) for name, data in contents.items()}
    stale = [name for name, digest in new.items() if not _has_digest(run.path / name, digest)]
    if stale:
        both = {name: sorted({*_as_list(recorded.get(name)), digest}) for name, digest in new.items()}
        _change_lock(run, files=recorded | both)
        for name in stale:
            storage.write_bytes(run.path / name, contents[name])
    _change_lock(run, files=recorded | new)


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and current_digest(path) == digest


def _as_list(digests: str | list[str] | None) -> list[str]:
    return [] if digests is None else [digests] if isinstance(digests, str) else list(digests)


def run_name(run: RunFolder, recipe: Recipe) -> str:
    """Return what pages and cards call a run: the recipe's name, or the folder's if it has none."""
    return recipe.name if recipe.name != UNNAMED else run.path.resolve().name


def write_model(run: RunFolder, about: Mapping[str, Any], *, role: str = "model") -> None:
    """Write into the lock file which model makes the images: name, revision, license, path and digest of its weights.

    Role ``scorer``: the one that scores them.

    Raises:
        ChangedFileError: the run has a model of other weights already; its images and those of this one do not mix.
    """
    model = redacted({name: about.get(name) for name in _OF_MODEL})
    before = read_lock(run).get(role, {})
    known, now = before.get("weights"), model["weights"]
    if known is not None and now is not None and known != now:
        place = model["path"] or model["model"]
        raise ChangedFileError(
            f"The weights of {place} are not those that {run.path} was begun with (SHA-256 {now[:12]}, recorded "
            f"{known[:12]}). Restore them, name the folder it was begun with, or plan into another directory: synaug "
            "plan DATA --out OTHER",
            Path(str(place)),
        )
    _change_lock(run, **{role: model})


def locked_model(run: RunFolder) -> dict[str, str | None]:
    """Return the model that the lock file names; empty before it was loaded."""
    return dict(read_lock(run).get("model", {}))


def write_networks(run: RunFolder, digests: Mapping[str, str]) -> None:
    """Write into the lock file the digest of each file that a network of the user's own is in."""
    networks = read_lock(run).get("networks", {}) | redacted(dict(digests))
    if networks:
        _change_lock(run, networks=networks)


def replace_recipe(run: RunFolder, recipe: Recipe) -> None:
    """Write changed options, such as the network of a later training, into the lock file."""
    _change_lock(run, recipe=redacted(recipe.model_dump(mode="json")))


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = []
    if before.get("data_digest") != now["data_digest"]:
        found.append(f"its data are {before.get('source')}, now {now['source']}, or files changed since")
    changed = changed_options(make_recipe(before.get("recipe", {})), make_recipe(now["recipe"]))  # with new defaults
    found += [f"{name} was {old!r}, now {new!r}" for name, (old, new) in changed.items()]
    return found


def _in_short(differences: list[str]) -> str:
    more = len(differences) - _SHOWN_DIFFERENCES
    return "; ".join(differences[:_SHOWN_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> str:
    """Describe this machine in a few words, for reports."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU cores ({platform.machine()}), {pages:.0f} GiB, {_accelerator()}"


def _accelerator() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return "no GPU"


def change_model(path: Path, model: str) -> None:
    """Let a planned run take its images from another model.

    Raises:
        OptionError: images of the planned model are there already, or the model is no name of one.
    """
    from synaug.synthesis.planning.plan_file import plan_bytes, read_plan

    run = open_run(path)
    recipe = locked_recipe(run)
    if recipe.plan.model == model:
        return
    changed = with_overrides(recipe, {"plan.model": model})
    with storage.lock(path):
        if (path / "journal").exists():
            raise OptionError(
                f"{path} holds images of {recipe.plan.model}; they cannot be continued with {model}. "
                "Plan into another folder, or leave --model out."
            )
        plan = read_plan(run.plan)
        changed_plan = replace(plan, options=plan.options.model_copy(update={"model": model}))
        write_files(run, {run.plan.name: plan_bytes(changed_plan)})
        replace_recipe(run, changed)
        _change_lock(run, model={})
