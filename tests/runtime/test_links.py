"""Test that nothing inside our folders follows a link, waits for a pipe, or removes foreign files."""

import contextlib
import os
import stat
import subprocess
import threading

import pytest

from synaug.errors import DataError, EnvironmentFault, InUseError
from synaug.runtime import storage
from synaug.runtime.files import directories, locks
from synaug.runtime.files.names import REMOVED, component, component_fault, inside, is_token_name, token_name


@pytest.fixture
def places(tmp_path):
    """A folder of ours, and a user's folder beside it."""
    own = directories.own(storage.make_folder(tmp_path / "run"))
    storage.write_text(storage.make_folder(tmp_path / "home" / "deep") / "thesis.tex", "thesis")
    storage.write_text(tmp_path / "home" / "journal.jsonl", '{"n": 1}\n')
    return own, tmp_path / "home"


def state(folder):
    """Return content and kind of everything in a folder."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


OPERATIONS = {
    "write": lambda path: storage.write_text(path, "new"),
    "append": lambda path: storage.append_records(path, [{"n": 2}]),
    "remove_file": storage.remove_file,
    "remove_tree": storage.remove_tree,
    "remove_own": lambda path: storage.remove_tree(path, names={"thesis.tex"}, last="thesis.tex"),
    "make_folder": lambda path: storage.make_folder(path / "new"),
    "temporary": storage.remove_temporary,
    "read": storage.read_json,
    "records": lambda path: list(storage.read_records(path)),
    "digest": storage.file_digest,
    "checked": directories.checked,
    "copy": lambda path: storage.copy_file(path, path.with_name("copy")),
    "sync": storage.sync_folder,
    "lock": lambda path: storage.lock(path).__enter__(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("target", ["home", "home/deep", "home/journal.jsonl", "home/missing"])
@pytest.mark.parametrize("below", ["", "deep", "journal.jsonl"])
def test_no_operation_goes_through_a_link(places, operation, target, below):
    run, home = places
    os.symlink(f"../{target}", run / "link")
    before = state(home)
    with contextlib.suppress(DataError, EnvironmentFault, FileNotFoundError):  # or there is nothing to do
        OPERATIONS[operation](run / "link" / below)
    assert state(home) == before
    assert os.readlink(run / "link") == f"../{target}"


def test_the_test_above_sees_an_operation_that_follows(places):
    run, home = places
    os.symlink("../home", run / "link")
    directories._owned.clear()
    storage.write_text(run / "link" / "journal.jsonl", "new")
    assert (home / "journal.jsonl").read_text() == "new"


def test_a_link_in_the_way_a_person_named_is_followed(places, tmp_path):
    run, _ = places
    os.symlink(run, tmp_path / "latest")
    named = directories.own(tmp_path / "latest")
    storage.write_text(named / "a", "1")
    assert (run / "a").read_text() == "1"
    os.symlink("../home", run / "link")
    with pytest.raises(DataError, match=r"link is a symbolic link"):
        storage.write_text(named / "link" / "a", "2")


def test_two_dots_are_resolved_as_by_the_system(places, tmp_path):
    run, home = places
    os.symlink(home / "deep", tmp_path / "elsewhere")
    with pytest.raises((DataError, EnvironmentFault, FileNotFoundError)):
        storage.write_text(tmp_path / "elsewhere" / ".." / ".." / "run" / "missing" / "a", "x")
    storage.write_text(run / ".." / "run" / "a", "x")
    assert (run / "a").read_text() == "x"


def test_a_second_name_of_a_journal_keeps_its_content(places):
    run, home = places
    os.link(home / "journal.jsonl", run / "journal.jsonl")
    storage.append_records(run / "journal.jsonl", [{"n": 2}])
    assert (home / "journal.jsonl").read_text() == '{"n": 1}\n'
    assert [each["n"] for each in storage.read_records(run / "journal.jsonl")] == [1, 2]


@pytest.mark.parametrize("name", [".x.removed", ".x.0123456789abcdef.removed", ".x.incomplete", "x.removed", "~x"])
def test_names_without_our_token_are_not_cleaned_up(places, name):
    run, _ = places
    storage.write_text(storage.make_folder(run / name) / "mine", "x")
    (run / f"{name}-file").write_text("x")
    before = state(run)
    storage.remove_temporary(run)
    assert state(run) == before


def test_links_with_our_token_are_neither_followed_nor_removed(places):
    run, home = places
    for suffix in (".removed", ".incomplete"):
        os.symlink("../home", run / token_name("x", suffix))
    os.symlink("../home/journal.jsonl", run / token_name("y"))
    before = state(home)
    storage.remove_temporary(run)
    assert state(home) == before
    assert len(list(run.iterdir())) == 3


def test_a_link_inside_a_removed_folder_is_not_followed(places):
    run, home = places
    left = storage.make_folder(run / token_name("x", REMOVED) / "a")
    os.symlink(home, left / "link")
    before = state(home)
    storage.remove_temporary(run)
    assert (state(home), list(run.iterdir())) == (before, [])


def test_a_folder_that_holds_something_foreign_keeps_it(places):
    run, _ = places
    folder = storage.make_folder(run / "synaug-0")
    for name in ("result.json", "training.csv", "notes.txt"):
        storage.write_text(folder / name, "x")
    storage.remove_tree(folder, names={"result.json", "training.csv"}, last="result.json")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    storage.remove_file(folder / "notes.txt")
    storage.write_text(folder / "result.json", "x")
    storage.remove_tree(folder, names={"result.json", "training.csv"}, last="result.json")
    assert not folder.exists()


def test_pipes_are_refused_and_not_waited_for(places):
    run, _ = places
    os.mkfifo(run / "pipe")
    for operation in ("write", "append", "remove_file", "read", "records", "digest", "copy", "checked"):
        with pytest.raises(DataError, match=r"pipe is a named pipe"):
            OPERATIONS[operation](run / "pipe")
    assert stat.S_ISFIFO((run / "pipe").lstat().st_mode)


def test_an_endless_file_is_read_up_to_the_limit(tmp_path):
    with pytest.raises(DataError, match="device"):
        storage.file_digest(tmp_path / "../../../../../../../../dev/zero")
    (tmp_path / "large").write_bytes(b"x" * 101)
    with pytest.raises(DataError, match="more than 100 bytes"):
        directories.read_bytes(tmp_path / "large", limit=100)


def test_entries_are_found_however_deep(tmp_path):
    deep = storage.make_folder(tmp_path / "deep")
    handle = os.open(deep, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    try:
        assert len(list(directories.entries_below(deep))) > 1000
        assert storage.size(deep) == 0
    finally:  # pytest's own cleanup is recursive
        subprocess.run(["rm", "-rf", deep], check=True)


# ---------------------------------------------------------------- locks


@pytest.mark.parametrize("content", [b"thesis", b"12 34", b"1" * 100])
def test_a_lock_file_that_is_not_ours_is_left_alone(places, content):
    run, _ = places
    (run / ".run.lock").write_bytes(content)
    with pytest.raises(DataError, match=r"not a lock file of synaug"):
        storage.lock(run).__enter__()
    assert (run / ".run.lock").read_bytes() == content
    assert storage.holders(run) == {}


def test_a_lock_file_that_is_a_link_is_left_alone(places):
    run, home = places
    storage.write_text(home / "number", "12")
    (run / ".run.lock").symlink_to(home / "number")
    with pytest.raises(DataError, match=r"run.lock"):
        storage.lock(run).__enter__()
    assert (home / "number").read_text() == "12"


def test_a_lock_file_of_a_copy_by_hard_links_is_replaced(places):
    run, home = places
    storage.write_text(home / "number", "12")
    os.link(home / "number", run / ".run.lock")
    with storage.lock(run):
        assert storage.holders(run) == {"run": os.getpid()}
        assert storage.holders(home) == {}
        with pytest.raises(InUseError), storage.lock(run):
            pass
    assert (home / "number").read_text() == "12"
    assert sorted(path.name for path in run.iterdir()).count(".run.lock") == 1
    assert not [path for path in run.iterdir() if path.name.endswith(".incomplete")]


def test_a_lock_that_a_copy_by_hard_links_shares_is_held_until_the_original_is_free(places):
    run, _ = places
    copy = storage.make_folder(run.with_name("copy"))
    with storage.lock(run):
        os.link(run / ".run.lock", copy / ".run.lock")
        with pytest.raises(InUseError), storage.lock(copy):
            pass
    with storage.lock(copy), storage.lock(run):
        assert storage.holders(copy) == storage.holders(run) == {"run": os.getpid()}


def test_asking_who_holds_a_folder_never_refuses_a_start(tmp_path):
    with storage.lock(tmp_path):
        pass
    stop, failed, started = threading.Event(), [], 0

    def ask():
        while not stop.is_set():
            storage.holders(tmp_path)

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(500):
            try:
                with storage.lock(tmp_path):
                    started += 1
                    assert list(storage.holders(tmp_path)) == ["run"]
            except InUseError as error:
                failed.append(error)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert (started, failed) == (500, [])


def test_cleaning_up_beside_a_writer_takes_nothing_from_it(tmp_path):
    stop, failed = threading.Event(), []

    def clean():
        while not stop.is_set():
            storage.remove_temporary(tmp_path)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for number in range(300):
            try:
                storage.write_bytes(tmp_path / f"{number % 20}.json", b"x" * 100, sync=False)
            except EnvironmentFault as error:
                failed.append(error)
    finally:
        stop.set()
        cleaner.join()
    assert failed == []


def test_a_file_removed_before_it_was_locked_is_written_again(tmp_path, monkeypatch):
    real, calls = locks.taken, []

    def once_too_late(handle):
        if not calls:
            calls.append(handle)
            for path in tmp_path.iterdir():
                path.unlink()
        return real(handle)

    monkeypatch.setattr(locks, "taken", once_too_late)
    storage.write_text(tmp_path / "a", "new")
    assert calls
    assert (tmp_path / "a").read_text() == "new"


def test_files_of_a_group_can_be_used_by_all_of_it(tmp_path):
    before = os.umask(0o002)
    try:
        folder = storage.make_folder(tmp_path / "run")
        with storage.lock(folder):
            storage.write_text(folder / "a", "1")
            storage.append_records(folder / "j", [{"n": 1}])
    finally:
        os.umask(before)
    for name in ("a", "j", ".run.lock"):
        assert (folder / name).stat().st_mode & 0o777 == 0o664
    assert folder.stat().st_mode & 0o777 == 0o775


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a\\b", ".a", "a.", "a ", "a\nb", "x" * 256, "\0"]
)
def test_a_name_that_is_not_a_single_component_is_refused(name):
    assert component_fault(name)
    with pytest.raises(DataError, match=r"lock.json: the method"):
        component(name, kind="method", where="lock.json")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "./a", None, 7, "a/.b"])
def test_a_path_that_leaves_its_folder_is_refused(path):
    with pytest.raises(DataError, match=r"journal"):
        inside(path, where="journal")


def test_our_names_are_distinguished_from_others():
    assert is_token_name(token_name("a.json"))
    assert is_token_name(token_name("é" * 200 + "\n"))
    assert len(token_name("é" * 200).encode()) < 255
    assert not is_token_name(".a.json.incomplete")


# ---------------------------------------------------------------- mounts


@pytest.fixture
def mounted(places):
    """Mount the user's folder, which is of the same file system, inside a folder of ours."""
    run, home = places
    (run / "sub").mkdir()
    if subprocess.run(["mount", "--bind", home, run / "sub"], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield run, home
    subprocess.run(["umount", run / "sub"], check=True)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("below", ["", "new", "deep", "deep/thesis.tex", "journal.jsonl"])
def test_no_operation_changes_what_is_mounted_inside(mounted, operation, below):
    run, home = mounted
    storage.write_text(home / token_name("x"), "mine")
    before = state(home)
    with contextlib.suppress(DataError, EnvironmentFault, FileNotFoundError):
        OPERATIONS[operation](run / "sub" / below)
    with contextlib.suppress(DataError, EnvironmentFault):
        OPERATIONS[operation](run)
    assert state(home) == state(run / "sub") == before


def test_the_test_above_sees_an_operation_without_the_check(mounted, monkeypatch):
    run, home = mounted
    monkeypatch.setattr(directories.mounts, "mount_of", lambda handle: b"")
    storage.write_text(run / "sub" / "journal.jsonl", "new")
    assert (home / "journal.jsonl").read_text() == "new"


def test_the_folder_that_a_person_named_may_be_a_mount_point(mounted):
    run, home = mounted
    directories._owned.clear()
    directories.own(run / "sub")
    storage.write_text(storage.make_folder(run / "sub" / "new") / "a", "1")
    assert (home / "new" / "a").read_text() == "1"


def test_a_mount_that_comes_later_is_noticed(places):
    run, home = places
    for _ in range(2):
        storage.write_text(storage.make_folder(run / "sub") / "a", "1")
    if subprocess.run(["mount", "--bind", home, run / "sub"], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(DataError, match=r"sub is on another mount"):
            storage.write_text(run / "sub" / "a", "2")
    finally:
        subprocess.run(["umount", run / "sub"], check=True)
    storage.write_text(run / "sub" / "a", "3")
    assert sorted(path.name for path in home.iterdir()) == ["deep", "journal.jsonl"]


def test_a_file_that_is_mounted_over_one_of_ours_keeps_its_content(places):
    run, home = places
    storage.append_records(run / "j.jsonl", [{"n": 0}])
    storage.write_text(run / ".run.lock", "")
    storage.write_text(home / "empty", "")
    mounts = ((home / "journal.jsonl", run / "j.jsonl"), (home / "empty", run / ".run.lock"))
    for source, target in mounts:
        if subprocess.run(["mount", "--bind", source, target], capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
    try:
        before = state(home)
        with pytest.raises(DataError, match=r"j\.jsonl is on another mount"):
            storage.append_records(run / "j.jsonl", [{"n": 2}])
        with pytest.raises(EnvironmentFault, match="mounted"):
            storage.write_text(run / "j.jsonl", "")
        with pytest.raises(DataError, match="lock is on another mount"), storage.lock(run):
            pass
        assert state(home) == before
    finally:
        for _, target in mounts:
            subprocess.run(["umount", target], check=True)
