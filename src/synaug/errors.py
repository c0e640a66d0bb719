"""What can go wrong on purpose: the error tree and the exit code of each branch.

::

    SynaugError (1)
    ├── OptionError (2)        wrong usage or options; also a ValueError
    │   └── InUseError         another process works on the same folder
    ├── IncompleteError (3)    done, but with fewer images than asked for
    ├── DataError (4)          bad data; also a ValueError
    │   └── ChangedFileError   a file is not the one whose digest was recorded
    ├── EnvironmentFault (5)   disk full, out of memory at batch 1, model missing
    └── Interrupted (75)       stopped by a signal; the same command goes on
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class SynaugError(Exception):
    """Anything that synaug raises on purpose."""

    exit_code = 1


class OptionError(SynaugError, ValueError):
    """An option or argument has a value that is not allowed."""

    exit_code = 2


class InUseError(OptionError):
    """Another process works there; once it has ended, the same call is right."""


class IncompleteError(SynaugError):
    """The work is done, but more images were rejected than the plan allows."""

    exit_code = 3


class DataError(SynaugError, ValueError):
    """The data cannot be used as they are."""

    exit_code = 4


class ChangedFileError(DataError):
    """A file is missing or is not the one whose digest was recorded; ``path`` is where it should be."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class EnvironmentFault(SynaugError):
    """The machine lacks what the work needs: disk, memory, a model, a package."""

    exit_code = 5


class Interrupted(SynaugError):
    """A signal stopped the work at a safe place."""

    exit_code = 75


def unknown(kind: str, got: str, known: Iterable[str]) -> OptionError:
    """Return the error for a name that is not among the known ones, with the nearest as a hint.

    >>> print(unknown("target", "unifrom", ["uniform", "partial"]))
    Unknown target 'unifrom'. Did you mean 'uniform'? Known: partial, uniform.
    """
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return OptionError(f"Unknown {kind} {got!r}.{hint} Known: {', '.join(names)}.")
