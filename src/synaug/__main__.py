"""Start the command line with Ctrl-C handled from the first moment, even while libraries are being imported.

``python -m synaug`` and ``accelerate launch -m synaug`` behave like the installed command.
"""

import signal
from typing import NoReturn

from synaug.runtime import end_at_once


def main() -> NoReturn:
    """Run the command line; until a command installs its own handlers, the first Ctrl-C ends the process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
    from synaug.cli import main as run

    run()


if __name__ == "__main__":
    main()
