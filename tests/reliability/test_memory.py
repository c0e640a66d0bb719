"""Test that reading, counting, planning and writing a manifest of a million rows use bounded memory."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

MANY = 1_000_000
STAGES = """
import json, re, sys, time
from pathlib import Path
from synaug.config import GenerateOptions, PlanOptions
from synaug.data.groups import summary
from synaug.data.images.codec import Encoding
from synaug.data.manifest_file import read_manifest, write_manifest
from synaug.data.readers import read_data
from synaug.synthesis.planning.planner import make_plan
from synaug.synthesis.planning.slots import slots
folder, found, began = Path(sys.argv[1]), {}, time.monotonic()
def told(stage):
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    found[stage] = [peak // 1024, round(time.monotonic() - began, 1)]
told("start")
manifest = read_data(folder / "images.csv", check=False)
told("read")
summary(manifest)
told("count")
write_manifest(manifest, folder / "data.parquet")
del manifest
told("write")
manifest = read_manifest(folder / "data.parquet")
told("read back")
plan = make_plan(manifest, options=PlanOptions(model="embedded", target=20_000), generate=GenerateOptions(),
                 encoding=Encoding(), image_size=(8, 8))
made = sum(1 for _ in slots(plan))
told("plan")
print(json.dumps(found | {"rows": len(manifest), "planned": made}))
"""
MOST_MIB = 2500


@pytest.mark.long
def test_a_million_rows_take_bounded_memory(tmp_path):
    with open(tmp_path / "images.csv", "w") as file:
        file.write("path,label\n")
        file.writelines(f"images/{row % 997:03d}/{row:07d}.png,class {row % 100:02d}\n" for row in range(MANY))
    done = subprocess.run([sys.executable, "-c", STAGES, str(tmp_path)], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert (found.pop("rows"), found.pop("planned")) == (MANY, 1_000_000)
    assert max(mib for mib, _ in found.values()) < MOST_MIB


COUNT = """
import re, sys
from pathlib import Path
from synaug.data.readers import read_data
assert len(read_data(Path(sys.argv[1]))) == 8
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.long
def test_a_few_huge_images_of_16_bits_take_bounded_memory(tmp_path):
    """Each has 49 million pixels, the maximum; without a bound, 16 threads took 12 GB."""
    image = Image.fromarray(np.full((7000, 7000), 40_000, np.uint16))
    for label, number in itertools.product(("a", "b"), range(4)):
        path = tmp_path / label / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        image.save(path, compress_level=1) if number == 0 else path.hardlink_to(path.with_name("0.png"))
    done = subprocess.run([sys.executable, "-c", COUNT, str(tmp_path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert int(done.stdout) < 1500
