"""Move committed result lines with outdated options or formulas to docs/results/earlier.

python scripts/outdated_results.py [NAME ...]
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from synaug.bench import experiment_names, read_experiment
from synaug.bench.grid import RESULTS, cells, results_of
from synaug.runtime import storage

FOLDER = Path(__file__).parents[1] / "docs" / "results"
SEEDS = range(10)


def current_lines(name: str, lines: bytes) -> set[tuple[str, str, int]]:
    """Return folder, method and seed of the lines with current options."""
    experiment, found = read_experiment(name), set()
    with TemporaryDirectory() as folder:
        storage.write_bytes(Path(folder) / RESULTS, lines)
        for cell in cells(experiment, Path(folder), SEEDS):
            found |= {
                (cell.folder.name, line["method"], line["seed"])
                for line in results_of(cell, experiment.arms[cell.arm].methods)
            }
    return found


def move(name: str) -> None:
    path = FOLDER / f"{name.replace('-', '_')}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    records = list(storage.read_records(path))
    current = current_lines(name, b"".join(lines))
    kept, moved = [], []
    for line, record in zip(lines, records, strict=True):
        is_current = (record["folder"], record["method"], record["seed"]) in current
        (kept if is_current else moved).append(line)
    print(f"{name}: {len(kept)} lines are current, {len(moved)} are moved")
    if moved:
        earlier = storage.make_folder(FOLDER / "earlier") / path.name
        before = earlier.read_bytes() if earlier.exists() else b""
        storage.write_bytes(earlier, before + b"".join(moved))
        storage.write_bytes(path, b"".join(kept))


if __name__ == "__main__":
    for each in sys.argv[1:] or experiment_names():
        move(each)
