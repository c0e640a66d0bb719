"""Test that no file content, name or error affects a terminal, a page or a card."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.cli.console import Console, escape
from synaug.runtime.escaping import json_text, markdown, markdown_code, visible
from synaug.runtime.progress import ConsoleProgress

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
def test_a_console_shows_it_also_where_a_caller_forgets_to_escape(shown):
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
