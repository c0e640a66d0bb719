"""Disturb real processes of the command line: signals, two at once, other clocks, full or read-only disks.

``python processes.py WORK TIMES TRIAL ...`` forks every command from one warm process, like ``faulty.py``, and
prints one JSON line per try. ``TIMES`` is the number of tries of each trial in ``TRIALS``.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from synaug.pipeline import generate as generate_stage
from synaug.run_directory import foreign_files
from synaug.runtime import storage

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports this file too

import faulty

RECIPE = faulty.RECIPE | {
    "plan": faulty.RECIPE["plan"] | {"target": 30},
    "train": faulty.RECIPE["train"] | {"stage1": {"steps": 40, "batch_size": 8}},
}
MOST_SIGNALS = 3  # per run


def how_far(place):
    """Return the stage that a run has reached, from its files."""
    run = place / "x"
    marks = {"report": "report.html", "training": "checkpoints", "images": "journal", "plan": "plan.json"}
    return next((stage for stage, name in marks.items() if (run / name).exists()), "start")


def by_signal(number, run):
    """Send the signal at random moments, at least once in time, and rerun the command until it ends by itself."""
    codes, said, stages, foreign, latest = [], [], [], [], run.seconds
    while True:
        child = faulty.start(run.arguments, run.place)
        if len(stages) < MOST_SIGNALS:
            time.sleep(run.rng.uniform(0.01, latest))
            reached = how_far(run.place)
            os.kill(child.number, number)
        code, words, _, _ = child.finish()
        if code == 0 and not stages:
            latest *= 0.7  # the run ended before the signal
            run.begin()
            continue
        codes.append(code)
        foreign += foreign_files(run.place / "x")
        if code == 0 or len(codes) > MOST_SIGNALS:
            return {"codes": codes, "said": said, "stages": stages, "foreign": foreign}
        said.append(words[-300:])
        stages.append(reached)


def sigint(run):
    return by_signal(signal.SIGINT, run)


def sigterm(run):
    return by_signal(signal.SIGTERM, run)


def sigkill(run):
    return by_signal(signal.SIGKILL, run)


def twice(run):
    """Start the command a second time while the first one runs, with a lock of a dead process already in place."""
    storage.make_folder(run.place / "x")
    (run.place / "x" / ".run.lock").write_text("999999999")
    first = faulty.start(run.arguments, run.place)
    while (run.place / "x" / ".run.lock").read_text() != str(first.number):
        time.sleep(0.005)
    code, said, _, _ = faulty.command(run.arguments, run.place)
    return {"codes": [code, first.finish()[0]], "said": [said[-300:]], "number": first.number}


def shards(run):
    """Let two processes generate images at the same time and kill one; then run the command."""
    faulty.command(["plan", *run.arguments[1:6]], run.place)
    both = [faulty.start(["generate", "x", "--shard", f"{i}/2"], run.place) for i in (1, 2)]
    time.sleep(run.rng.uniform(0, run.seconds / 4))
    os.kill(both[0].number, signal.SIGKILL)
    codes = [child.finish()[0] for child in both]
    return {"codes": [*codes, faulty.command(run.arguments, run.place)[0]], "said": []}


def clock(run):
    """Kill the run, give every file a random time between 1980 and 2100, and resume with a clock that jumps."""

    def jumping():
        moments = random.Random(0)
        time.time = lambda: moments.uniform(3e8, 4e9)
        time.time_ns = lambda: int(time.time() * 1e9)

    child = faulty.start(run.arguments, run.place)
    time.sleep(run.rng.uniform(run.seconds / 4, run.seconds))
    os.kill(child.number, signal.SIGKILL)
    codes = [child.finish()[0]]
    for path in run.place.rglob("*"):
        moment = run.rng.uniform(3e8, 4e9)
        os.utime(path, (moment, moment))
    again = faulty.start(run.arguments, run.place, before=jumping)
    code, said, _, _ = again.finish()
    return {"codes": [*codes, code], "said": [said[-300:]]}


def no_large_files(run):
    """Forbid files above a random size; larger ones fail like on a full disk, halfway through a write."""
    most = run.rng.choice([1500, 2500, 4000, 20_000, 100_000])  # above the output, which is a file, too
    child = faulty.start(
        run.arguments, run.place, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    )
    code, said, _, _ = child.finish()
    return {"codes": [code, faulty.command(run.arguments, run.place)[0]], "said": [said[-300:]]}


def mounted(options, target):
    """Mount, or change, an in-memory file system; return the system's objection, if any."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", target], capture_output=True, text=True)
    return done.stderr.strip()


