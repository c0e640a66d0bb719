"""Test storage: after any failure a file is the old or the new one, and a journal has whole lines."""

import errno
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.runtime import storage


def failing(function, *, at, code=errno.ENOSPC):
    """Return the function with call number ``at`` failing."""
    calls = []

    def call(*arguments, **options):
        calls.append(arguments)
        if len(calls) == at:
            raise OSError(code, os.strerror(code))
        return function(*arguments, **options)

    return call


# ---------------------------------------------------------------- whole files


@pytest.mark.parametrize("operation", ["write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, operation):
    path = tmp_path / "a.json"
    storage.write_text(path, "old")
    monkeypatch.setattr(os, operation, failing(getattr(os, operation), at=1))
    with pytest.raises(EnvironmentFault, match=r"Cannot write .*a.json: No space left on device. Free some space"):
        storage.write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_an_error_other_than_a_full_disk_gives_no_advice_about_space(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", failing(os.write, at=1, code=errno.EIO))
    with pytest.raises(EnvironmentFault, match=r"Input/output error\.$"):
        storage.write_text(tmp_path / "a", "new")


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    storage.write_bytes(tmp_path / "a", b"0123456789")
    storage.append_records(tmp_path / "j", [{"n": 1}])
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    assert list(storage.read_records(tmp_path / "j")) == [{"n": 1}]


def test_an_interruption_removes_the_temporary_file(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        storage.write_text(tmp_path / "a", "new")
    assert not list(tmp_path.iterdir())


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("é" * 125 + ".json")
    storage.write_text(path, "new")
    assert path.read_text() == "new"


def test_files_have_the_permissions_of_the_system(tmp_path):
    storage.write_text(tmp_path / "a", "new")
    (tmp_path / "b").write_text("new")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@given(st.lists(st.binary(max_size=50)))
def test_pieces_are_written_in_order(tmp_path_factory, chunks):
    path = tmp_path_factory.mktemp("chunks") / "a"
    storage.write_chunks(path, iter(chunks))
    assert path.read_bytes() == b"".join(chunks)


def test_large_pieces_are_written_whole(tmp_path):
    storage.write_chunks(tmp_path / "a", (bytes([n]) * 700_000 for n in range(4)))
    assert (tmp_path / "a").read_bytes() == b"".join(bytes([n]) * 700_000 for n in range(4))


def test_json_has_null_for_undefined_values(tmp_path):
    storage.write_json(tmp_path / "a.json", {"few": float("nan"), "names": ("é",)})
    assert storage.read_json(tmp_path / "a.json") == {"few": None, "names": ["é"]}
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_missing_and_invalid_json_are_data_errors(tmp_path):
    with pytest.raises(DataError, match=r"a.json is missing"):
        storage.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a.json cannot be read as JSON"):
        storage.read_json(tmp_path / "a.json")


def test_leftovers_of_interrupted_writes_are_removed(tmp_path):
    storage.write_text(storage.make_folder(tmp_path / "deep") / "a", "new")
    (tmp_path / "deep" / f".a.synaug-0123456789abcdef{storage.TEMPORARY}").write_text("ne")
    storage.remove_temporary(tmp_path)
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a"]


def test_files_being_written_are_not_removed(tmp_path):
    def chunks():
        yield b"new"
        storage.remove_temporary(tmp_path)

    storage.write_chunks(tmp_path / "a", chunks())
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_removal_that_stops_halfway_is_whole_for_readers_and_is_finished_later(tmp_path, monkeypatch):
    for name in ("a", "b"):
        storage.write_text(storage.make_folder(tmp_path / "old") / name, "x")
    monkeypatch.setattr(os, "unlink", failing(os.unlink, at=2, code=errno.EIO))
    with pytest.raises(EnvironmentFault, match=r"Cannot remove .*old: Input/output error"):
        storage.remove_tree(tmp_path / "old")
    monkeypatch.undo()
    assert not (tmp_path / "old").exists()
    storage.remove_temporary(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_lock_file_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", failing(os.write, at=1))
    with pytest.raises(EnvironmentFault, match=r"Cannot lock .*\.run\.lock: No space left"), storage.lock(tmp_path):
        pass


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    storage.write_text(path, "old")
    script = (
        "import os, signal, sys; from pathlib import Path; from synaug.runtime import storage\n"
        "os.replace = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "storage.write_text(Path(sys.argv[1]), 'new')"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -9
    assert path.read_text() == "old"
    storage.remove_temporary(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


# ---------------------------------------------------------------- folders


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "a").write_text("file")
    with pytest.raises(EnvironmentFault, match=r"Cannot create the folder .*a"):
        storage.make_folder(tmp_path / "a" / "b")


def test_a_folder_moves_to_a_free_place_only(tmp_path):
    storage.write_text(storage.make_folder(tmp_path / "new") / "a", "1")
    storage.write_text(storage.make_folder(tmp_path / "full") / "b", "2")
    with pytest.raises(EnvironmentFault, match=r"Cannot move the finished folder to .*full"):
        storage.move_folder(tmp_path / "new", tmp_path / "full")
    storage.make_folder(tmp_path / "empty")
    storage.move_folder(tmp_path / "new", tmp_path / "empty")
    assert (tmp_path / "empty" / "a").read_text() == "1"


def test_removing_a_folder_that_is_not_there(tmp_path):
    storage.remove_tree(tmp_path / "none")
    storage.remove_tree(storage.make_folder(tmp_path / "some" / "deep").parent)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- journals

records = st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3), max_size=6)


@given(records, records, st.integers(0, 200))
def test_a_journal_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, before, after, cut):
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    storage.append_records(path, before)
    if before:
        path.write_bytes(path.read_bytes()[: -cut or None])
    kept = list(storage.read_records(path))
    assert kept == before[: len(kept)]
    storage.append_records(path, after)
    expected = kept + after
    assert list(storage.read_records(path)) == expected


def test_a_cut_line_longer_than_a_block_is_removed(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": "' + b"x" * 10_000)
    storage.append_records(path, [{"n": 2}])
    assert list(storage.read_records(path)) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("operation", ["write", "fsync"])
def test_a_failed_append_leaves_the_journal_as_it_was(tmp_path, monkeypatch, operation):
    path = tmp_path / "j.jsonl"
    storage.append_records(path, [{"n": 1}])
    before = path.read_bytes()
    monkeypatch.setattr(os, operation, failing(getattr(os, operation), at=1))
    with pytest.raises(EnvironmentFault, match=r"Cannot append to .*j.jsonl: No space left"):
        storage.append_records(path, [{"n": 2}])
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_half_an_append_is_undone(tmp_path, monkeypatch):
    path, write = tmp_path / "j.jsonl", os.write
    storage.append_records(path, [{"n": 1}])
    before = path.read_bytes()
    monkeypatch.setattr(os, "write", failing(lambda handle, data: write(handle, data[:5]), at=2))
    with pytest.raises(EnvironmentFault, match=r"No space left"):
        storage.append_records(path, [{"n": 2}, {"n": 3}])
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_appending_nothing_writes_nothing(tmp_path):
    storage.append_records(tmp_path / "j.jsonl", [])
    assert not list(tmp_path.iterdir())
    assert list(storage.read_records(tmp_path / "j.jsonl")) == []


def test_a_damaged_line_inside_is_named(tmp_path):
    (tmp_path / "j.jsonl").write_text('{"n": 1}\nnonsense\n{"n": 2}\n')
    with pytest.raises(DataError, match=r"j.jsonl, line 2"):
        list(storage.read_records(tmp_path / "j.jsonl"))


# ---------------------------------------------------------------- locks

HOLDER = """
import sys; from pathlib import Path; from synaug.runtime import storage
with storage.lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_that_another_process_holds_is_refused_until_it_ends(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OptionError, match=rf"synaug.*.PID {holder.pid}."):
            storage.lock(tmp_path).__enter__()
        holder.kill()
        holder.wait()
        with storage.lock(tmp_path):
            pass


def test_a_lock_holds_within_one_process_too_and_names_differ(tmp_path):
    with storage.lock(tmp_path), storage.lock(tmp_path, name="other"), pytest.raises(OptionError, match=r"in use"):
        storage.lock(tmp_path).__enter__()


# ---------------------------------------------------------------- digests


def test_digests_of_bytes_and_files_agree(tmp_path):
    storage.write_bytes(tmp_path / "a", b"abc")
    storage.copy_file(tmp_path / "a", tmp_path / "b")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert storage.digest(b"abc") == storage.file_digest(tmp_path / "b") == known


def test_json_at_a_path_that_no_file_can_have_is_a_named_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read as JSON"):
        storage.read_json(tmp_path / "a\0b")


def test_a_folder_in_place_of_json_is_named_once(tmp_path):
    with pytest.raises(DataError, match=r"^\S+ is a folder, not a file\.$"):
        storage.read_json(tmp_path)
