"""Read and write the lock file, which records a run's data, options, model, library versions and machine."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

from synaug.config import Recipe
from synaug.errors import ChangedFileError, DataError, OptionError
from synaug.recipes import make_recipe
from synaug.run_directory.paths import RunPaths
from synaug.runtime import machine, storage
from synaug.runtime.records import check_file, current_digest, read_sealed, required, write_sealed
from synaug.runtime.security import redacted, shell_word

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
SCHEMA_VERSION = 1
_OF_MODEL = ("model", "revision", "license", "path", "weights")
_OF_METHODS = ("methods.", "choose.", "cross_validate.")
OF_SERVICE = tuple(  # options that do not affect the images of a service
    f"api.{name} "
    for name in (
        *("key_variable", "price", "max_cost", "concurrency", "requests_per_minute", "timeout", "retries", "backoff"),
    )
)
_OF_TRAINING = ("train.", "methods.", "choose.", "cross_validate.", "name ")
_SHOWN_DIFFERENCES = 6
_DAMAGED = "Restore it from a copy, or plan into another directory with: synaug plan DATA --out OTHER"


class LockFile(TypedDict):
    """The content of the lock file; ``files`` has the digests of the plan and the manifest, two during a change."""

    schema_version: int
    source: str
    data_digest: str
    recipe: dict[str, object]
    versions: dict[str, str | None]
    machine: NotRequired[str]
    model: NotRequired[dict[str, str | None]]
    scorer: NotRequired[dict[str, str | None]]
    networks: NotRequired[dict[str, str]]
    files: NotRequired[dict[str, str | list[str]]]


def check_recorded(run: RunPaths) -> None:
    """Compare the plan and the manifest with the digests in the lock file; runs of older versions have no digests.

    Raises:
        DataError: the lock file is damaged, or a file is missing.
        ChangedFileError: a file does not match its recorded digest.
    """
    for name, digests in read_lock(run).get("files", {}).items():
        recorded = [digests] if isinstance(digests, str) else list(digests)
        check_file(
            run.path / name,
            *recorded,
            way_out="The same 'synaug plan' or 'synaug run' command that planned this run writes it again.",
        )


def read_lock(run: RunPaths) -> LockFile:
    """Return the content of the lock file.

    Raises:
        DataError: it is missing, damaged, or has another schema version.
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
    lock = cast("LockFile", content)
    roles: tuple[Literal["model", "scorer"], ...] = ("model", "scorer")
    for role in roles:  # spelled "licence" until November 2026
        if "licence" in lock.get(role, {}):
            lock[role] = {{"licence": "license"}.get(key, key): value for key, value in lock[role].items()}
    if not set(lock.get("files", {})) <= {run.plan_file.name, run.data_file.name}:
        raise DataError(
            f"{path} is damaged: it records other files than {run.plan_file.name} and {run.data_file.name}. {_DAMAGED}"
        )
    return lock


def change_lock(run: RunPaths, **changes: object) -> None:
    content = read_lock(run)
    if any(content.get(key) != value for key, value in changes.items()):
        write_sealed(run.lock_file, redacted({**content, **changes}))


