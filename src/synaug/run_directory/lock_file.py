"""Read and write the lock file, which records a run's data, options, model, library versions and machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from synaug.config import Recipe
from synaug.errors import ChangedFileError, DataError
from synaug.recipes import make_recipe
from synaug.run_directory.paths import RunPaths
from synaug.runtime import storage
from synaug.runtime.records import check_file, current_digest, of_form, read_sealed, write_sealed
from synaug.runtime.security import redacted

SCHEMA_VERSION = 1
_OF_MODEL = ("model", "revision", "license", "path", "weights")
_DAMAGED = "Restore it from a copy, or plan into another directory with: synaug plan DATA --out OTHER"


class LockFile(TypedDict):
    """The content of the lock file; ``files`` has the digests of plan and manifest, old and new during a change."""

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
            way_out="Rerun the 'synaug plan' or 'synaug run' command that planned this run to write it again.",
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
            f"{path} has schema version {version!r}; this version of synaug reads {SCHEMA_VERSION}. Use the "
            "version of synaug that wrote it, or plan again."
        )
    lock = of_form(content, LockFile, where=path, way_out=_DAMAGED)
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
    """Record the model that generates the images: name, revision, license, path and digest of its weights.

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
