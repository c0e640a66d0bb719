"""Define the command line: thin commands that import heavy modules only when run, so that ``--help`` is fast."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

import synaug
from synaug.cli.commands import (
    bench_commands,
    data_commands,
    doctor_commands,
    evaluation_commands,
    prediction_commands,
    prompt_commands,
    run_commands,
    schema_commands,
    synthesis_commands,
    training_commands,
)
from synaug.cli.loudness import is_verbose, set_loudness, with_loudness
from synaug.cli.printing import print_note, print_text
from synaug.cli.streams import (
    CLOSED_PIPE,
    discard_output,
    escape_messages,
    flush_streams,
    is_reader_gone,
    prepare_streams,
)
from synaug.cli.usage_errors import EscapingGroup
from synaug.errors import SynaugError
from synaug.runtime import is_out_of_memory, keep_freed_memory, missing_library

INTERRUPTED = "Interrupted. Finished work is saved; rerun the same command to resume."
OUT_OF_MEMORY = "Out of memory. Use fewer or smaller images at once: train.stage1.batch_size, train.image_size."
KEYBOARD_INTERRUPT = 130  # typer's exit code for the second Ctrl-C

QUIET = {  # keeps libraries from printing, spawning or sending anything on their own
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

app = typer.Typer(
    name="synaug",
    cls=EscapingGroup,
    help="Balance image classification sets with synthetic images, and measure the effect on real held-out images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="First look: [bold]synaug demo[/bold]    Your images: [bold]synaug run FOLDER[/bold]",
)

PANELS: dict[str, dict[str, Callable[..., None]]] = {  # in the order of --help
    "Start here": {
        "demo": run_commands.demo,
        "doctor": doctor_commands.doctor,
        "try": doctor_commands.try_model,
        "run": run_commands.run_all,
        "status": run_commands.status,
    },
    "The same, step by step": {
        "count": data_commands.count,
        "plan": synthesis_commands.plan,
        "prompts": prompt_commands.prompts,
        "generate": synthesis_commands.generate,
        "check": synthesis_commands.check,
        "review": synthesis_commands.review,
        "train": training_commands.train,
        "retrain": training_commands.retrain,
        "report": run_commands.report,
    },
    "Results": {
        "predict": prediction_commands.predict,
        "evaluate": evaluation_commands.evaluate,
        "export": data_commands.export,
        "verify": data_commands.verify,
    },
    "Comparing methods": {
        "bench": bench_commands.bench,
        "methods": training_commands.list_methods,
        "datasets": data_commands.list_datasets,
        "schema": schema_commands.schema,
    },
}
COMMANDS = {name: command for panel in PANELS.values() for name, command in panel.items()}
INSTANT = {"status", "report", "methods", "datasets", "schema", "evaluate", "review"}  # no progress to be quiet about


def _help_of(command: Callable[..., None]) -> str:
    """Return the docstring with each paragraph on one line, so that the terminal wraps it."""
    return "\n\n".join(part.replace("\n", " ") for part in inspect.cleandoc(command.__doc__ or "").split("\n\n"))


class PlainDefaults(TyperCommand):
    """A command whose help shows described defaults unchanged: ``[default: 1]``, not typer's ``[default: (1)]``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            if isinstance(described := getattr(parameter, "show_default", None), str):
                parameter._get_default_string = lambda *, text=described, **_: text  # type: ignore[attr-defined]


for _panel, _commands in PANELS.items():
    for _name, _command in _commands.items():
        _offered = _command if _name in INSTANT else with_loudness(_command)
        app.command(_name, cls=PlainDefaults, help=_help_of(_command), rich_help_panel=_panel)(_offered)


def _show_version(wanted: bool) -> None:
    if wanted:
        print_text(f"synaug {synaug.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Process the options before a command."""


def main() -> NoReturn:
    """Run the command line; errors become one paragraph on stderr and the exit code of their type."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    set_loudness()  # a process may call several commands
    prepare_streams()
    escape_messages()
    keep_freed_memory()
    try:
        app(standalone_mode=True)
    except SystemExit as ended:
        if ended.code == KEYBOARD_INTERRUPT:
            fail(INTERRUPTED, 75)
        if isinstance(ended.__context__, BrokenPipeError):  # rich and typer make code 1 of it
            _fail_pipe(ended.__context__, of_output=_raised_by_rich(ended) or is_reader_gone())
        if error := flush_streams():
            _fail_to_print(error)
        raise
    except SynaugError as error:
        if is_verbose():
            print_note(_without_secrets(traceback.format_exc()).rstrip("\n"))
        fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if missing := missing_library(error, f"synaug {' '.join(sys.argv[1:2])}".rstrip()):
            fail(str(missing), missing.exit_code)
        _fail_as_bug()
    except KeyboardInterrupt:
        fail(INTERRUPTED, 75)
    except OSError as error:  # from reading; storage reports its own write errors
        _fail_os(error)
    except MemoryError:
        fail(OUT_OF_MEMORY, 5)
    except Exception as error:
        if is_out_of_memory(error):
            fail(OUT_OF_MEMORY, 5)
        _fail_as_bug()
    sys.exit(0)


def fail(message: str, code: int) -> NoReturn:
    """Print the message to stderr and end the process."""
    with contextlib.suppress(OSError):  # stderr may be closed
        print_note(f"synaug: {_without_secrets(message)}")
    sys.exit(code)


def _fail_as_bug() -> NoReturn:
    print_note(_without_secrets(traceback.format_exc()).rstrip("\n"))
    fail("This is a bug of synaug. Please report it with the lines above.", 1)


def _fail_os(error: OSError) -> NoReturn:
    place = f": {error.filename}" if error.filename else ""
    fail(f"{error.strerror or error}{place}. Fix the problem and rerun.", 5)


def _fail_pipe(error: BrokenPipeError, *, of_output: bool) -> NoReturn:
    """End for a pipe without a reader: that of the output, or one to another process."""
    if of_output:
        _fail_to_print(error)
    _fail_os(error)


def _raised_by_rich(ended: SystemExit) -> bool:
    """Return whether rich ended the process; it has closed the broken output by then."""
    last = ended.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_name == "on_broken_pipe"


def _fail_to_print(error: OSError) -> NoReturn:
    """End if the result cannot be printed: quietly if its reader has closed the pipe, as ``head`` does."""
    discard_output()
    if isinstance(error, BrokenPipeError):
        sys.exit(CLOSED_PIPE)
    fail(f"The output cannot be written: {error.strerror}.", 5)


def _without_secrets(text: str) -> str:
    from synaug.runtime.security import redacted

    return str(redacted(text))
