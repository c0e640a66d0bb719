"""Test that user files are never changed: links, pipes, mounts and foreign files anywhere in a run or export.

A finished run, an export and an exported classifier are copied; a user's object is put at a random place, replacing a
file or beside one; then every command is called. Everything outside, and everything foreign inside, must remain byte
for byte. Exit code 1, a bug, is a failure as well.
"""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synaug import experiment
from synaug.pipeline import generate as generate_stage
from synaug.pipeline.classifier.export_classifier import export_classifier
from synaug.pipeline.export import export
from synaug.recipes import make_recipe
from synaug.run_directory import Run
from synaug.runtime.files import directories

PATIENCE = 100  # seconds for one command; a wait for a pipe ends here
METHODS = "synaug_stage1,synaug"
RECIPE = {
    "plan": {"model": "embedded", "target": 6, "template": "a {class}"},
    "quality": {"gates": ["broken"]},
    "cross_validate": {"folds": 0},
    "train": {"network": "resnet8", "image_size": 8, "stage1": {"steps": 2, "batch_size": 4}},
}
COMMANDS = (
    ("status", "run"),
    ("review", "run"),
    ("review", "run", "--apply"),
    ("check", "run", "--gates", "broken", "--reject"),
    ("plan", "photos", "--out", "run", "--recipe", "r.yaml"),
    ("generate", "run"),
    ("train", "run", "--methods", METHODS),
    ("retrain", "run", "--methods", METHODS),
    ("report", "run"),
    ("run", "photos", "--out", "run", "--recipe", "r.yaml", "--methods", METHODS),
    ("export", "run", "--out", "new-export"),
    ("export", "run", "--out", "new-classifier", "--classifier", "synaug"),
    ("export", "run", "--out", "export"),
    ("verify", "export"),
    ("count", "export"),
    ("export", "run", "--out", "classifier", "--classifier", "synaug"),
)
HOSTILE_NAMES = (
    ".x.removed", ".x.incomplete", ".export.incomplete", ".run.lock.old", "notes.txt", "Thumbs.db", "a b", "\u202ex",
    "=1+1.csv", "x\ny", "-rf", "synaug-0", "metadata.csv", "train", "é" * 120,
)  # fmt: skip


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """The originals that each example copies: photos, a finished run, its export, a classifier, and a home folder."""
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("origin")
    for label, number in (("bag", 6), ("coat", 4), ("boot", 3)):
        (root / "photos" / label).mkdir(parents=True)
        for i in range(number):
            values = np.random.default_rng([len(label), ord(label[0]), i]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(values).save(root / "photos" / label / f"{i}.png")
    (root / "r.yaml").write_text(json.dumps(RECIPE))
    with noise_for_a_model(), contextlib.chdir(root):
        experiment.run("photos", root / "run", make_recipe(RECIPE), methods=METHODS.split(","))
        export(Run.open(root / "run"), root / "export")
        export_classifier(root / "run", root / "classifier")
    home = root / "home"
    (home / "deep").mkdir(parents=True)
    for name, text in (("thesis.tex", "thesis"), ("deep/a.png", "no image"), ("report.json", "{}"), ("j.jsonl", "{}")):
        (home / name).write_text(text)
    return root


@contextlib.contextmanager
def noise_for_a_model():
    import numpy as np
    from PIL import Image

    def noise(prompts, *, seeds):
        for seed in seeds:
            yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8))

    noise.batch_size = 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate_stage, "loaded_generator", lambda *_, **__: noise)
        patch.setattr(experiment, "find_model", lambda _: None)
        yield


def state(path):
    """Return kind and content of a path and everything below it; links by their target, pipes only by kind."""
    found = {}
    below = [] if path.is_symlink() else sorted(directories.entries_below(path))
    for each in [path, *below]:
        mode = each.lstat().st_mode
        content = os.readlink(each) if stat.S_ISLNK(mode) else each.read_bytes() if stat.S_ISREG(mode) else None
        found[str(each)] = (stat.S_IFMT(mode), content)
    return found


KINDS = ("link", "absolute link", "link to file", "link to nothing", "pipe", "file", "folder", "second name", "mount")