def in_memory(run, size, disturb, remedy):
    """Call ``disturb`` on an in-memory file system, remount it with the option ``remedy``, and rerun the command."""
    storage.make_folder(run.place)
    if refusal := mounted(f"size={size}", run.place):
        return {"skipped": refusal}
    try:
        code, said = disturb()
        mounted(f"remount,{remedy}", run.place)
        again = faulty.command(run.arguments, run.place)[0]
        return {"codes": [code, again], "said": [said[-300:]], "wrong": run.differing()}
    finally:
        subprocess.run(["umount", run.place], check=True)


def full_disk(run):
    """Run on a small file system until it is full, then with enough space."""
    size = f"{run.rng.choice([3, 10, 40, 90, 120, 200]) * 4}k"
    return in_memory(run, size, lambda: faulty.command(run.arguments, run.place)[:2], "size=64m")


def read_only(run):
    """Resume a killed run on a read-only file system, then on a writable one."""

    def disturb():
        child = faulty.start(run.arguments, run.place)
        time.sleep(run.rng.uniform(0.01, run.seconds))
        os.kill(child.number, signal.SIGKILL)
        child.finish()
        mounted("remount,ro", run.place)
        return faulty.command(run.arguments, run.place)[:2]

    return in_memory(run, "64m", disturb, "rw")


def slow(*_, **__):
    """Load a model that takes a minute per batch."""

    def generator(prompts, *, seeds):
        time.sleep(60)
        return list(faulty.noise(prompts, seeds=seeds))

    return generator


def impatient(run):
    """Send SIGINT while a batch takes a minute; then a second one."""

    def before():
        generate_stage.loaded_generator = slow

    child = faulty.start(run.arguments, run.place, before=before)
    while how_far(run.place) != "images":
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(child.number, signal.SIGINT)
    time.sleep(0.5)
    goes_on = os.waitid(os.P_PID, child.number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    began = time.monotonic()
    os.kill(child.number, signal.SIGINT)
    code, said, _, _ = child.finish()
    waited = time.monotonic() - began
    again = faulty.command(run.arguments, run.place)[0]
    return {"codes": [code, again], "said": [said[-300:]], "goes_on": goes_on, "waited": waited}


TRIALS = {
    each.__name__: each
    for each in (sigint, sigterm, sigkill, twice, shards, clock, no_large_files, full_disk, read_only, impatient)
}


class Undisturbed:
    """The reference for disturbed runs: command, folder, duration, and results."""

    def __init__(self, work):
        self.work, self.place, self.rng = work, work / "places" / "run", random.Random(0)
        self.arguments = faulty.arguments_of("run", work)
        faulty.warm_up("run", work)
        self.begin()
        began = time.monotonic()
        code, said, _, _ = faulty.command(self.arguments, self.place)
        assert code == 0, said
        self.seconds, self.expected = time.monotonic() - began, self.found()

    def begin(self):
        faulty.begin("run", self.work, self.place)

    def found(self):
        """Return the digests of the files; journals of any number of workers count as one."""
        there = faulty.contents(self.place)
        return {name: digest for name, digest in there.items() if "/journal/" not in name and not name.endswith("lock")}

    def differing(self):
        there = self.found()
        return sorted(name for name in self.expected.keys() | there if self.expected.get(name) != there.get(name))


def main():
    work, times = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    faulty.prepare(work, RECIPE)
    run = Undisturbed(work)
    for trial in sys.argv[3:]:
        for number in range(times):
            run.rng.seed(f"{os.environ.get('FAULT_SEED', '0')} {trial} {number}")
            run.begin()
            line = TRIALS[trial](run)
            print(json.dumps({"trial": trial, "wrong": run.differing()} | line), flush=True)


if __name__ == "__main__":
    main()
