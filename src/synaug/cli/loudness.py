"""Set how much a command prints besides its result: --quiet and --verbose, the same for every long command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from synaug.errors import OptionError

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the result and errors only: no progress, no notes, no last line.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print each stage on its own line, and tracebacks of errors.")
]

_quiet = _verbose = False


def is_quiet() -> bool:
    """Return whether only results and errors are wanted."""
    return _quiet


def is_verbose() -> bool:
    """Return whether every stage and tracebacks are wanted."""
    return _verbose


def set_loudness(*, quiet: bool = False, verbose: bool = False) -> None:
    """Set how much the process prints from now on.

    Raises:
        OptionError: both are set.
    """
    global _quiet, _verbose
    if quiet and verbose:
        raise OptionError("Choose one of --quiet and --verbose.")
    _quiet, _verbose = quiet, verbose


def with_loudness(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options --quiet and --verbose."""

    @functools.wraps(command)
    def wrapper(quiet: bool = False, verbose: bool = False, **options: object) -> None:
        set_loudness(quiet=quiet, verbose=verbose)
        command(**options)

    own = inspect.signature(command, eval_str=True)  # typer evaluates no strings of a given signature
    kind = inspect.Parameter.KEYWORD_ONLY
    added = {"quiet": Quiet, "verbose": Verbose}
    parameters = [each.replace(kind=kind) for each in own.parameters.values()]
    parameters += [inspect.Parameter(name, kind, default=False, annotation=hint) for name, hint in added.items()]
    wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapper
