"""Test damaged run directories: the right exit code, no traceback, no silent errors."""

import contextlib
import functools
import io
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

from synaug import cli
from synaug.runtime import storage

OPTIONS = {
    "plan": {"model": "embedded", "target": "uniform"},
    "generate": {"steps": 1, "batch_size": 8},
    "quality": {"gates": ["broken"], "max_missing": 1.0},
    "cross_validate": {"folds": 0},
    "train": {"network": "resnet8", "image_size": 8, "stage1": {"steps": 1, "batch_size": 4}},
}
METHODS = "cross_entropy,synaug_stage1"
ALLOWED = {0, 2, 3, 4, 5}
PATIENCE = 600  # seconds; many times what the slowest command takes


@pytest.fixture(scope="module")
def cheap_commands():
    """Wait for no disk, as no power is cut here, and build the command line once: a command takes a third as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory, cheap_commands):
    """A finished run with its data beside it; do not change it."""
    work = tmp_path_factory.mktemp("base")
    for name, number in (("bag", 6), ("coat", 4)):
        for i in range(number):
            values = np.random.default_rng([number, i]).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(values).save(storage.make_folder(work / "photos" / name) / f"{i}.png")
    (work / "r.yaml").write_text(json.dumps(OPTIONS))
    for command in (
        ("run", work / "photos", "--recipe", work / "r.yaml", "--out", work / "run", "--methods", METHODS),
        ("review", work / "run"),
    ):
        code, said = call(*command)
        assert code == 0, said
    return work


class Hangs(BaseException):
    """A command that did not end."""


def hangs(*_):
    raise Hangs


def call(*arguments):
    """Run the command line in this process; return its exit code and complete output."""
    said, before = io.StringIO(), sys.argv
    sys.argv = ["synaug", *map(str, arguments)]
    handler = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            cli.main()
    except SystemExit as ended:
        return ended.code or 0, said.getvalue()
    except Hangs:
        return "hangs", said.getvalue()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        sys.argv = before


def commands(work, run):
    """Return every command that takes a run directory, read-only ones first."""
    return {
        "status": ("status", run),
        "report": ("report", run),
        "check": ("check", run),
        "export": ("export", run, "--out", work / "set"),
        "export_classifier": ("export", run, "--classifier", "cross_entropy", "--out", work / "classifier"),
        "predict": ("predict", run, work / "photos" / "bag", "--method", "cross_entropy"),
        "evaluate": ("evaluate", run / "predictions.csv"),
        "review": ("review", run),
        "apply": ("review", run, "--apply"),
        "generate": ("generate", run),
        "train": ("train", run, "--methods", METHODS),
        "retrain": ("retrain", run, "--methods", METHODS),
        "run": ("run", work / "photos", "--recipe", work / "r.yaml", "--out", run, "--methods", METHODS),
    }


def remove(path, rng):
    path.unlink()


def empty(path, rng):
    path.write_bytes(b"")


def truncate(path, rng):
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) + 1)])


def flip(path, rng):
    data = bytearray(path.read_bytes()) or bytearray(b"x")
    for _ in range(rng.choice((1, 1, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def swap(path, rng):
    others = [other for other in files(path) if other.suffix == path.suffix and other != path]
    other = rng.choice(others or [path])
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def retype(path, rng):
    """Replace a value of a JSON file by one of another type, or the whole file by something else."""
    if path.suffix not in (".json", ".jsonl") or rng.random() < 0.2:
        path.write_text(rng.choice(("[]", "{}", "null", "0", "text", "[[[[", "\x00\xff", "a,b\n1\n")))
        return
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    number = rng.randrange(len(lines))
    value = json.loads(lines[number])
    place = value
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
            place[key] = rng.choice((None, -1, 10**30, 1.5, "x", "../../x", [], {}, True))
            break
        place = place[key]
    lines[number] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n")


def link(path, rng):
    target = path.with_name(f"moved-{path.name}")
    path.rename(target)
    path.symlink_to(rng.choice((target, path.parent / "nowhere", path.parent, Path("/etc/hostname"))))


def directory(path, rng):
    path.unlink()
    path.mkdir()


def fifo(path, rng):
    path.unlink()
    os.mkfifo(path)


def duplicate(path, rng):
    """Copy the folder of a file, as users do before trying something."""
    if path.parent.parent.name == "checkpoints":
        shutil.copytree(path.parent, path.parent.with_name(f"{path.parent.name}{rng.choice(('-backup', ' (copy)'))}"))
    else:
        shutil.copy(path, path.with_name(f"{path.stem} (copy){path.suffix}"))


MUTATIONS = (remove, empty, truncate, flip, flip, swap, retype, retype, link, directory, fifo, duplicate)


def files(inside):
    """Return the files of the run directory that contains a path."""
    run = next(parent for parent in (inside, *inside.parents) if parent.name == "run")
    return sorted(path for path in run.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def mutated(base, work, number):
    """Return a copy of the base with one mutation of its run directory, and its description; fixed by ``number``."""
    rng = random.Random(number)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    kinds: dict[str, list[Path]] = {}
    for path in files(work / "run"):
        kinds.setdefault(f"{path.parent.parent.name}/{path.suffix}", []).append(path)
    path = rng.choice(kinds[rng.choice(sorted(kinds))])  # so that images do not outnumber all other files
    mutation = rng.choice(MUTATIONS)
    mutation(path, rng)
    return work / "run", f"mutation {number}: {mutation.__name__} {path.relative_to(work)}"


def outcome(run):
    """Return the results that a command may not change silently: the accuracies of all methods."""
    report = run / "report.json"
    results = json.loads(report.read_text())["results"] if report.is_file() else []
    return {result["method"]: (result["accuracy"], result["per_class"]) for result in results}


def try_out(base, work, number, names=None):
    run, what = mutated(base, work, number)
    whole = commands(work, run)
    for name in names or whole:
        code, said = call(*whole[name])
        assert code in ALLOWED, f"{what}: {name} ended with {code}: {said[-2000:]}"
        assert "Traceback" not in said, f"{what}: {name}: {said[-2000:]}"
        assert code == 0 or said.strip(), f"{what}: {name} says nothing"
        if code == 0 and name in ("report", "run"):
            assert outcome(run) == outcome(base / "run"), f"{what}: {name} reports other numbers"


def test_a_hundred_mutations(base, tmp_path):
    names = [name for name in commands(tmp_path, tmp_path) if name not in ("run", "retrain")]
    for number in range(100):
        try_out(base, tmp_path / "work", number, names=("status", names[number % len(names)]))


@pytest.mark.long
@pytest.mark.parametrize("part", range(50))
def test_five_thousand_mutations(base, tmp_path, part):
    for number in range(100 * part, 100 * part + 100):
        try_out(base, tmp_path / "work", number)


def test_a_removed_result_is_not_left_out_in_silence(base, tmp_path):
    run = shutil.copytree(base / "run", tmp_path / "run")
    (run / "checkpoints" / "synaug_stage1-0" / "result.json").unlink()
    code, said = call("report", run)
    assert (code, "result.json is missing" in said) == (4, True)


@pytest.mark.parametrize("text", ["step,loss,learning_rate\n", "step,loss,learning_rate\n1,0.1,0.1\n"])
def test_a_changed_loss_curve_is_noticed(base, tmp_path, text):
    run = shutil.copytree(base / "run", tmp_path / "run")
    (run / "checkpoints" / "synaug_stage1-0" / "training.csv").write_text(text)
    code, said = call("report", run)
    assert (code, "training.csv changed" in said) == (4, True), said
