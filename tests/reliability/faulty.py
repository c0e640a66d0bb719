"""Let the N-th file operation of a command fail, or end the process there, for many N; then rerun the command.

Runs as a separate process, ``python faulty.py WORK SHARE [STAGE ...]``. It imports everything the commands import,
stays single-threaded, and forks a child for each command. Prints one JSON line per fault.
"""

import contextlib
import errno
import gc
import hashlib
import importlib
import json
import os
import random
import secrets
import shutil
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from synaug import cli, experiment
from synaug.pipeline import generate as generate_stage
from synaug.runtime import signals, storage
from synaug.runtime.files import effects

torch.set_num_threads(1)
KINDS = ("ENOSPC", "EIO", "EACCES", "kill", "torn", "power")
METHODS = ("synaug_stage1", "synaug")
RECIPE = {
    "plan": {"model": "embedded", "target": 6, "template": "a {class}"},
    "quality": {"gates": ["broken"]},
    "cross_validate": {"folds": 0},
    "train": {"network": "resnet8", "image_size": 8, "stage1": {"steps": 2, "batch_size": 4}},
}
VOLATILE = {"seconds", "created", "machine", "images_per_second", "command", "repeat", "disk", "seal"}


def noise(prompts, *, seeds):
    for seed in seeds:
        yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8))


noise.batch_size = 4


class Faults:
    """Replaces ``effects.perform``: counts, and causes the fault at the N-th operation.

    For a power cut it records how to undo every effect that no fsync has made durable.
    """

    def __init__(self, kind=None, at=0):
        self.kind, self.at, self.count, self.lock = kind, at, 0, threading.Lock()
        self.names, self.contents, self.where = [], {}, ""

    def __call__(self, operation, path, function, *arguments):
        with self.lock:
            self.count += 1
            if self.count == self.at:
                self.where = str(path)
                if self.kind == "torn" and operation == "write":
                    os.write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                if self.kind in ("kill", "torn"):
                    os._exit(137)
                if self.kind == "power":
                    self.lose()
                    os._exit(137)
                raise OSError(getattr(errno, self.kind), os.strerror(getattr(errno, self.kind)))
            if self.kind != "power":
                return function(*arguments)
            undo = self.undoing(operation, path, arguments)
            result = function(*arguments)
            if operation == "fsync":
                self.names = [(folder, back) for folder, back in self.names if folder != path]
                self.contents.pop(path, None)
            elif undo is not None:
                undo()
            return result

    def undoing(self, operation, path, arguments):
        """Return a function that records how to undo the effect, if it is not durable."""
        path = Path(path)
        if operation in ("create", "mkdir") and not path.exists():
            gone = (lambda: shutil.rmtree(path, ignore_errors=True)) if operation == "mkdir" else (
                lambda: path.unlink(missing_ok=True)
            )  # fmt: skip
            return lambda: self.names.append((path.parent, gone))
        if operation in ("write", "truncate") and path.exists() and path not in self.contents:
            before = path.read_bytes()
            return lambda: self.contents.__setitem__(path, lambda: path.exists() and path.write_bytes(before))
        if operation == "replace":
            source = Path(arguments[0])
            if source.is_dir():
                return lambda: self.names.append((path.parent, lambda: os.replace(path, source)))
            before = path.read_bytes() if path.exists() else None
            if source in self.contents:  # its content was never made durable
                self.contents[path] = lambda: path.write_bytes(b"")

            def back():
                path.write_bytes(before) if before is not None else path.unlink(missing_ok=True)

            return lambda: self.names.append((path.parent, back))
        if operation == "unlink" and path.exists():
            content = path.read_bytes()
            return lambda: self.names.append((path.parent, lambda: path.parent.is_dir() and path.write_bytes(content)))
        return None

    def lose(self):
        for back in self.contents.values():
            back()
        for _, back in reversed(self.names):
            back()


