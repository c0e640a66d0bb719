"""Test that no file content, name or error affects a terminal, a page or a card."""

import ast
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import synaug as synaug_package
from synaug.cli import COMMANDS
from synaug.cli.printing.result_lines import show_summary
from synaug.cli.printing.terminal import Console, escape
from synaug.runtime.progress import ConsoleProgress
from synaug.runtime.security.escaping import json_text, markdown, markdown_code, visible

HOSTILE = "\x1b]0;PWNED\x07\x1b[31m\u202egnp\x9b2J\r\udcff"
RAW = tuple("\x1b\x07\x9b\r\u202e\udcff")


def is_safe(text):
    return not any(letter in text for letter in RAW)


def test_a_hostile_name_is_shown_with_its_escapes():
    assert visible(HOSTILE) == r"\x1b]0;PWNED\x07\x1b[31m\u202egnp\x9b2J\r\udcff"
    assert visible("a\nb\tc", keep="\n") == "a\nb\\tc"


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Cn"])))
def test_ordinary_text_stays(text):
    assert visible(text) == text


@given(st.text())
def test_printed_json_holds_the_same_value_and_nothing_raw(text):
    printed = json_text({"name": [text, HOSTILE]})
    assert json.loads(printed) == {"name": [text, HOSTILE]}
    assert is_safe(printed)


@pytest.mark.parametrize("shown", [escape(HOSTILE), HOSTILE.replace("[", r"\[")], ids=["escaped", "forgotten"])
def test_a_console_escapes_even_if_a_caller_forgets_to(shown):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200, highlight=False)
    console.print(f"[bold]{shown}[/]")
    written = stream.getvalue()
    assert written.count("\x1b") == 2  # bold on and off, by rich
    assert "\x1b]0" not in written
    assert not any(letter in written for letter in RAW[1:])


def test_progress_shows_it():
    stream = io.StringIO()
    ConsoleProgress(stream, interval=0)(f"reading {HOSTILE}", 1, 1, HOSTILE)
    assert is_safe(stream.getvalue())


@given(st.text())
def test_markdown_is_one_line_without_markup(text):
    line = markdown(f"x {text} <b>|`[a](b)` y")
    assert "\n" not in line
    assert "<" not in line.replace("\\<", "")
    assert "\\|\\`\\[a\\](b)\\` y" in line


@given(st.text("`a ", max_size=8))
def test_inline_code_cannot_be_left(text):
    code = markdown_code(text)
    fence = re.match("`+", code)[0]
    inside = code[len(fence) : -len(fence)]
    assert code.endswith(fence)
    assert all(len(run) < len(fence) for run in re.findall("`+", inside))


SOURCES = Path(synaug_package.__file__).parent
PRINTERS = {"cli/printing/output.py": {"print"}, "cli/printing/terminal.py": {"rich.console", "rich.markup"}}


def ways_to_a_terminal(code):
    """Yield what in a module writes to a terminal without escaping."""
    calls = {"print", "echo", "typer.echo", "sys.stdout.write", "sys.stderr.write"}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in calls:
            yield ast.unparse(node.func)
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        yield from {"rich.console", "rich.markup"} & set(names)


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda path: path.relative_to(SOURCES).as_posix())
def test_only_code_that_escapes_writes_to_a_terminal(path):
    allowed = PRINTERS.get(path.relative_to(SOURCES).as_posix(), set())
    assert set(ways_to_a_terminal(path.read_text())) <= allowed


@pytest.mark.parametrize(
    "code",
    ["print(1)", "from rich.console import Console", "import rich.markup", "typer.echo(1)"],
)
def test_the_test_above_sees(code):
    assert list(ways_to_a_terminal(code))


IN_COMMANDS = ("shell_word(", "escape(shell_word(")
PLAIN = {"command", "name", "suffix"}  # a command or option of synaug, and the suffix of an image format


