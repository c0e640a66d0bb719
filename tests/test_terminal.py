"""Any terminal: other encodings, few columns, no cursor, and a reader that stops reading."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest

from synaug.cli.printing.terminal import Bar, Console, Table, escape
from synaug.runtime.progress import ConsoleProgress

ENCODINGS = ("cp1252", "latin-1", "ascii", "utf-8")
PIPE_ENDS = 141  # 128 + SIGPIPE
NAMES = {"Katze mit Hut und Schal": 12, "大衣 été": 3}
COMMANDS = {
    "count": ["count", "DATA"],
    "plan": ["plan", "DATA", "--model", "embedded", "--dry-run"],
    "methods": ["methods"],
    "datasets": ["datasets"],
    "help": ["plan", "--help"],
    "evaluate": ["evaluate", "TABLE", "--attribute", "sex"],
}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a small data set whose class names are in several scripts, and a table of predictions."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("terminal")
    for name, number in NAMES.items():
        (folder / "data" / name).mkdir(parents=True)
        for i in range(number):
            pixels = np.random.default_rng(i + number * 100).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{i}.png")
    rows = "été,été,f\nété,大衣,m\n大衣,大衣,f\n" * 4
    (folder / "table.csv").write_text("label,prediction,sex\n" + rows, encoding="utf-8")
    return folder


def command_in(work, name):
    places = {"DATA": str(work / "data"), "TABLE": str(work / "table.csv")}
    return [places.get(word, word) for word in COMMANDS[name]]


def squeezed(text):
    return "".join(text.split())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", COMMANDS)
def test_results_are_printed_in_any_encoding(synaug, work, monkeypatch, name, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    done = synaug(*command_in(work, name))
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert done.code == 0
    assert "\\u2588" not in text  # bars degrade; letters are escaped
    assert text.isascii() or encoding != "ascii"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_json_in_any_encoding(synaug, work, monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    synaug("count", work / "data", "--json")
    sys.stdout.flush()
    assert json.loads(raw.getvalue().decode(encoding))["class_counts"] == NAMES


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_columns_stay_aligned_if_names_are_escaped(synaug, work, monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    synaug("count", work / "data")
    sys.stdout.flush()
    first, second = raw.getvalue().decode(encoding).splitlines()[1:3]
    assert first.index("#") == second.index("#")


@pytest.mark.parametrize("columns", [20, 33, 80, 300])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_name_and_no_number_is_cut_in_a_narrow_terminal(synaug, work, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    done = synaug(*command_in(work, name))
    assert done.code == 0
    if name != "help":  # typer's own
        assert "…" not in done.out
    if name == "methods" and columns >= 80:
        assert "synaug_domain_mixup" in squeezed(done.out)


@pytest.mark.parametrize("width", [4, 9, 20, 80])
def test_a_table_folds_cells_that_do_not_fit(width):
    console = Console(file=io.StringIO(), width=width)
    table = Table()
    table.add_column("class")
    table.add_column("images", justify="right")
    table.add_column("")
    table.add_row(escape("n01440764"), "1,234", Bar(1.0, "green"))
    console.print(table)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in console.file.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    ConsoleProgress(stream)("making images", 9, 9)
    assert not {"\x1b", "\r"} & set(stream.getvalue())


def run_on_a_terminal(command, *, columns, term):
    """Return what a command writes to a terminal of so many columns."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment | {"TERM": term})
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


@pytest.mark.parametrize(("columns", "term"), [(20, "xterm-256color"), (20, "dumb"), (80, "dumb")])
def test_a_real_terminal_of_20_columns_or_without_a_cursor(work, columns, term):
    command = [sys.executable, "-m", "synaug", "count", str(work / "data")]
    text = run_on_a_terminal(command, columns=columns, term=term)
    assert ("\x1b" in text) == (term != "dumb")
    assert "41" in text or "15" in text
    assert "…" not in text


@pytest.mark.parametrize("name", ["count", "datasets", "help"])
def test_a_closed_pipe_ends_quietly(work, name):
    reading, writing = os.pipe()
    os.close(reading)  # nobody reads
    done = subprocess.run(
        [sys.executable, "-m", "synaug", *command_in(work, name)], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.returncode == PIPE_ENDS
    assert b"Traceback" not in done.stderr
    assert b"synaug:" not in done.stderr
    assert b"Error" not in done.stderr


def test_a_full_disk_is_named_if_the_result_cannot_be_printed():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "synaug", "datasets"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, b"space" in done.stderr) == (5, True)
