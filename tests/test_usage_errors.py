"""Test the errors of the command line's own parser."""

import typer.main

from synaug.cli import app


def numeric_options():
    for name, command in typer.main.get_command(app).commands.items():
        for parameter in command.params:
            if parameter.type_descriptor.annotation in (int, float):
                yield name, parameter.opts[0], parameter.type_descriptor.parameter_info


def test_a_refused_number_is_repeated_with_the_allowed_range(synaug, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    options = list(numeric_options())
    assert len(options) > 20
    for command, option, allowed in options:
        done = synaug(command, "nowhere", f"{option}=abc")
        assert done.code == 2
        assert f"{option}': must be a" in done.err
        assert "got abc" in done.err
        if allowed.min is not None:
            done = synaug(command, "nowhere", f"{option}={allowed.min - 1}")
            assert f"{allowed.min:,g}" in done.err
            assert f"got {allowed.min - 1}" in done.err


def test_a_choice_that_is_refused_is_repeated_once(synaug):
    done = synaug("schema", "sketch")
    assert done.err.count("sketch") == 1
    assert "Value error" not in done.err
