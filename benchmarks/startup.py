"""Measure the cost of a method beyond its training steps: the first one of a process, and each further one.

``synaug train`` runs on the demo's real images with one method, with four, and with one method for four seeds, each
with so few steps that start-up, reading images, testing and writing dominate. CPU seconds are measured, so that other
load on the machine matters less.

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from synaug.pipeline import prepare as plan_stage
from synaug.recipes import make_recipe, read_recipe
from synaug.runtime import demo_data, demo_recipe, machine

METHODS = ("cross_entropy", "oversampling", "square_root", "focal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2, help="optimizer steps a method")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    chosen = parser.parse_args()
    one = seconds(chosen.steps, "--methods", METHODS[0])
    four = seconds(chosen.steps, "--methods", ",".join(METHODS))
    seeds = seconds(chosen.steps, "--methods", METHODS[0], "--seeds", "4")
    found = {"first": one, "further_method": (four - one) / 3, "further_seed": (seeds - one) / 3, "machine": machine()}
    if chosen.json:
        print(json.dumps(found))
        return
    for name in ("first", "further_method", "further_seed"):
        print(f"{name.replace('_', ' '):>15}: {found[name]:.2f} CPU seconds")


def seconds(steps: int, *options: str) -> float:
    """Return the CPU seconds of one ``synaug train`` in a new run directory."""
    small = {"train": {"network": "resnet8", "device": "cpu", "stage1": {"steps": steps, "batch_size": 16}}}
    recipe = make_recipe({"plan": {"model": "embedded"}, "data": read_recipe(demo_recipe()).data.model_dump()} | small)
    with tempfile.TemporaryDirectory() as folder:
        data = plan_stage.load_data(demo_data(), recipe)
        out = Path(folder) / "run"
        plan_stage.write_run(data, plan_stage.drafted_plan(data, recipe), out, recipe, source="the demo's")
        before = cpu_seconds_of_children()
        command = [sys.executable, "-m", "synaug", "train", str(out), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return cpu_seconds_of_children() - before


def cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
