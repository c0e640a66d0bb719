"""The command line: thin commands.  What is heavy is imported inside them, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import typer

from synaug.allocation import keep_freed_memory
from synaug.cli import bench, data, evaluation, runs, synthesis, training
from synaug.errors import SynaugError

INTERRUPTED = "Interrupted. What was finished is saved; run the same command again to go on."
KEYBOARD_INTERRUPT = 130  # what typer makes of the second Ctrl-C

QUIET = {  # what the libraries would print, start or send by themselves
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

app = typer.Typer(
    name="synaug",
    help="Even out imbalanced image classification sets with synthetic images, and prove what it did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="First look: [bold]synaug demo[/bold]    Your images: [bold]synaug run FOLDER[/bold]",
)

COMMANDS: dict[str, Callable[..., None]] = {  # in the order of --help
    "demo": runs.demo,
    "count": data.count,
    "plan": synthesis.plan,
    "generate": synthesis.generate,
    "check": synthesis.check,
    "review": synthesis.review,
    "train": training.train,
    "retrain": training.retrain,
    "methods": training.list_methods,
    "datasets": data.list_datasets,
    "report": runs.report,
    "run": runs.run_all,
    "evaluate": evaluation.evaluate,
    "export": data.export,
    "verify": data.verify,
    "status": runs.status,
    "bench": bench.bench,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main() -> NoReturn:
    """Run the command line; errors become one paragraph on stderr and the exit code of their kind."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    keep_freed_memory()
    try:
        app(standalone_mode=True)
    except SystemExit as ended:
        if ended.code == KEYBOARD_INTERRUPT:
            fail(INTERRUPTED, 75)
        raise
    except SynaugError as error:
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail(INTERRUPTED, 75)
    except OSError as error:  # what was read; storage names what was written
        place = f": {error.filename}" if error.filename else ""
        fail(f"{error.strerror or error}{place}. Mend it and run the same command again.", 5)
    except MemoryError:
        fail("Out of memory. Use fewer or smaller images at once: train.stage1.batch_size, train.image_size.", 5)
    except Exception:
        print(_without_secrets(traceback.format_exc()), end="", file=sys.stderr)
        fail("This is a bug of synaug. Please report it with the lines above.", 1)
    sys.exit(0)


def fail(message: str, code: int) -> NoReturn:
    """Print the message to stderr and end the process."""
    print(f"synaug: {_without_secrets(message)}", file=sys.stderr)
    sys.exit(code)


def _without_secrets(text: str) -> str:
    from synaug.runs import redacted

    return str(redacted(text))
