"""Measure time and memory of counting a folder of many tiny images, with and without near-duplicate search.

Run: python benchmarks/reading.py [NUMBER]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10
SHARE = 0.01  # of the images, altered copies of another one

COUNT = """
import resource, sys, time
from pathlib import Path
from synaug.config import DataOptions
from synaug.data import read_data
began = time.perf_counter()
manifest = read_data(Path(sys.argv[1]), DataOptions(near_duplicates=sys.argv[2] == "on"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{time.perf_counter() - began:.0f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.0f} s of CPU time, "
      f"{peak:,.0f} MiB, {manifest.duplicates.num_two_labels:,} images found under two labels")
"""


def make_images(root: Path, number: int) -> None:
    """Write smooth random images of 32 pixels; some are brighter copies of an earlier one under another label."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (root / f"class-{label}").mkdir(parents=True)
    for place in range(number):
        coarse = rng.integers(0, 200, (5, 5, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC)
        image.save(root / f"class-{place % CLASSES}" / f"{place:07d}.png", compress_level=1)
        if rng.random() < SHARE:
            image.point(lambda value: value + 20).save(
                root / f"class-{(place + 1) % CLASSES}" / f"{place:07d}-copy.png"
            )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        make_images(Path(folder), number)
        print(f"{number:,} images made in {time.perf_counter() - began:.0f} s", flush=True)
        for search in ("off", "on"):
            done = subprocess.run(
                [sys.executable, "-c", COUNT, folder, search], check=True, capture_output=True, text=True
            )
            print(f"search for nearly equal images {search}: {done.stdout.strip()}", flush=True)