def unquoted(code):
    """Yield the values that a module puts into a command to copy without quoting them as one shell word."""
    for text in ast.walk(ast.parse(code)):
        command = ""
        for part in text.values if isinstance(text, ast.JoinedStr) else ():
            if isinstance(part, ast.Constant):
                written = re.split(r"\[/\]|\n|[.:] ", command + part.value)[-1]
                command = written[written.rindex("synaug ") :] if "synaug " in written else ""
                continue
            shown, verb = ast.unparse(part.value), command.removeprefix("synaug ").partition(" ")[0]
            is_copied = verb in {*COMMANDS, "\0"} and " " in command.removeprefix("synaug ")
            if is_copied and not shown.startswith(IN_COMMANDS) and shown not in PLAIN:
                yield shown
            command += "\0"


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda path: path.relative_to(SOURCES).as_posix())
def test_a_path_in_a_command_to_copy_is_one_word(path):
    """Also the path ``runs/a; rm -rf ~``, as the folder of somebody else's images may be called."""
    assert not list(unquoted(path.read_text()))


@pytest.mark.parametrize(
    "code",
    [
        'f"Next: synaug run {path}"',
        'f"[bold]synaug {verb} {escape(path)}[/]"',
        'f"{path}. Then: synaug plan DATA --prompts {path}"',
        'f"synaug check {shell_word(a)} --reject. Then synaug generate {b}"',
    ],
)
def test_the_test_of_commands_sees(code):
    assert len(list(unquoted(code))) == 1


@pytest.mark.parametrize("width", [30, 80])
def test_a_summary_breaks_its_lines(monkeypatch, capsys, width):
    """Every line that a person reads, without the escape of a line break; a name with one has its escape."""
    text = f"The rarest class, {HOSTILE}, " + "has few images. " * 20
    monkeypatch.setattr("synaug.report.summary.summary", lambda _: [text])
    monkeypatch.setenv("COLUMNS", str(width))
    show_summary({"warnings": [], "usage": []}, Path("report.html"))
    shown = capsys.readouterr().out
    assert is_safe(shown)
    assert "\\n" not in shown
    assert max(map(len, shown.splitlines())) < width + len(visible(HOSTILE))


TYPED = HOSTILE.replace("\udcff", "")  # what an operating system takes as an argument


@pytest.mark.parametrize(
    "arguments",
    [
        [TYPED], [f"--{TYPED}"], ["count"], ["count", TYPED], ["count", "a", TYPED], ["count", "a", f"--{TYPED}"],
        ["count", "a", "--recipe", TYPED], ["plan", "a", "--seed", TYPED], ["plan", "a", "--test-fraction", TYPED],
        ["plan", "a", "--set", TYPED], ["plan", "a", "--set", f"{TYPED}=1"], ["plan", "a", "--splits", TYPED],
        ["schema", TYPED], ["bench", TYPED], ["bench", "demo", "--arms", TYPED], ["run", "a", "--preset", TYPED],
        ["run", "a", "--trust", TYPED], ["run", "a", "--methods", TYPED], ["generate", TYPED], ["status", TYPED],
        ["generate", "a", "--shard", TYPED], ["generate", "a", "--engine", TYPED], ["report", TYPED],
        ["predict", TYPED, "a"], ["predict", "a", "b", "--device", TYPED], ["predict", "a", "b", "--out", TYPED],
        ["evaluate", TYPED], ["verify", TYPED], ["export", TYPED, "--out", "b"], ["export", "a"], ["doctor", TYPED],
        ["export", "a", "--out", TYPED], ["try", TYPED], ["review", TYPED], ["check", TYPED],
    ],
    ids=lambda arguments: " ".join(arguments).replace(TYPED, "HOSTILE"),
)  # fmt: skip
def test_no_error_repeats_a_hostile_argument_raw(synaug, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = synaug(*arguments)
    assert done.code == 2 or done.code == 4
    assert is_safe(done.out + done.err)
    assert "Traceback" not in done.err


def test_logs_and_warnings_of_libraries_are_escaped(tmp_path):
    code = (
        "from synaug.cli.streams import escape_messages; escape_messages()\n"
        f"import logging, warnings; logging.getLogger('x').error('%s', {HOSTILE!r}); warnings.warn({HOSTILE!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_safe(done.stderr)
    assert done.stderr.count("PWNED") >= 2


def test_warnings_of_our_own_are_one_note_per_kind():
    code = (
        "from synaug.cli import streams; streams.escape_messages()\n"
        "import warnings\n"
        "for line in (1, 1, 2):\n"
        "    for prompt in ('first', 'second'):\n"
        "        warnings.warn_explicit(f'{prompt} of line {line} is too long.', UserWarning, streams.__file__, line)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    more = "is too long. Notes of this kind are shown once."
    assert done.stderr.splitlines() == [f"Note: first of line 1 {more}", f"Note: first of line 2 {more}"]
