"""Measure what grows with the number of images: plan, journal, resume, provenance and export.

Each stage runs in its own process, so that start-up counts and peak memory is separate. Linear stages have a constant
time per image from row to row. Without ``--real`` no image is generated: the journal is written as if they were.
With it, a process that kills itself halfway generates images of 8 x 8 pixels, another one generates the rest, and they
are exported and verified.

    python benchmarks/scaling.py --rows 100000 1000000
    python benchmarks/scaling.py --rows 10000 100000 --real
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import multiprocessing
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from synaug.config import GenerateOptions, PlanOptions, QualityOptions
from synaug.data import Manifest
from synaug.data.export import export_dataset, verify_dataset
from synaug.data.images import Encoding
from synaug.runtime import machine, storage
from synaug.synthesis.execution import manifest_of, synthesize
from synaug.synthesis.execution.journal import journal_path, read_state
from synaug.synthesis.execution.provenance import provenance
from synaug.synthesis.planning import image_seed, make_plan, read_plan
from synaug.synthesis.planning.plan_file import write_plan
from synaug.synthesis.planning.slots import slots

NUM_CLASSES = 1000
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--real", action="store_true", help="make tiny images, kill that half-way, resume, export, verify"
    )
    parser.add_argument("--work", type=Path, help="folder for the files [default: a temporary one]")
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file too")
    chosen = parser.parse_args()
    rows = []
    for number in chosen.rows:
        with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
            for stage in REAL if chosen.real else STAGES:  # each needs the files of the previous ones
                rows.append({"stage": stage, "images": number} | measured(stage, Path(folder), number))
    print(f"{machine()}\n")
    print("| stage | images | seconds | CPU seconds | CPU µs an image | peak MiB |\n|---|---|---|---|---|---|")
    for row in rows:
        numbers = [row["seconds"], row["cpu_seconds"], 1e6 * row["cpu_seconds"] / row["images"], row["peak_mib"]]
        cells = [f"{value:,.{digits}f}" for value, digits in zip(numbers, (1, 1, 0, 0), strict=True)]
        print(f"| {row['stage']} | {row['images']:,} | {' | '.join(cells)} |")
    if chosen.out:
        chosen.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


def measured(stage: str, folder: Path, number: int) -> dict[str, float]:
    """Return the seconds and the peak memory of a stage in a new process."""
    began = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=timed, args=(stage, folder, number))
    process.start()
    process.join()
    if process.exitcode != (-signal.SIGKILL if stage == "half" else 0):
        raise SystemExit(f"Stage {stage} ended with {process.exitcode}.")
    return {"seconds": time.perf_counter() - began} | json.loads((folder / "peak.json").read_text())


def timed(stage: str, folder: Path, number: int) -> None:
    (STAGES | REAL)[stage](folder, number)
    tell(folder)


def tell(folder: Path) -> None:
    """Write the peak memory and the CPU seconds of this process, which other load on the machine hardly affects."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}
    storage.write_json(folder / "peak.json", found)


def real_images(number: int = NUM_CLASSES) -> Manifest:
    """Return a manifest of ``number`` tiny images in memory, spread over the classes."""
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
    """Write the journal of a worker whose images are all accepted at the first attempt."""
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
        "reason": None, "scores": {"contrast": 0.25, "margin": 1.5}, "path": f"synthetic/class/{slot.id}.png",
        "sha256": storage.digest(slot.id.encode()), "seconds": 0.01,
    }  # fmt: skip


def tiny(prompts: Sequence[str], *, seeds: Sequence[int]) -> Iterator[Image.Image]:
    """Yield noise of 8 x 8 pixels: a nearly free generator."""
    for seed in seeds:
        yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8))


def half(folder: Path, number: int) -> None:
    """Generate about half of the images, until this process kills itself."""
    made = itertools.count()

    def dying(prompts: Sequence[str], *, seeds: Sequence[int]) -> Iterator[Image.Image]:
        if next(made) * BATCH > number // 2:
            tell(folder)
            os.kill(os.getpid(), signal.SIGKILL)
        return tiny(prompts, seeds=seeds)

    dying.batch_size = BATCH  # type: ignore[attr-defined]
    synthesize(read_plan(folder / "plan.json"), dying, folder=folder, quality=QualityOptions(gates=()))


def rest(folder: Path, number: int) -> None:
    """Resume after the kill: read the journal, generate the other half."""
    tiny.batch_size = BATCH  # type: ignore[attr-defined]
    plan = read_plan(folder / "plan.json")
    assert synthesize(plan, tiny, folder=folder, quality=QualityOptions(gates=())).missing == 0


def resume(folder: Path, number: int) -> None:
    """Check, like ``generate``, that nothing is left to generate."""
    plan = read_plan(folder / "plan.json")
    state = read_state(plan, folder)
    assert all(state.is_settled(slot, 4) for slot in slots(plan))


def read_provenance(folder: Path, number: int) -> None:
    assert len(provenance(read_plan(folder / "plan.json"), folder)) == read_plan(folder / "plan.json").num_to_generate


def export(folder: Path, number: int) -> None:
    """Export ``number`` real images, in memory, without synthetic ones."""
    export_dataset(real_images(number), None, folder / "export")


def export_made(folder: Path, number: int) -> None:
    """Export the generated images with their provenance."""
    plan = read_plan(folder / "plan.json")
    told = provenance(plan, folder)
    export_dataset(real_images(), manifest_of(told, plan, folder), folder / "exported", provenance=told)


def verify(folder: Path, number: int) -> None:
    """Recompute every digest, and load the export with torchvision and datasets."""
    assert verify_dataset(folder / "exported") == []


STAGES: dict[str, Callable[[Path, int], None]] = {
    "plan": make_and_write_plan,
    "journal": write_journal,
    "resume": resume,
    "provenance": read_provenance,
    "export": export,
}
REAL: dict[str, Callable[[Path, int], None]] = {
    "plan": make_and_write_plan,
    "half": half,
    "rest": rest,
    "resume": resume,
    "provenance": read_provenance,
    "export made": export_made,
    "verify": verify,
}

if __name__ == "__main__":
    main()