def put(kind, path, home):
    """Put a user's object at a path; return whether that was possible."""
    to_home = os.path.relpath(home, path.parent)
    if kind == "link":
        os.symlink(to_home, path)
    elif kind == "absolute link":
        os.symlink(home / "deep", path)
    elif kind == "link to file":
        os.symlink(os.path.join(to_home, "report.json"), path)
    elif kind == "link to nothing":
        os.symlink(os.path.join(to_home, "missing"), path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "second name":
        os.link(home / "j.jsonl", path)
    elif kind == "folder":
        shutil.copytree(home, path)
    elif kind == "mount":
        path.mkdir()
        if subprocess.run(["mount", "--bind", home, path], capture_output=True).returncode:
            path.rmdir()
            return False
    else:
        path.write_text("mine")
    return True


@contextlib.contextmanager
def ends(seconds):
    """Fail if the block takes longer, since it then waits for something that never comes."""

    def fail(*_):
        raise AssertionError(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def places(root, folder):
    """Return every path in a folder and, for each of its folders, a new path with a hostile name."""
    top = root / folder
    there = [top, *directories.entries_below(top)]
    new = [place / name for place in there if place.is_dir() for name in HOSTILE_NAMES]
    return sorted(path for path in there if path != top), sorted(new)


def disturbed(origin, work, synaug, folder, position, kind, *, replace, commands=COMMANDS):
    """Run one example; return the changed user files, and the commands that ended with a bug."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(origin, work, symlinks=True)
    old, new = places(work, folder)
    path = (old if replace else new)[position % len(old if replace else new)]
    if replace:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    home = work / "home"
    if os.path.lexists(path) or not put(kind, path, home):
        return [], []
    outside = {**state(home), **state(work / "photos")}
    is_foreign = not replace and kind != "mount"
    foreign = state(path) if is_foreign or kind in ("link", "absolute link", "pipe") else {}
    bugs = []
    try:
        with noise_for_a_model(), contextlib.chdir(work):
            for command in commands:
                directories._owned.clear()  # as in a new process
                with ends(PATIENCE):
                    done = synaug(*command)
                if done.code not in (0, 2, 3, 4, 5):
                    bugs.append((command, done.code, done.err[-2000:]))
        after = {**state(home), **state(work / "photos"), **(state(path) if os.path.lexists(path) else {})}
    finally:
        if kind == "mount":
            subprocess.run(["umount", path], check=False)
    new = [name for name in after if name.startswith((str(home), str(work / "photos"))) and name not in outside]
    return new + [name for name, was in {**outside, **foreign}.items() if after.get(name) != was], bugs


EXAMPLE = {
    "folder": st.sampled_from(["run", "run", "run", "export", "classifier"]),
    "position": st.integers(0, 10_000),
    "kind": st.sampled_from(KINDS),
    "replace": st.booleans(),
}
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def check(origin, tmp_path_factory, synaug, example):
    changed, bugs = disturbed(origin, tmp_path_factory.getbasetemp() / "work", synaug, **example)
    assert changed == []
    assert bugs == []


@settings(max_examples=3, **QUIET)
@given(st.fixed_dictionaries(EXAMPLE))
def test_nothing_of_the_users_is_touched(origin, tmp_path_factory, synaug, example):
    check(origin, tmp_path_factory, synaug, example)


@pytest.mark.long
@settings(max_examples=300, **(QUIET | {"derandomize": False}))
@given(st.fixed_dictionaries(EXAMPLE))
def test_nothing_of_the_users_is_touched_in_many_examples(origin, tmp_path_factory, synaug, example):
    check(origin, tmp_path_factory, synaug, example)


TRAIN = (("train", "run", "--methods", METHODS),)


def test_the_test_above_sees_a_cleanup_that_follows_links(origin, tmp_path_factory, synaug, monkeypatch):
    """With the removal guards disabled, the first case of this kind loses a file outside the run."""

    def careless(folder):
        for place in folder.glob(".*.removed"):
            for each in place.rglob("*.tex"):
                each.unlink()

    monkeypatch.setattr("synaug.runtime.storage.remove_temporary", careless)
    work = tmp_path_factory.getbasetemp() / "work"
    new = places(origin, "run")[1]
    position = new.index(origin / "run" / ".x.removed")
    changed, _ = disturbed(origin, work, synaug, "run", position, "link", replace=False, commands=TRAIN)
    assert changed == [str(work / "home" / "thesis.tex")]


def test_the_test_above_sees_a_write_through_a_link(origin, tmp_path_factory, synaug, monkeypatch):
    """With no owned folders, links are followed as usual: the review pages land in the user's folder."""
    monkeypatch.setattr(directories, "_root_of", lambda _: None)
    monkeypatch.setattr(sys.modules[__name__], "HOSTILE_NAMES", ("review",))
    work = tmp_path_factory.getbasetemp() / "work"
    position = places(origin, "run")[1].index(origin / "run" / "review")
    changed, _ = disturbed(origin, work, synaug, "run", position, "link", replace=False, commands=(("review", "run"),))
    assert str(work / "home" / "decisions.csv") in changed
