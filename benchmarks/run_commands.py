"""Measure the commands that read a large run directory: status, resume, train and report.

Each command runs in its own process, so start-up and peak memory are those that a person sees. The run is built without
a generator: its journal, and with ``--images`` its image files, are written as if all had been accepted. Without files
only ``status`` and ``generate`` can run.

    python benchmarks/run_commands.py --rows 1000000
    python benchmarks/run_commands.py --rows 100000 --images

With ``--folder`` the run is kept, and measured again by a second call, such as with another ``PYTHONPATH``.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scaling import attempt

from synaug.runtime import machine, storage
from synaug.synthesis.execution.journal import journal_path
from synaug.synthesis.planning import read_plan
from synaug.synthesis.planning.slots import slots

NUM_CLASSES, NUM_REAL, BATCH = 10, 10, 4096  # NUM_REAL: images per class; BATCH: journal lines written at once
OPTIONS = {
    "quality.gates": "[broken]", "train.network": "resnet8", "train.pretrained": "false", "train.image_size": "8",
    "train.stage1.steps": "2", "train.stage1.batch_size": "8",
}  # fmt: skip
READING = (["status"], ["generate"])
WITH_IMAGES = (["train", "--methods", "cross_entropy"], ["report"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="synthetic images")
    parser.add_argument("--images", action="store_true", help="write image files, too; measure train and report")
    parser.add_argument("--folder", type=Path, help="keep the run here [default: a temporary folder]")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each command; the fastest counts")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = (chosen.folder or Path(temporary)) / "run"
        if not run.exists():
            build(run, chosen.rows, images=chosen.images)
        print(f"{machine()}\n\n| command | images | seconds | CPU seconds | peak MiB |\n|---|---|---|---|---|")
        for command in (*READING, *(WITH_IMAGES if chosen.images else ())):
            found = [measured(command, run) for _ in range(chosen.repeats)]
            seconds, cpu, peak = min(found, key=lambda each: each[1])
            print(f"| {command[0]} | {chosen.rows:,} | {seconds:,.1f} | {cpu:,.1f} | {peak:,.0f} |", flush=True)


def build(run: Path, number: int, *, images: bool) -> None:
    """Write a run whose planned images are all accepted; with ``images`` a method is trained on the real ones first."""
    data, rng = run.parent / "data", np.random.default_rng(0)
    for label, row in itertools.product(range(NUM_CLASSES), range(NUM_REAL)):
        storage.make_folder(data / f"class {label}")
        storage.write_bytes(data / f"class {label}" / f"{row}.png", noise(rng))
    settings = OPTIONS | {"plan.target": str(number // NUM_CLASSES + NUM_REAL)}
    options = [f"--set={name}={value}" for name, value in settings.items()]
    synaug(["plan", str(data), "--out", str(run), "--model", "embedded", "--test-fraction", "0.5", *options])
    if images:  # while there are no synthetic images, which training would load
        synaug(["train", str(run), "--methods", "cross_entropy"])
    plan, path, content = read_plan(run / "plan.json"), journal_path(run, (0, 1)), noise(rng)
    storage.make_folder(path.parent)
    storage.append_records(path, [{"kind": "run", "plan": plan.digest, "about": {"model": "embedded", "steps": 10}}])
    todo, sha256 = slots(plan), storage.digest(content)
    (run / "synthetic" / "class").mkdir(parents=True)
    while batch := list(itertools.islice(todo, BATCH)):
        records = [attempt(slot) | {"sha256": sha256} for slot in batch]
        for record in records if images else ():
            (run / record["path"]).write_bytes(content)  # not through storage, which waits for the disk
        storage.append_records(path, records)


def noise(rng: np.random.Generator) -> bytes:
    """Return a PNG of 8 x 8 random pixels."""
    content = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


def synaug(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "synaug", *arguments], check=True, stdout=subprocess.DEVNULL)


def measured(command: list[str], run: Path) -> tuple[float, float, float]:
    """Return the seconds, CPU seconds and peak MiB of a command in a new process."""
    began = time.perf_counter()
    line = [sys.executable, "-m", "synaug", command[0], str(run), *command[1:], "--json"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if (code := os.waitstatus_to_exitcode(status)) not in (0, 3):  # 3: the images, which are equal, are unusable
        raise SystemExit(f"{' '.join(line)} ended with {code}.")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
