"""The error tree, with the exit code of each branch.

::

    SynaugError (1)
    ├── OptionError (2)        wrong usage or options; also a ValueError
    │   ├── InUseError         another process works on the same folder
    │   └── OutdatedCheckpointError  an unfinished training has other options, data or another network
    ├── IncompleteError (3)    finished, but with fewer images than planned
    ├── DataError (4)          bad data; also a ValueError
    │   └── ChangedFileError   a file does not match its recorded digest
    ├── EnvironmentFault (5)   disk full, out of memory at batch 1, model missing
    │   └── MissingLibraryError  a library of an extra is not installed; also a ModuleNotFoundError
    └── Interrupted (75)       stopped by a signal; rerun the same command to resume
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


class SynaugError(Exception):
    """Base class of every error that synaug raises deliberately."""

    exit_code = 1


class OptionError(SynaugError, ValueError):
    """An option or argument has a value that is not allowed."""

    exit_code = 2


class InUseError(OptionError):
    """Another process holds the folder; the same call succeeds once that process has ended."""


class OutdatedCheckpointError(OptionError):
    """A checkpoint belongs to a training with other options, data or another network."""


class IncompleteError(SynaugError):
    """The work is finished, but more images were rejected than the recipe allows."""

    exit_code = 3


class DataError(SynaugError, ValueError):
    """The data cannot be used as they are."""

    exit_code = 4


class ChangedFileError(DataError):
    """A file is missing or does not match its recorded digest; ``path`` is its expected location."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class EnvironmentFault(SynaugError):
    """The machine lacks what the work needs: disk, memory, a model, a package."""

    exit_code = 5


class MissingLibraryError(EnvironmentFault, ModuleNotFoundError):
    """A library of one of synaug's extras is not installed; ``name`` is the library."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message, name=name)


class Interrupted(SynaugError):
    """A signal stopped the work at a safe point."""

    exit_code = 75


MAX_LISTED = 12  # names listed in one message
NEAREST = 5
LISTS = {  # where the full list of each kind can be found
    "method": "synaug methods",
    "data set": "synaug datasets",
    "experiment": "synaug bench --list",
    "network": "python -c 'import timm; print(timm.list_models())'",
    "option": "docs/reference/options.md",
}


_LEAST_BEGINNING = 4  # letters before a prefix counts as a match


def unknown(kind: str, got: object, known: Iterable[str]) -> OptionError:
    """Return the error for an unknown name, with the nearest known name as a hint.

    With more than 12 known names, the message lists only the nearest five and how to get the full list.

    >>> print(unknown("target", "unifrom", ["uniform", "partial"]))
    Unknown target 'unifrom'. Did you mean 'uniform'? Known: partial, uniform.
    """
    names, got = sorted(set(known)), got if isinstance(got, str) else repr(got)[:80]
    near = nearest(got, names)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if len(names) <= MAX_LISTED:
        return OptionError(f"Unknown {kind} {got!r}.{hint} Known: {', '.join(names)}.")
    shown = ", ".join(nearest(got, names, number=NEAREST, least=0.0))
    where = f" All of them: {LISTS[kind]}" if kind in LISTS else ""
    return OptionError(f"Unknown {kind} {got!r}.{hint} The nearest of {len(names):,}: {shown}.{where}")


def first_line(error: Exception) -> str:
    r"""Return the first line of an error of a library, without its final dot; its type if it has no text.

    >>> first_line(OSError("No space left. \n  at write()")), first_line(KeyError())
    ('No space left', 'KeyError')
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")


def columns_of(names: Sequence[str], got: str = "") -> str:
    """Return the sentence of an error that lists the columns of a table: all, or the five most like ``got`` or first.

    >>> columns_of(["path", "label"])
    'Its columns: path, label.'
    >>> columns_of([f"c{n}" for n in range(64)], "c63")
    'Five of its 64 columns: c63, c3, c6, c13, c16.'
    """
    if len(names) <= MAX_LISTED:
        return f"Its columns: {', '.join(names)}."
    shown = nearest(got, names, number=NEAREST, least=0.0) if got else names[:NEAREST]
    return f"Five of its {len(names):,} columns: {', '.join(shown)}."


def nearest(got: str, names: Iterable[str], *, number: int = 1, least: float = 0.6) -> list[str]:
    """Return the names most similar to the given one, nearest first.

    A dotted name with the same last part ranks above one with similar letters: the option exists, in another section.

    >>> nearest("train.epochs", ["train.std", "train.stage1.epochs"])
    ['train.stage1.epochs']
    """
    likeness = {name: _likeness(got, name) for name in names}
    alike = [name for name in likeness if likeness[name][1] >= least or likeness[name][0]]
    return sorted(alike, key=lambda name: likeness[name], reverse=True)[:number]


def _likeness(got: str, name: str) -> tuple[bool, float]:
    same_end = "." in got and "." in name and got.rpartition(".")[2] == name.rpartition(".")[2]
    same_start = got.partition(".")[0] == name.partition(".")[0]
    letters = difflib.SequenceMatcher(None, name, got)
    most = letters.quick_ratio()
    begins = 0.4 if len(got) >= _LEAST_BEGINNING and name.lower().startswith(got.lower()) else 0.0
    return same_end, 0.0 if most < 0.3 and not begins else letters.ratio() + begins + 0.2 * (same_end and same_start)