def prepare(work, recipe=RECIPE):
    """Create the data and the starting point of each command."""
    photos = work / "photos"
    for label, number in (("bag", 6), ("coat", 4), ("boot", 3)):
        for i in range(number):
            path = storage.make_folder(photos / label) / f"{i}.png"
            values = np.random.default_rng([len(label), ord(label[0]), i]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(values).save(path)
    (work / "recipe.yaml").write_text(json.dumps(recipe))
    arms = {"text": {"methods": METHODS}, "filled": {"options": {"plan.cap": 0}, "methods": ["upper_bound"]}}
    (work / "bench.yaml").write_text(json.dumps(recipe | {"bench": {"arms": arms}}))
    wrap()
    for stage in ("run", "bench"):
        storage.make_folder(work / "starts" / stage)


def prepare_stages(work):
    """Create the starting points of single-stage commands."""
    photos, starts = work / "photos", work / "starts"
    command(["plan", photos, "--out", "x", "--recipe", work / "recipe.yaml"], starts / "generate")
    shutil.copytree(starts / "generate", starts / "train")
    command(["generate", "x"], starts / "train")
    shutil.copytree(starts / "train", starts / "retrain")
    command(["train", "x"], starts / "retrain")
    shutil.copytree(starts / "retrain", starts / "export")


def wrap():
    """Replace the model by noise."""
    generate_stage.loaded_generator = lambda *_, **__: noise
    experiment.find_model = lambda _: None


def warm_up(stage, work):
    """Import everything the command imports in a child, so that later children find it loaded."""
    place, listed = work / "places" / "warm", work / "modules.txt"
    begin(stage, work, place)
    command(arguments_of(stage, work), place, modules=listed)
    for name in listed.read_text().split("\n"):
        with contextlib.suppress(Exception):  # some are not importable files
            importlib.import_module(name)
    gc.freeze()


def arguments_of(stage, work):
    methods = ["--methods", ",".join(METHODS)]
    return {
        "generate": ["generate", "x"],
        "train": ["train", "x", "--methods", "synaug_stage1"],
        "retrain": ["retrain", "x", *methods],
        "export": ["export", "x", "--out", "exported"],
        "bench": ["bench", work / "bench.yaml", "--data", work / "photos", "--seeds", "1", "--out", "x"],
        "run": ["run", work / "photos", "--out", "x", "--recipe", work / "recipe.yaml", *methods],
    }[stage]


@dataclass
class Child:
    """A command that runs in its own process."""

    number: int
    said: Path
    pipe: int

    def finish(self):
        """Wait for the process; return its exit code, output, number of operations and the location of the last one."""
        with os.fdopen(self.pipe) as pipe:
            count, _, where = pipe.read().partition(" ")
        _, status = os.waitpid(self.number, 0)
        return os.waitstatus_to_exitcode(status), self.said.read_text(errors="replace"), int(count or 0), where


def start(arguments, place, faults=None, *, modules=None, before=lambda: None):
    """Start the command line in a child, in the folder above ``x``.

    ``modules`` is a file for the names of all modules that the child has imported; ``before`` is called in the child.
    """
    storage.make_folder(place)
    said = place.with_name(f"{place.name}.{secrets.token_hex(4)}.said")
    read, write = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until the child answers as the command does
    number = os.fork()
    if number:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        os.close(write)
        return Child(number, said, read)
    code = 1
    try:
        os.chdir(place)
        words = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(words, 1)
        os.dup2(words, 2)
        signal.signal(signal.SIGINT, signals.end_at_once)  # as ``synaug.__main__`` does
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        before()
        faults = faults or Faults()
        effects.perform = faults
        sys.argv = ["synaug", *map(str, arguments)]
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        if modules is not None:
            modules.write_text("\n".join(sys.modules))
        os.write(write, f"{faults.count} {faults.where}".encode())
    finally:
        os._exit(code)


def command(arguments, place, faults=None, *, modules=None):
    """Run the command line in a child to its end; see ``start``."""
    child = start(arguments, place, faults, modules=modules)
    try:
        return child.finish()
    finally:
        child.said.unlink()


def plain(value):
    """Return a document without the values that depend on a clock."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in sorted(value.items()) if k not in VOLATILE and not k.startswith("seconds")}
    return [plain(item) for item in value] if isinstance(value, list) else value


def contents(place):
    """Return a digest of each file, without clock-dependent parts; journals by their attempts."""
    found = {}
    for path in sorted(place.rglob("*")):
        if path.is_dir():
            continue
        name, data = path.relative_to(place).as_posix(), path.read_bytes()
        if path.suffix == ".json":
            data = json.dumps(plain(json.loads(data))).encode()
        elif path.suffix == ".jsonl":
            lines = [plain(json.loads(line)) for line in data.splitlines()]
            data = json.dumps(
                sorted(json.dumps(line) for line in lines if line.get("kind", "attempt") == "attempt")
            ).encode()
        elif path.suffix == ".html" or path.name == "bench.md":
            data = b"ends" if data.rstrip().endswith((b"</html>", b"no GPU.")) else b"torn"
        elif path.name == "training.safetensors":
            data = without_header(data)  # contains the seconds
        elif path.name.endswith(".lock"):
            data = b""
        found[name] = hashlib.sha256(data).hexdigest()[:16]
    return found


def without_header(data):
    return data[8 + int.from_bytes(data[:8], "little") :]


def begin(stage, work, place):
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(work / "starts" / stage, place)


def main():
    work, share = Path(sys.argv[1]).resolve(), float(sys.argv[2])
    prepare(work)
    prepare_stages(work)
    rng = random.Random(int(os.environ.get("FAULT_SEED", "0")))
    for stage in sys.argv[3:] or ["generate", "train", "retrain", "export", "bench", "run"]:
        warm_up(stage, work)
        arguments, place = arguments_of(stage, work), work / "places" / stage
        begin(stage, work, place)
        code, said, total, _ = command(arguments, place)
        expected = contents(place)
        print(json.dumps({"stage": stage, "kind": "none", "code": code, "said": said, "total": total}), flush=True)
        for kind in KINDS:
            chosen = [n for n in range(1, total + 1) if rng.random() < share]
            chosen = chosen or [rng.randint(1, total)]
            for at in chosen:
                begin(stage, work, place)
                code, said, _, where = command(arguments, place, Faults(kind, at))
                again, said_again, _, _ = command(arguments, place)
                after = contents(place)
                wrong = sorted(name for name in expected.keys() | after.keys() if expected.get(name) != after.get(name))
                line = {"stage": stage, "kind": kind, "at": at, "code": code, "said": said[-600:], "where": where,
                        "again": again, "said_again": said_again[-600:], "wrong": wrong}  # fmt: skip
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
