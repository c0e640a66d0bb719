"""Test ownership: a nonempty foreign folder is rejected before anything changes, with its content in the message."""

import json
import os

import pytest

from synaug.errors import OptionError
from synaug.runtime import storage
from synaug.runtime.ownership import MARKER, check_free, claim, foreign_entries, kind_of


def snapshot(folder):
    return {path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_an_absent_or_empty_folder_becomes_ours(tmp_path):
    for name in ("absent/deep", "empty"):
        if name == "empty":
            (tmp_path / name).mkdir()
        claim(tmp_path / name, "run")
        assert kind_of(tmp_path / name) == "run"
        check_free(tmp_path / name, "run")


def test_claiming_twice_changes_nothing(tmp_path):
    before = snapshot(claim(tmp_path / "run", "run"))
    (tmp_path / "run" / "plan.json").write_text("{}")
    claim(tmp_path / "run", "run")
    assert snapshot(tmp_path / "run") == before | {"plan.json": b"{}"}


@pytest.mark.parametrize("name", ["report.html", "plan.json", MARKER, ".x.removed", "checkpoints/cross_entropy-0/a"])
def test_a_folder_with_a_users_own_files_is_refused(tmp_path, name):
    path = tmp_path / "own" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    before = snapshot(tmp_path)
    for attempt in (check_free, claim):
        with pytest.raises(OptionError, match=name.partition("/")[0].replace(".", r"\.")):
            attempt(tmp_path / "own", "run")
    assert snapshot(tmp_path) == before


def test_a_folder_of_another_kind_is_refused(tmp_path):
    claim(tmp_path / "x", "export")
    with pytest.raises(OptionError, match=r"holds an exported data set, not a run directory"):
        claim(tmp_path / "x", "run")


def test_a_marker_that_is_a_link_to_a_real_one_does_not_count(tmp_path):
    claim(tmp_path / "run", "run")
    (tmp_path / "own").mkdir()
    os.symlink(tmp_path / "run" / MARKER, tmp_path / "own" / MARKER)
    with pytest.raises(OptionError, match=r"not empty"):
        claim(tmp_path / "own", "run")


def test_leftovers_of_an_interrupted_start_do_not_count(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.lock").write_text("123")
    (tmp_path / "run" / ".a.synaug-0123456789abcdef.incomplete").write_text("")
    claim(tmp_path / "run", "run")


def test_a_run_of_before_there_were_markers_is_ours(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "synaug.lock.json").write_text(json.dumps({"recipe": {}, "data_digest": ""}))
    claim(tmp_path / "run", "run")
    assert kind_of(tmp_path / "run") == "run"


def test_a_bench_may_start_from_copied_results_alone(tmp_path):
    (tmp_path / "bench").mkdir()
    path = tmp_path / "bench" / "results.jsonl"
    path.write_text("mine\n")
    with pytest.raises(OptionError, match=r"results.jsonl"):
        claim(tmp_path / "bench", "bench")
    path.write_text(json.dumps({"experiment": "e", "method": "m", "seed": 0}) + "\n")
    claim(tmp_path / "bench", "bench")


def test_a_file_in_the_place_is_named(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OptionError, match=r"x is a file"):
        check_free(tmp_path / "x", "run")


def test_foreign_entries_are_named_and_ours_are_not(tmp_path):
    run = claim(tmp_path / "run", "run")
    with storage.lock(run):
        storage.write_text(run / "plan.json", "{}")
        (run / "notes.txt").write_text("")
        (run / ".git").mkdir()
    assert foreign_entries(run, {"plan.json"}) == [".git", "notes.txt"]
