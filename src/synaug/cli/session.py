"""Set up commands: signals and progress, the recipe, and command-line values."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from synaug.cli.printing import print_note
from synaug.errors import OptionError, SynaugError

if TYPE_CHECKING:
    from synaug.config import Recipe
    from synaug.runtime import Progress

_FIELDS = {  # recipe fields that a command-line option sets
    "label": ("data.label",),
    "attribute": ("data.attribute",),
    "split_column": ("data.split",),
    "path": ("data.path",),
    "group_column": ("data.group",),
    "layout": ("data.layout",),
    "splits": ("data.splits",),
    "benchmark": ("data.benchmark",),
    "by": ("plan.by",),
    "target": ("plan.target",),
    "cap": ("plan.cap",),
    "variant": ("plan.variant",),
    "prompts": ("plan.prompts",),
    "generator": ("generate.generator",),
    "endpoint": ("api.endpoint",),
    "model": ("plan.model",),
    "image_size": ("train.image_size",),
    "pretrained": ("train.pretrained",),
    "network": ("train.network",),
    "epochs": ("train.stage1.epochs",),
    "budget": ("choose.budget",),
    "device": ("train.device", "generate.device"),
    "test_fraction": ("data.test_fraction",),
    "folds": ("cross_validate.folds",),
    "seed": ("plan.seed", "seed"),
}


@contextlib.contextmanager
def session(*, trust: Sequence[str] | None = None) -> Iterator[Progress]:
    """Handle signals and show progress during the block; code named in ``trust`` may run in it."""
    from synaug.cli.loudness import is_quiet, is_verbose
    from synaug.runtime import ConsoleProgress, graceful, silent
    from synaug.runtime.security import trusting

    progress = ConsoleProgress(lines=is_verbose())
    with graceful(), trusting(*(trust or ())), contextlib.closing(progress):
        yield silent if is_quiet() else progress


def options_of(
    recipe: Path | None,
    *,
    aliases: Path | None = None,
    preset: str = "good",
    settings: Sequence[str] | None = None,
    **typed: Any,
) -> Recipe:
    """Return the recipe of the file, or the default one, with the preset, then the command-line options applied.

    ``typed`` are options by the names in ``_FIELDS``, None if not given. ``settings`` are those of ``--set``, which
    override all others.

    Raises:
        OptionError: the preset is unknown.
    """
    from synaug.config import Recipe
    from synaug.recipes import read_recipe, with_overrides, with_settings

    changes = _preset_options(preset) if preset != "good" else {}  # the default preset changes nothing
    given = {name: _PARSERS.get(name, lambda typed: typed)(v) for name, v in typed.items() if v is not None}
    changes |= {dotted: value for name, value in given.items() for dotted in _FIELDS[name]}
    with _option_named(given):
        chosen = with_overrides(read_recipe(recipe) if recipe else Recipe(), changes)
    if aliases is not None:
        from synaug.data.formats.tables import read_aliases

        chosen = with_overrides(chosen, {"plan.aliases": chosen.plan.aliases | read_aliases(aliases)})
    return with_settings(chosen, settings or [])


@contextlib.contextmanager
def _option_named(given: Iterable[str]) -> Iterator[None]:
    """Begin an error about a value with the name of the option that gave it: users typed that, not a dotted name."""
    try:
        yield
    except OptionError as error:
        for name in given:
            if str(error).startswith(tuple(f"{dotted}{end}" for dotted in _FIELDS[name] for end in (" ", ":"))):
                raise OptionError(f"--{name.replace('_', '-')}: {error}") from None
        raise


def named_code(trust: Sequence[str] | None, *named: str | None, endpoint: str | None = None) -> list[str]:
    """Return the code and the hosts that the command line names or confirms."""
    host = None if endpoint is None else urlsplit(endpoint).hostname
    return [*(trust or ()), *(each for each in (*named, host) if each is not None)]


def _preset_options(preset: str) -> dict[str, Any]:
    from synaug.errors import unknown
    from synaug.pipeline import PRESETS

    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    return dict(PRESETS[preset])


def _split_names(pairs: list[str]) -> dict[str, str]:
    """Parse the splits of folder names, each as ``NAME=SPLIT``.

    Raises:
        OptionError: a pair has no name or no split.
    """
    named = {}
    for pair in pairs:
        name, _, split = pair.rpartition("=")
        if not name or not split:
            raise OptionError(f"--splits takes NAME=SPLIT, such as part2=test, got {pair!r}.")
        named[name] = split
    return named


def _number_or_name(target: str) -> float | int | str:
    """Parse a target: a whole number, a share, or a name."""
    for kind in (int, float):
        try:
            return kind(target)
        except ValueError:
            continue
    return target


_PARSERS: dict[str, Callable[[Any], Any]] = {"splits": _split_names, "target": _number_or_name, "prompts": str}
"""Parsers of the options whose text is not taken as typed."""


def run_folder(out: Path | None, name: str) -> Path:
    """Return the requested run directory, or ``runs/NAME`` after printing it to stderr."""
    if out is not None:
        return out
    from synaug.cli.loudness import is_quiet

    chosen = Path("runs") / (name_of_data(name) or "run")
    if not is_quiet():
        print_note(f"Run directory: {chosen} (choose another with --out)")
    with_foreign_files_named(chosen)
    return chosen


def name_of_data(source: Path | str) -> str:
    """Return the name of a folder, or that of a file without its suffix; empty for the root folder."""
    place = Path(source).resolve()
    return place.name if place.is_dir() else place.stem  # data.v1 and data.v2 are different folders


def with_foreign_files_named(run: Path | None) -> Path | None:
    """Return the run directory; if it contains files that are not synaug's, list them on stderr."""
    if run is None:
        return None
    from synaug.run_directory import foreign_files
    from synaug.runtime import listed

    with contextlib.suppress(OSError, SynaugError):  # the command itself reports any error
        if found := foreign_files(run):
            print_note(f"Files that are not synaug's, left untouched in {run}: {listed(found)}")
    return run


