"""Test that a copy by hard links (``cp -al``, many backups) can be used, and that the original never changes."""

import os
import shutil

from reliability.test_damaged_runs import base, call, cheap_commands, commands  # noqa: F401


def state(folder):
    return {path: (path.stat().st_ino, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_copy_by_hard_links_is_used_and_the_original_stays(base, tmp_path):  # noqa: F811
    original, work = tmp_path / "original", tmp_path / "work"
    shutil.copytree(base, original)
    shutil.copytree(original, work, copy_function=os.link)
    before = state(original)
    next((work / "run" / "synthetic").rglob("*.png")).unlink()
    wanted = commands(work, work / "run")
    wanted["check"] = (*wanted["check"], "--reject")
    for name in ("check", "generate", "review", "apply", "run", "report", "export", "export_classifier"):
        code, said = call(*wanted[name])
        assert code == 0, f"{name}: {said[-2000:]}"
    assert state(original) == before
