"""Draw what ``synaug status --watch`` shows in a terminal while a run is at work, for the docs.

A small run and the command work side by side, the command in a terminal of its own. The picture contains real screens.

    python scripts/watch_picture.py
"""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from screencast import write_photos

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "watch.svg"
COLUMNS = 92
WIPE = "\x1b[H\x1b[2J"
RUN = "run photos --out runs/photos --model embedded --target 120 --no-pretrained --epochs 8 --budget 0.2 --folds 0"
WATCH = "status runs/photos --watch --interval 1"


def screens(folder: Path) -> list[str]:
    """Return what the command wrote between two wipes of the terminal, in order."""
    settings = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    environment = os.environ | settings
    program = [sys.executable, "-m", "synaug"]
    shown, terminal = pty.openpty()
    watch = subprocess.Popen(
        [*program, *WATCH.split()], cwd=folder, env=environment, stdout=terminal, stderr=subprocess.DEVNULL
    )
    os.close(terminal)
    run = subprocess.Popen([*program, *RUN.split(), "--quiet"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    text = b""
    try:
        while part := os.read(shown, 65536):
            text += part
    except OSError:  # a terminal that nobody writes to any more
        pass
    assert (run.wait(), watch.wait()) == (0, 0)
    return text.decode().replace("\r\n", "\n").split(WIPE)[1:]


def main() -> None:
    with TemporaryDirectory() as place:
        write_photos(Path(place))
        found = screens(Path(place))
    plain = [Text.from_ansi(screen).plain for screen in found]
    busy = [screen for screen, text in zip(found, plain, strict=True) if re.search("in use by +process", text)]
    chosen = [
        next(screen for screen in busy if re.search(f"stage +{stage}", Text.from_ansi(screen).plain) and word in screen)
        for stage, word in (("train", " left"), ("generate", " left"))
    ]
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text(f"$ synaug {WATCH}"))
    for screen in chosen:
        console.print(Text.from_ansi(screen))
    drawn = console.export_svg(title="synaug status --watch", unique_id="watch")
    drawn = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", drawn, flags=re.DOTALL)  # fonts would come from a server
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
