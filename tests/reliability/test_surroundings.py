"""The surroundings of a run: another user of a group, closed or full streams, odd objects and names in its path.

Commands run in forked children, which change their user, umask or streams.
"""

import os
import shutil
import socket
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from reliability.test_damaged_runs import ALLOWED, OPTIONS, base, call, cheap_commands, commands  # noqa: F401
from synaug import cli
from synaug.runtime.files import directories

CHANGING = ("report", "check", "export", "export_classifier", "review", "apply", "generate", "train", "retrain", "run")
GROUP = 4999


def forked(work):
    """Call ``work`` in a child; return the text that it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = work()
        except BaseException as error:
            text = repr(error)
        os.write(writing, text.encode(errors="replace"))
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as said:
        text = said.read().decode()
    os.waitpid(child, 0)
    return text


# ---------------------------------------------------------------- two users of a group


def as_user(number, group, work, names):
    """Call commands as another user; return the names and output of those that failed."""

    def commanded():
        os.setgroups([group])
        os.setgid(group)
        os.setuid(number)
        os.umask(0o002)
        os.environ["HOME"] = str(work)
        failed = []
        for name in names:
            directories._owned.clear()
            code, said = call(*commands(work, work / "run")[name])
            failed += [f"{name}: {code}, {said}"] if code else []
        return "\n".join(failed)

    return forked(commanded)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_two_users_of_a_group_take_turns_and_a_stranger_only_reads(base):  # noqa: F811
    place = Path(tempfile.mkdtemp())  # not below pytest's folder, which only its user may enter
    place.chmod(0o755)
    work = Path(shutil.copytree(base, place / "work"))
    try:
        for name in CHANGING:  # so that all libraries are imported, which other users may not read
            call(*commands(work, work / "run")[name])
        for name in ("set", "classifier", "run"):
            shutil.rmtree(work / name)
        for path in (work, *work.rglob("*")):
            os.chown(path, 4001, GROUP)
            path.chmod(0o2775 if path.is_dir() else 0o664)
        assert as_user(4001, GROUP, work, ("run",)) == ""
        assert as_user(4002, GROUP, work, CHANGING) == ""
        shutil.rmtree(work / "set")
        shutil.rmtree(work / "run" / "checkpoints" / "synaug_stage1-0")
        assert as_user(4001, GROUP, work, ("train", *CHANGING)) == ""
        below = [path for path in work.rglob("*") if not path.lstat().st_mode & stat.S_IWGRP]
        assert below == []
        said = as_user(4003, 4003, work, ("status", "predict", "evaluate", "generate", "train"))
        assert [line.split(",")[0] for line in said.splitlines() if ": " in line] == ["generate: 5", "train: 5"]
        assert said.count("Permission denied") == 2
    finally:
        shutil.rmtree(place)


# ---------------------------------------------------------------- streams


def closed(*numbers):
    return lambda: [os.close(number) for number in numbers]


def full(number):
    return lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), number)


def without_reader():
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)


STREAMS = {
    "all closed": closed(0, 1, 2), "no input": closed(0), "no output": closed(1), "no errors": closed(2),
    "full": full(1), "full errors": full(2), "no reader": without_reader,
}  # fmt: skip


def with_streams(change, arguments, place):
    """Call a command whose streams are changed; return its exit code and what it printed into files."""

    def commanded():
        for number in (1, 2):
            os.dup2(os.open(place / f"{number}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        change()
        for number, name in enumerate(("stdin", "stdout", "stderr")):  # as Python does at its start
            try:
                os.fstat(number)
                setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
            except OSError:
                setattr(sys, name, None)
        directories._owned.clear()
        sys.argv = ["synaug", *map(str, arguments)]
        try:
            cli.main()
        except SystemExit as ended:
            return str(ended.code or 0)

    code = forked(commanded)
    return code, "".join((place / f"{number}.txt").read_text(errors="replace") for number in (1, 2))


def every_command(work, run):
    photos = work / "photos"
    more = {
        "count": ("count", photos), "plan": ("plan", photos, "--out", work / "plan", "--recipe", work / "r.yaml"),
        "doctor": ("doctor",), "prompts": ("prompts", run), "verify": ("verify", work / "set"),
        "methods": ("methods",), "datasets": ("datasets",), "schema": ("schema", "report"), "help": ("--help",),
        "bench": ("bench", "unknown"), "missing": ("count", work / "missing"), "json": ("status", run, "--json"),
    }  # fmt: skip
    return commands(work, run) | more


@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.long) for turn in range(1, 7))])
def test_closed_and_full_streams_end_no_command_in_a_traceback(base, tmp_path, turn):  # noqa: F811
    work = Path(shutil.copytree(base, tmp_path / "work"))
    for position, (name, arguments) in enumerate(every_command(work, work / "run").items()):
        kind = list(STREAMS)[(position + turn) % len(STREAMS)]
        code, said = with_streams(STREAMS[kind], arguments, tmp_path)
        assert code in {*map(str, ALLOWED), "141"}, (name, kind, code, said)
        assert "Traceback" not in said, (name, kind, said)


# ---------------------------------------------------------------- the path of a run


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/cwd/{os.path.relpath(path)}" if len(str(path)) > 100 else str(path))


OBJECTS = {
    "pipe": os.mkfifo, "device": lambda path: os.mknod(path, 0o20644, os.makedev(1, 3)), "socket": make_socket,
    "link": lambda path: path.symlink_to("missing"), "loop": lambda path: path.symlink_to(path.name),
    "file": lambda path: path.write_text("x"), "folder": Path.mkdir,
}  # fmt: skip


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("place", ["parent", "parent/run", "parent/run/plan.json", "parent/run/.run.lock"])
def test_an_object_in_the_path_of_a_run_is_named_and_not_waited_for(base, tmp_path, monkeypatch, kind, place):  # noqa: F811
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    run = shutil.copytree(base / "run", tmp_path / "parent" / "run")
    path = tmp_path / place
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    try:
        OBJECTS[kind](path)
    except PermissionError:
        pytest.skip("only root may make a device")
    for name in ("status", "export", "train"):
        directories._owned.clear()
        code, said = call(*commands(tmp_path, run)[name])
        assert code in ({0, 4} if place.endswith("lock") else {4}), (name, said)
        assert "Traceback" not in said
        assert code == 0 or said.strip()


@pytest.mark.parametrize("above", [False, True])
def test_a_link_to_a_run_or_to_a_folder_above_it_is_followed(base, tmp_path, above):  # noqa: F811
    shutil.copytree(base / "run", tmp_path / "parent" / "run")
    (tmp_path / "link").symlink_to("parent" if above else "parent/run")
    code, said = call("check", tmp_path / "link" / "run" if above else tmp_path / "link")
    assert code == 0, said


@pytest.mark.parametrize("which", ["photos", "run"])
def test_a_folder_whose_name_is_not_text_is_named(base, tmp_path, which):  # noqa: F811
    place = {"photos": base / "photos", "run": tmp_path / "run"}
    place[which] = tmp_path / os.fsdecode(b"f\xf6lder")
    if which == "photos":
        shutil.copytree(base / "photos", place[which])
    code, said = call("plan", place["photos"], "--recipe", base / "r.yaml", "--out", place["run"])
    assert (code, "is not text in the encoding" in said) == (4 if which == "photos" else 2, True), said
    assert not place["run"].exists()
