"""Start a run in a folder, or admit a repeated one: the same data with the same options."""

from __future__ import annotations

import platform
from collections.abc import Mapping

from synaug.config import Recipe
from synaug.errors import OptionError
from synaug.recipes import make_recipe
from synaug.run_directory.lock_file import SCHEMA_VERSION, LockFile, change_lock, read_lock, replace_recipe
from synaug.run_directory.option_changes import changed_options, may_resume, way_out
from synaug.run_directory.paths import RunPaths
from synaug.runtime import installed_version, machine
from synaug.runtime.records import write_sealed
from synaug.runtime.security import redacted

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
_SHOWN_DIFFERENCES = 6


def write_lock(
    run: RunPaths, *, source: str, recipe: Recipe, data_digest: str, model: Mapping[str, str | None] | None = None
) -> None:
    """Create the lock file of a run, or check an existing one against the recipe and data.

    Options that affect neither images nor classifiers may change at any time, and so may those of single methods, since
    each result records its options; other training options may change until a method has a result.

    Raises:
        OptionError: the folder already holds a run of other data or options; the message lists them.
    """
    content: LockFile = {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "data_digest": data_digest,
        "recipe": recipe.model_dump(mode="json"),
        "versions": {name: installed_version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        "machine": machine(),
    }
    if not run.lock_file.exists():
        if model:
            content["model"] = dict(model)
        write_sealed(run.lock_file, redacted(content))
        return
    before = read_lock(run)
    same_data = before.get("data_digest") == data_digest
    changed = changed_options(make_recipe(before.get("recipe", {})), recipe)  # make_recipe adds new defaults
    if not (same_data and may_resume(run, changed)):
        found = [f"{name} was {_typed(old)}, now {_typed(new)}" for name, (old, new) in changed.items()]
        if not same_data:
            found.insert(0, f"its data are {before.get('source')}, now {source}, or files changed since")
        raise OptionError(
            f"{run.path} already holds another run ({_in_short(found)}). {way_out(run, recipe, same_data=same_data)}"
        )
    if changed:
        replace_recipe(run, recipe)
    change_lock(run, source=redacted(source))


def _typed(value: object) -> str:
    """Return a value as users type it: a whole number without ``.0``."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else repr(value)


def _in_short(differences: list[str]) -> str:
    more = len(differences) - _SHOWN_DIFFERENCES
    return "; ".join(differences[:_SHOWN_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