def names_of(methods: str | None) -> tuple[str, ...]:
    """Parse comma-separated method names; the default methods if none are given."""
    from synaug.methods import DEFAULT_METHODS

    return tuple(name.strip() for name in methods.split(",")) if methods else DEFAULT_METHODS


def seeds_from(recipe: Recipe, number: int | None) -> range:
    """Return consecutive seeds that start with the recipe's own; one if no number is given."""
    return range(recipe.seed, recipe.seed + (number or 1))


def warn(note: str) -> None:
    """Print a warning to stderr, separate from results; with --quiet, nothing."""
    from synaug.cli.loudness import is_quiet

    if not is_quiet():
        print_note(f"Note: {note}")


def say_done(command: str, out: Path, began: float) -> None:
    """Print a last line to stderr for whoever waits for the end: the command, its duration and the directory."""
    from synaug.cli.loudness import is_quiet
    from synaug.runtime import duration

    if not is_quiet():
        sys.stdout.flush()
        print_note(f"synaug {command}: done in {duration(time.monotonic() - began)}, {out}")


def program() -> str:
    """Return the name to call synaug by: ``synaug`` if the shell finds this one, else the typed path.

    ``make demo`` calls ``.venv/bin/synaug`` without activating its environment.
    """
    typed = Path(sys.argv[0])
    found = shutil.which("synaug")
    if typed.name != "synaug" or len(typed.parts) == 1 or (found and Path(found).resolve() == typed.resolve()):
        return "synaug"
    return os.path.relpath(typed) if typed.is_absolute() and typed.is_relative_to(Path.cwd()) else str(typed)


def typed_command() -> str:
    """Return the command as typed, without passwords and tokens."""
    from synaug.runtime.security import redacted

    return str(redacted(shlex.join(["synaug", *sys.argv[1:]])))
