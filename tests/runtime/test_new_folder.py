"""Test new folders: complete or absent, never mixed, even if the place is a mount point or the current folder."""

import os
import shutil
import subprocess

import pytest

from synaug.errors import EnvironmentFault, InUseError, OptionError
from synaug.runtime import storage
from synaug.runtime.files import effects
from synaug.runtime.files.names import token_name
from synaug.runtime.new_folder import is_free, left_over, put_in_place, remove_left_over, taken, work_folder
from synaug.runtime.ownership import MARKER, kind_of

NAMES = ("a", "deep", "last")


def fill(out, content, *, before_end=lambda: None):
    if not is_free(out, content, NAMES):
        raise taken(out)
    with work_folder(out, content, NAMES) as work:
        storage.write_text(work / "a", content)
        storage.write_text(storage.make_folder(work / "deep") / "b", content)
        storage.write_text(work / "last", content)
        before_end()
        put_in_place(work, out, kind="export", last="last")


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*") if path.is_file()}


def whole(content):
    return {"a": content, "deep/b": content, "last": content, MARKER: '{"synaug": "export", "version": 1}\n'}


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_is_put_in_its_place_and_nothing_is_left(tmp_path, exists):
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    fill(out, "1")
    assert contents(out) == whole("1")
    assert (kind_of(out), [path.name for path in tmp_path.iterdir()]) == ("export", ["out"])
    with pytest.raises(OptionError, match=r"contains '.synaug', 'a', 'deep', 'last'"):
        fill(out, "2")
    assert contents(out) == whole("1")


def test_the_current_folder_stays_the_one_that_the_shell_is_in(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    before = os.stat(".").st_ino
    fill(tmp_path / "out", "1")
    assert os.stat(".").st_ino == before == os.stat(tmp_path / "out").st_ino
    assert contents(tmp_path / "out") == whole("1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_mount_point_is_filled(tmp_path):
    out = storage.make_folder(tmp_path / "out")
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", out], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        fill(out, "1")
        assert contents(out) == whole("1")
    finally:
        subprocess.run(["umount", out], check=True)


@pytest.mark.parametrize("exists", [False, True])
def test_two_processes_at_once_never_mix(tmp_path, exists):
    out = tmp_path / "out"
    if exists:
        out.mkdir()

    def same_content():
        with pytest.raises(InUseError, match=r"Another synaug process is writing"):
            fill(out, "1")

    with pytest.raises(OptionError):
        fill(out, "1", before_end=lambda: (same_content(), fill(out, "2")))
    assert contents(out) == whole("2")


@pytest.mark.parametrize("exists", [False, True])
def test_stopped_at_any_operation_the_same_call_ends_alike(tmp_path, monkeypatch, exists):
    real, stopped = effects.perform, 0
    for at in range(1, 200):
        out = storage.make_folder(tmp_path / f"{at}") / "out"
        if exists:
            out.mkdir()
        calls = []

        def stop(operation, path, function, *arguments, at=at, calls=calls):
            calls.append(operation)
            if len(calls) == at:
                raise OSError(5, "stopped")
            return real(operation, path, function, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(effects, "perform", stop)
            try:
                fill(out, "1")
            except EnvironmentFault:
                stopped += 1
        if len(calls) < at:
            break
        if not (out / "last").exists():
            fill(out, "1")
        remove_left_over(out)
        assert contents(out) == whole("1")
        assert sorted(path.name for path in out.iterdir()) == sorted([MARKER, *NAMES])
        shutil.rmtree(out)
        assert list(out.parent.iterdir()) == []
    assert stopped > 20


def test_leftovers_of_a_dead_process_with_other_content_are_removed(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError):
        fill(out, "1", before_end=lambda: 1 / 0)
    assert len(list(tmp_path.iterdir())) == 1
    fill(out, "2")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("inside", [False, True])
def test_only_a_lock_file_of_synaug_counts_as_left_over(tmp_path, inside):
    out = tmp_path / "out"
    fill(out, "1")
    place = storage.make_folder(out / token_name("out")) if inside else out
    lock = place / ".export.lock"
    lock.write_text("my own notes")
    assert left_over(out) == set()
    lock.write_text("4711")
    assert left_over(out) == {lock.relative_to(out).as_posix()}
    lock.unlink()
    lock.symlink_to(out / "a")
    assert left_over(out) == set()
    remove_left_over(out)
    assert lock.is_symlink()
    lock.unlink()
    lock.touch()
    (place / "more").touch()
    assert left_over(out) == (set() if inside else {".export.lock"})
