"""Fill a new folder under a hidden name and move it into place once it is complete.

If the target does not exist, the folder is moved in one step. An existing empty folder may be a mount point or a
shell's current directory, which cannot be replaced: then the work folder lies inside it, and its entries are moved one
by one, ending with the one that marks it complete. A work folder is named after its content, so that the same call
resumes an interrupted one, and is locked, so that two processes neither share it nor remove each other's.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from synaug.errors import InUseError, OptionError
from synaug.runtime import storage
from synaug.runtime.files import TEMPORARY, directories, effects, is_token_name, token_name
from synaug.runtime.ownership import MARKER, listed

_LOCK = "export"


def is_free(out: Path, content: str, names: Collection[str]) -> bool:
    """Return whether the target is absent, or a folder that contains at most debris of interrupted calls.

    Args:
        out: the target.
        content: digest of the content to write there.
        names: names of the entries it will have.
    """
    if not out.exists():
        return True
    if not out.is_dir():
        return False
    own = {MARKER, *names} if _work_path(out, out, content).is_dir() else set()
    return all(name in own or is_token_name(name) for name in os.listdir(out))


def taken(out: Path) -> OptionError:
    """Return the error for a target that is not empty."""
    if not out.is_dir():
        return OptionError(f"{out} exists and is not a folder. Choose another place.")
    return OptionError(
        f"{out} exists and is not empty; it contains {listed(sorted(os.listdir(out)))}. Nothing was changed. "
        "Choose another folder, or an empty one."
    )


def _work_path(place: Path, out: Path, content: str) -> Path:
    token = storage.digest(f"{out.name}/{content}".encode())[:16]
    return place / token_name(out.name or "root", token=token)


@contextlib.contextmanager
def work_folder(out: Path, content: str, names: Collection[str]) -> Iterator[Path]:
    """Yield the locked work folder for a target; see ``put_in_place``.

    Args:
        out: the target, an absolute path.
        content: digest of the content; repeating the call resumes the folder of an interrupted one.
        names: names of the entries the target will have.

    Raises:
        InUseError: another process is filling it.
    """
    place = out if out.is_dir() and is_free(out, content, names) else out.parent
    work = _work_path(place, out, content)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_if_empty, work)
        try:
            stack.enter_context(storage.lock(work, name=_LOCK, keep=False))
        except InUseError as error:
            raise InUseError(
                f"Another synaug process is writing {out}. Wait for it, or choose another folder."
            ) from error
        _remove_left_over(place, out, work)
        storage.remove_temporary(work)
        if place == out:
            for name in sorted({MARKER, *names} & set(os.listdir(out))):  # moved by an interrupted call
                _move(out, work, name)
        yield work


def _remove_if_empty(work: Path) -> None:
    with contextlib.suppress(OSError), directories.opened(work.parent) as above:
        os.lstat(work.name, dir_fd=above)
        if not os.listdir(work):
            effects.perform("rmdir", work, directories.rmdir, work.name, above)


def _remove_left_over(place: Path, out: Path, work: Path) -> None:
    """Remove work folders of other content for this target, unless a live process is filling them."""
    start = token_name(out.name or "root", token="0" * 16).removesuffix("0" * 16 + TEMPORARY)
    for name in sorted(os.listdir(place)):
        path = place / name
        if not (name.startswith(start) and is_token_name(name, TEMPORARY)) or name == work.name:
            continue
        if stat.S_ISDIR(path.lstat().st_mode):
            with contextlib.suppress(InUseError), storage.lock(path, name=_LOCK, keep=False):
                storage.remove_tree(path)


def remove_left_over(out: Path) -> None:
    """Remove the leftovers of a call that was killed right after its last step from a finished folder."""
    directories.own(out)
    for name in sorted(left_over(out)):
        place = out if "/" not in name else out / name.partition("/")[0]
        with storage.lock(place, name=_LOCK, keep=False):
            pass
    for name in sorted(os.listdir(out)):
        if is_token_name(name, TEMPORARY) and stat.S_ISDIR((out / name).lstat().st_mode):
            _remove_if_empty(out / name)


def left_over(out: Path) -> set[str]:
    """Return the leftovers, in a finished folder, of a call that was killed right after its last step.

    This is at most a lock file: in the folder itself, or in a work folder inside it that contains nothing else.
    """
    lock, found = f".{_LOCK}.lock", set()
    if storage.is_lock_file(out / lock):
        found.add(lock)
    for name in os.listdir(out):
        is_work = is_token_name(name, TEMPORARY) and stat.S_ISDIR((out / name).lstat().st_mode)
        if is_work and os.listdir(out / name) == [lock] and storage.is_lock_file(out / name / lock):
            found.add(f"{name}/{lock}")
    return found


def _move(source: Path, target: Path, name: str) -> None:
    with (
        effects.naming(target / name, "move a finished file to"),
        directories.opened(source) as before,
        directories.opened(target) as after,
    ):
        effects.perform("replace", target / name, directories.moving(name, before, after), source / name)


def put_in_place(work: Path, out: Path, *, kind: str, last: str) -> None:
    """Mark a filled work folder as owned by synaug and move it, or its entries, to the target.

    Args:
        work: as yielded by ``work_folder``.
        out: the target.
        kind: a key of ``ownership.KINDS``.
        last: the entry whose presence makes the target complete.

    Raises:
        OptionError: the target has been filled by something else in the meantime.
    """
    storage.write_text(work / MARKER, json.dumps({"synaug": kind, "version": 1}) + "\n")
    if work.parent != out:
        if out.exists() and (not out.is_dir() or os.listdir(out)):
            storage.remove_tree(work)
            raise taken(out)
        storage.move_folder(work, out)
        return
    names = sorted(name for name in os.listdir(work) if not name.endswith(".lock"))
    if set(names) & set(os.listdir(out)):
        storage.remove_tree(work)
        raise taken(out)
    for name in sorted(names, key=lambda name: (name == last, name)):
        if name == last:
            # All other names must be on disk first: an export with this entry counts as complete.
            storage.sync_folder(out)
        _move(work, out, name)
    storage.sync_folder(out)
