"""Record a terminal session as an animated SVG for the docs: docs/images/screencast.svg.

The commands run for real in a scratch folder with a few images; their output is replayed at a readable pace. The
picture needs no script, plays once, and shows its end at once to readers who prefer reduced motion.

    python scripts/screencast.py
"""

import html
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.text import Text

from synaug.data import read_data, read_image
from synaug.runtime import demo_data

OUT = Path(__file__).parents[1] / "docs" / "images" / "screencast.svg"
COLUMNS, ROWS, LINE, CELL = 92, 26, 18, 7.85  # characters; pixels
CUT = 5  # pixels between the top of a line and of its letters, so that no part of the line above shows
TYPING, READING, PAUSE = 0.045, 0.09, 1.6  # seconds per character, per line of output, after a command
COMMANDS = [
    "synaug count photos",
    "synaug plan photos --out runs/photos --model embedded --target 40 --set generate.steps=6",
    "synaug generate runs/photos",
    "synaug status runs/photos",
    "synaug review runs/photos",
    "synaug evaluate predictions.csv --attribute sex",
]
COLORS = {"red": "#f08d84", "green": "#6fcf9b", "yellow": "#e8c46a", "blue": "#86b0e0", "cyan": "#7fd0d8"}
STYLE = """<style>
text { font: 13px/18px ui-monospace, "SF Mono", Menlo, "Liberation Mono", monospace; fill: #e9e6df; white-space: pre; }
.t { opacity: 0; animation: appear 1ms linear forwards; }
@keyframes appear { to { opacity: 1; } }
#screen { animation: scroll %(seconds).2fs step-end forwards; }
@keyframes scroll { %(scroll)s }
@media (prefers-reduced-motion: reduce) { .t { opacity: 1; animation: none; } #screen { animation-duration: 1ms; } }
</style>"""


def write_photos(folder: Path) -> None:
    fashion = read_data(demo_data())
    for name, number in (("bag", 60), ("coat", 40), ("ankle boot", 30)):
        place = folder / "photos" / name
        place.mkdir(parents=True)
        for row in np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:number]:
            read_image(fashion, int(row)).save(place / f"{row}.png")
    rng = np.random.default_rng(1)
    sexes, labels = rng.choice(["f", "m"], 300, p=[0.3, 0.7]), rng.choice(["cat", "dog"], 300)
    right = rng.random(300) < np.where(sexes == "f", 0.72, 0.9)
    other = np.where(labels == "cat", "dog", "cat")
    rows = zip(labels, np.where(right, labels, other), sexes, strict=True)
    (folder / "predictions.csv").write_text("label,prediction,sex\n" + "".join(",".join(row) + "\n" for row in rows))


def output_of(command: str, folder: Path) -> list[Text]:
    """Return the lines that a command prints, with their colors."""
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    words = [sys.executable, "-m", *command.split()]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    lines = Text.from_ansi(done.stdout.rstrip("\n")).split("\n", allow_blank=True)
    return [
        piece for line in lines for piece in (line.divide(range(COLUMNS, max(len(line), COLUMNS), COLUMNS)) or [line])
    ]


def spans(line: Text) -> str:
    """Return a line as SVG text spans."""
    parts = []
    for start, end, style in runs(line):
        color = COLORS.get(style.color.name.removeprefix("bright_") if style.color else "", "")
        about = [f'fill="{color}"'] if color else ['opacity=".65"'] if style.dim else []
        about += ['font-weight="bold"'] if style.bold else []
        parts.append(f"<tspan {' '.join(about)}>{html.escape(line.plain[start:end])}</tspan>")
    return "".join(parts)


def runs(line: Text):
    """Yield (start, end, style) of the parts of a line that look alike."""
    from rich.console import Console

    console, start = Console(), 0
    styles = [line.get_style_at_offset(console, place) for place in range(len(line))]
    for place in range(1, len(styles) + 1):
        if place == len(styles) or styles[place] != styles[start]:
            yield start, place, styles[start]
            start = place


def main() -> None:
    elements, tops = [], []
    now, row = 0.6, 0

    def put(content: str) -> None:
        nonlocal row
        elements.append(f'<text x="12" y="{LINE * (row + 1)}">{content}</text>')
        row += 1
        if row > ROWS:
            tops.append((now, row - ROWS))

    with TemporaryDirectory() as place:
        write_photos(Path(place))
        for command in COMMANDS:
            typed = []
            for letter in f"$ {command}":
                typed.append(f'<tspan class="t" style="animation-delay:{now:.2f}s">{html.escape(letter)}</tspan>')
                now += TYPING
            put("".join(typed))
            now += 0.5
            for line in output_of(command, Path(place)):
                put(f'<tspan class="t" style="animation-delay:{now:.2f}s">{spans(line)}</tspan>' if len(line) else "")
                now += READING
            now += PAUSE
    tops.append((now, max(0, row - ROWS)))
    scroll = " ".join(
        f"{100 * time / now:.3f}% {{ transform: translateY({-LINE * top - CUT if top else 0}px); }}"
        for time, top in tops
    )
    width, height = round(COLUMNS * CELL + 24), LINE * ROWS + 20
    OUT.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="A terminal: {html.escape("; ".join(COMMANDS))}">{STYLE % {"seconds": now, "scroll": scroll}}'
        f'<rect width="{width}" height="{height}" rx="8" fill="#15181c"/>'
        f'<svg y="6" width="{width}" height="{LINE * ROWS + 8}"><g id="screen">{"".join(elements)}</g></svg></svg>\n'
    )
    print(f"{OUT}: {now:.0f} s, {row} lines, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