def write_lock(
    run: RunPaths, *, source: str, recipe: Recipe, data_digest: str, model: Mapping[str, str | None] | None = None
) -> None:
    """Create the lock file of a run, or check an existing one against the recipe and data.

    Options of single methods may change at any time, since each result records its options; other training options may
    change until something is trained.

    Raises:
        OptionError: the folder already holds a run of other data or options; the message lists them.
    """
    content: LockFile = {
        "schema_version": 1,
        "source": source,
        "data_digest": data_digest,
        "recipe": recipe.model_dump(mode="json"),
        "versions": {name: _version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        "machine": machine(),
    }
    if run.lock_file.exists():
        differing = _differences(read_lock(run), content)
        allowed = OF_SERVICE + (_OF_METHODS if run.checkpoints.exists() else _OF_TRAINING)
        if differing and all(name.startswith(allowed) for name in differing):
            replace_recipe(run, recipe)
        elif differing:
            raise OptionError(f"{run.path} already holds another run ({_in_short(differing)}). {_way_out(run, recipe)}")
        change_lock(run, source=redacted(source))
        return
    if model:
        content["model"] = dict(model)
    write_sealed(run.lock_file, redacted(content))


def _way_out(run: RunPaths, recipe: Recipe) -> str:
    """Return the advice for options that differ from those of a run: retrain, or use another folder."""
    differing = changed_options(locked_recipe(run), recipe)
    settings = [f"{name}={'null' if value is None else value}" for name, (_, value) in differing.items()]
    if settings and all(setting.startswith(_OF_TRAINING) for setting in settings):
        command = shlex.join(["synaug", "train", str(run.path), *(f"--set={setting}" for setting in settings)])
        return f"To train again on the same images: {command}. To keep both, choose another folder with --out."
    return (
        "Choose another folder with --out, or repeat the options of that run to resume it. Only options of training "
        f"may change on the same images: synaug train {shell_word(run.path)} --set train.SECTION.OPTION=VALUE"
    )


def change_training(run: RunPaths, recipe: Recipe) -> Recipe:
    """Replace the training options of a run; its images stay, and methods with changed options are retrained.

    Returns the recipe, as now recorded in the lock file.

    Raises:
        OptionError: another option differs, one that affects the images.
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


def changed_options(before: Recipe, now: Recipe) -> dict[str, tuple[object, object]]:
    """Return the dotted options that differ, each with its value before and now."""
    old, new = (_flat(recipe.model_dump(mode="json")) for recipe in (before, now))
    return {
        name: (old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def locked_recipe(run: RunPaths) -> Recipe:
    """Return the options the run was planned with."""
    return make_recipe(read_lock(run)["recipe"], where=str(run.lock_file))


def write_files(run: RunPaths, contents: Mapping[str, bytes]) -> None:
    """Write the plan and the manifest if they are missing or differ, and their digests into the lock file.

    Digests are written first, both old and new while a file is being replaced, so that the run directory can be opened
    after an interruption at any point.
    """
    recorded = read_lock(run).get("files", {})
    new = {name: storage.digest(data) for name, data in contents.items()}
    stale = [name for name, digest in new.items() if not _has_digest(run.path / name, digest)]
    if stale:
        both = {name: sorted({*_as_list(recorded.get(name)), digest}) for name, digest in new.items()}
        change_lock(run, files=recorded | both)
        for name in stale:
            storage.write_bytes(run.path / name, contents[name])
    change_lock(run, files=recorded | new)


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and current_digest(path) == digest


def _as_list(digests: str | list[str] | None) -> list[str]:
    return [] if digests is None else [digests] if isinstance(digests, str) else list(digests)


def write_model(run: RunPaths, about: Mapping[str, object], *, role: Literal["model", "scorer"] = "model") -> None:
    """Record the model that makes the images: name, revision, license, path and digest of its weights.

    Role ``scorer`` records the model that scores them instead.

    Raises:
        ChangedFileError: the run has used other weights already, and images of two models must not be mixed.
    """
    model = redacted({name: about.get(name) for name in _OF_MODEL})
    before = read_lock(run).get(role, {})
    known, now = before.get("weights"), model["weights"]
    if known is not None and now is not None and known != now:
        place = model["path"] or model["model"]
        raise ChangedFileError(
            f"The weights of {place} are not those that {run.path} was started with (SHA-256 {str(now)[:12]}, recorded "
            f"{known[:12]}). Restore them, name the folder it was started with, or plan into another directory: synaug "
            "plan DATA --out OTHER",
            Path(str(place)),
        )
    change_lock(run, **{role: model})


def locked_model(run: RunPaths) -> dict[str, str | None]:
    """Return the recorded generator model; empty until one has been loaded."""
    return dict(read_lock(run).get("model", {}))


def write_networks(run: RunPaths, digests: Mapping[str, str]) -> None:
    """Record the digest of each file that defines a network of the user's own."""
    networks = read_lock(run).get("networks", {}) | redacted(dict(digests))
    if networks:
        change_lock(run, networks=networks)


def replace_recipe(run: RunPaths, recipe: Recipe) -> None:
    """Record changed options, such as the network of a later training."""
    change_lock(run, recipe=redacted(recipe.model_dump(mode="json")))


def _differences(before: LockFile, now: LockFile) -> list[str]:
    found = []
    if before.get("data_digest") != now["data_digest"]:
        found.append(f"its data are {before.get('source')}, now {now['source']}, or files changed since")
    changed = changed_options(make_recipe(before.get("recipe", {})), make_recipe(now["recipe"]))  # adds new defaults
    found += [f"{name} was {_typed(old)}, now {_typed(new)}" for name, (old, new) in changed.items()]
    return found


def _typed(value: object) -> str:
    """Return a value as users type it: a whole number without ``.0``."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else repr(value)


def _in_short(differences: list[str]) -> str:
    more = len(differences) - _SHOWN_DIFFERENCES
    return "; ".join(differences[:_SHOWN_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")


def _flat(content: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
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
