"""Start the command line, and answer Ctrl-C from the first moment on: also while the libraries are imported.

``python -m synaug`` and ``accelerate launch -m synaug`` work like the installed command.
"""

import signal
from typing import NoReturn

from synaug.runtime.signals import end_at_once


def main() -> NoReturn:
    """Run the command line; until a command answers signals itself, the first one ends it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
    from synaug.cli import main as run

    run()


if __name__ == "__main__":
    main()
