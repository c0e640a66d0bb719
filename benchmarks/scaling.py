"""Measure what grows with the number of images: plan, journal, resume, provenance and export; no image is generated.

Each stage runs in a process of its own, so that its peak memory is its own. What is linear shows as a constant time
per image from row to row.

    python benchmarks/scaling.py --rows 100000 1000000
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from synaug import storage
from synaug.config import GenerateOptions, PlanOptions
from synaug.data.export import export_dataset
from synaug.data.images import Encoding
from synaug.data.manifest import Manifest
from synaug.runs import machine
from synaug.synthesis.journal import journal_path, read_state
from synaug.synthesis.plan import image_seed, make_plan, read_plan, slots, write_plan
from synaug.synthesis.synthesize import provenance

NUM_CLASSES = 1000
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--work", type=Path, help="folder for the files [default: a temporary one]")
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file too")
    chosen = parser.parse_args()
    rows = []
    for number in chosen.rows:
        with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
            for stage in STAGES:  # each needs what those before it wrote
                found = measured(stage, Path(folder), number)
                if stage in chosen.stages:
                    rows.append({"stage": stage, "images": number} | found)
    print(f"{machine()}\n")
    print("| stage | images | seconds | microseconds an image | peak MiB |\n|---|---|---|---|---|")
    for row in rows:
        each = 1e6 * row["seconds"] / row["images"]
        print(f"| {row['stage']} | {row['images']:,} | {row['seconds']:.1f} | {each:.0f} | {row['peak_mib']:.0f} |")
    if chosen.out:
        chosen.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


def measured(stage: str, folder: Path, number: int) -> dict[str, float]:
    """Return the seconds and the peak memory of a stage, done in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(timed, (stage, folder, number))


def timed(stage: str, folder: Path, number: int) -> dict[str, float]:
    began = time.perf_counter()
    STAGES[stage](folder, number)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def real_images(number: int = NUM_CLASSES) -> Manifest:
    """Return a manifest of so many tiny images in memory, spread over the classes."""
    content = io.BytesIO()
    Image.new("L", (8, 8), 90).save(content, "PNG")
    frame = pd.DataFrame(
        {
            "id": [f"image-{row:07d}" for row in range(number)],
            "path": "",
            "label": np.arange(number) % NUM_CLASSES,
            "attribute": -1,
            "split": "train",
            "source": "real",
            "sha256": "",
            "image": [content.getvalue()] * number,
        }
    )
    return Manifest(frame=frame, class_names=tuple(f"class {label:04d}" for label in range(NUM_CLASSES)))


def make_and_write_plan(folder: Path, number: int) -> None:
    plan = make_plan(
        real_images(),
        options=PlanOptions(model="embedded", target=1 + max(1, number // NUM_CLASSES)),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=(8, 8),
    )
    write_plan(plan, folder / "plan.json")
    assert sum(1 for _ in slots(plan)) == plan.num_to_generate


def write_journal(folder: Path, number: int) -> None:
    """Write what a worker writes when every image is accepted at its first attempt."""
    plan = read_plan(folder / "plan.json")
    path = journal_path(folder, (0, 1))
    storage.make_folder(path.parent)
    storage.append_records(path, [{"kind": "run", "plan": plan.digest, "about": {"model": "embedded", "steps": 10}}])
    todo = slots(plan)
    while batch := list(itertools.islice(todo, BATCH)):
        storage.append_records(path, [attempt(slot) for slot in batch])


def attempt(slot: Any) -> dict[str, Any]:
    return {
        "kind": "attempt", "id": slot.id, "cell": slot.cell.name, "index": slot.index, "attempt": 0,
        "seed": image_seed(slot.id, 0), "prompt": slot.prompt, "modifier": slot.modifier, "verdict": "accepted",
        "reason": None, "scores": {"contrast": 0.25, "margin": 1.5}, "path": f"synthetic/{slot.id}.png",
        "sha256": storage.digest(slot.id.encode()), "seconds": 0.01,
    }  # fmt: skip


def resume(folder: Path, number: int) -> None:
    """Find out, as ``generate`` does, that nothing is left to make."""
    plan = read_plan(folder / "plan.json")
    state = read_state(plan, folder)
    assert all(state.is_settled(slot, 4) for slot in slots(plan))


def read_provenance(folder: Path, number: int) -> None:
    assert len(provenance(read_plan(folder / "plan.json"), folder)) == read_plan(folder / "plan.json").num_to_generate


def export(folder: Path, number: int) -> None:
    export_dataset(real_images(number), None, folder / "export")


STAGES: dict[str, Callable[[Path, int], None]] = {
    "plan": make_and_write_plan,
    "journal": write_journal,
    "resume": resume,
    "provenance": read_provenance,
    "export": export,
}

if __name__ == "__main__":
    main()
