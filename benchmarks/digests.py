"""Measure what comparing images with their recorded digests costs: microseconds of CPU time per file, and memory.

Each number of files is measured in a process of its own: every file is read as it is, then read and compared for the
first time (hashed), then read and compared again (hashed before). The files are second names of 1,000 images, so that
they are in memory; each name counts as a file of its own.

Run: python benchmarks/digests.py [NUMBER ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = 1000

MEASURE = """
import io, resource, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
from synaug.data.images.codec import file_bytes, recorded_bytes
from synaug.runtime import storage
root, number = Path(sys.argv[1]), int(sys.argv[2])
paths = [root / f"{n // 1000}" / f"{n % 1000}.png" for n in range(number)]
digests = [storage.file_digest(root / "0" / f"{n}.png") for n in range(1000)]
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def per_file(work):
    began = time.process_time()
    for place, path in enumerate(paths):
        work(path, digests[place % 1000])
    return 1e6 * (time.process_time() - began) / number
before = peak()
read = per_file(lambda path, _: file_bytes(path))
first = per_file(recorded_bytes)
again = per_file(recorded_bytes)
data = [path.read_bytes() for path in paths[:1000]]
began = time.process_time()
for each in data:
    np.asarray(Image.open(io.BytesIO(each)))
decoded = 1e6 * (time.process_time() - began) / len(data)
print(f"| {number:,} | {read:.0f} | {first:.0f} | {again:.0f} | {decoded:.0f} | {peak() - before:,.0f} |", flush=True)
"""


def make_files(root: Path, number: int) -> None:
    """Write 1,000 images of 28 pixels into the folder ``0``, and second names of them into further folders."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for folder in range(-(-number // IMAGES)):
        (root / f"{folder}").mkdir()
        for place in range(IMAGES):
            path = root / f"{folder}" / f"{place}.png"
            if folder:
                os.link(root / "0" / f"{place}.png", path)
            else:
                coarse = rng.integers(0, 255, (7, 7), dtype=np.uint8)
                Image.fromarray(coarse).resize((28, 28), Image.Resampling.BICUBIC).save(path)


def main(numbers: list[int]) -> None:
    """Print one row of a table per number of files."""
    print(
        "| files | read | read and hash | read again, hashed before | decode | memory, MiB |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as place:
        make_files(Path(place), max(numbers))
        for number in numbers:
            subprocess.run([sys.executable, "-c", MEASURE, place, str(number)], check=True)


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
