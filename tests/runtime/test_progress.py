"""Test progress output on a terminal and in a log file."""

import io

import pytest

from synaug.runtime.progress import ConsoleProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_longer_than_the_terminal_is_cut_so_that_it_is_redrawn_in_place(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    ConsoleProgress(stream)("making images", 3, 9, "1,234 rejected by the checks")
    assert len(stream.getvalue().removeprefix("\r\x1b[2K")) == 59


def test_the_bar_shrinks_to_make_room_for_text(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    progress = ConsoleProgress(stream)
    progress("making images", 213, 213, "57 accepted, 658 rejected")
    progress("making images", 9, 9)
    first, second, _ = stream.getvalue().split("\n")
    assert first.endswith("57 accepted, 658 rejected")
    assert second.count("━") == 20


def test_a_log_file_gets_plain_whole_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = io.StringIO()
    ConsoleProgress(stream)("making images", 9, 9, "1,234 rejected by the checks")
    assert stream.getvalue().endswith("1,234 rejected by the checks\n")
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("done", [2, 9])
def test_a_terminal_line_ends_with_the_stage(done):
    stream = Terminal()
    ConsoleProgress(stream)("making images", done, 9, "")
    assert stream.getvalue().endswith("\n") == (done == 9)


def test_output_after_an_interruption_begins_a_new_line():
    stream = Terminal()
    progress = ConsoleProgress(stream)
    progress("making images", 2, 9, "")
    progress.close()
    progress.close()
    assert stream.getvalue().count("\n") == 1
