"""--quiet, --verbose, status --watch and the last line of a run."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

from synaug.cli import COMMANDS, INSTANT


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        "plan: {model: embedded, target: 24}\ngenerate: {steps: 2, batch_size: 16}\nquality: {gates: [broken]}\n"
        "train: {network: resnet8, stage1: {steps: 3, batch_size: 16}}\n"
    )
    return path


def test_a_run_counts_its_parts_and_ends_with_one_line_for_those_who_wait(synaug, photos, small, tmp_path):
    out = tmp_path / "run"
    done = synaug("run", photos, "--out", out, "--recipe", small, "--methods", "cross_entropy,synaug_stage1")
    assert done.code == 0, done.err
    assert re.fullmatch(rf"synaug run: done in \d+:\d\d, {re.escape(str(out))}", done.err.splitlines()[-1])
    parts = re.findall(r"^(\d)/(\d) (\S+)", done.err, re.M)
    assert [part[0] for part in parts] == sorted(part[0] for part in parts)
    assert {"training", "making"} <= {part[2] for part in parts}
    again = synaug(
        "run", photos, "--out", out, "--recipe", small, "--methods", "cross_entropy,synaug_stage1", "--quiet", "--json"
    )
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["results"]


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - INSTANT))
def test_every_long_command_can_be_quiet_or_verbose(synaug, name):
    assert {"--quiet", "--verbose"} <= set(synaug(name, "--help").out.split())


def test_quiet_still_prints_errors_and_verbose_their_traceback(synaug, tmp_path):
    quiet = synaug("count", tmp_path / "nowhere", "-q")
    assert (quiet.code, "nowhere" in quiet.err, "Traceback" in quiet.err) == (4, True, False)
    verbose = synaug("count", tmp_path / "nowhere", "-v")
    assert (verbose.code, "Traceback" in verbose.err) == (4, True)
    assert synaug("count", tmp_path, "-q", "-v").code == 2
    assert "Traceback" not in synaug("count", tmp_path / "nowhere").err  # each call starts anew


@pytest.mark.parametrize("option", ["--verbose", "--quiet", "--seed"])
def test_an_option_before_the_command_is_an_error_with_its_place(synaug, option):
    done = synaug(option, "count", "photos")
    assert (done.code, "after its name" in " ".join(done.err.replace("│", " ").split())) == (2, True)
    assert "after its name" not in synaug("count", "photos", "--nonsense").err


def test_status_watch_ends_when_the_run_is_done(synaug, finished):
    done = synaug("status", finished, "--watch", "--interval", 0.1)
    assert (done.code, "done" in done.out) == (0, True)


def test_status_watch_of_an_unfinished_run_ends_with_ctrl_c_and_prints_only_what_changes(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "report.html").unlink()
    command = [sys.executable, "-m", "synaug", "status", str(run), "--watch", "--interval", "0.1", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    text = ""
    while not text.endswith("\n}\n"):
        text += process.stdout.readline()
    process.send_signal(2)
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")
    assert json.loads(text)["stage"] != "done"


def test_status_watch_waits_for_a_run_that_is_not_planned_yet(synaug, finished, tmp_path):
    run = tmp_path / "run"
    starts = threading.Timer(0.5, shutil.copytree, (finished, run))  # as a run that is started in another terminal
    starts.start()
    done = synaug("status", run, "--watch", "--interval", 0.1)
    starts.join()
    assert (done.code, "done" in done.out) == (0, True)
    assert done.err.splitlines() == [f"Waiting: {run} has no plan yet. Ctrl-C ends this."]


def test_status_watch_does_not_wait_for_a_folder_in_which_no_run_can_start(synaug, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = synaug("status", tmp_path, "--watch")
    assert (done.code, "is not a run directory" in done.err) == (4, True)
