"""Test that our processes keep freed memory."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
from synaug.runtime.memory import keep_freed_memory
print(keep_freed_memory())
for turn in range(50):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"x") * (16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 48 * (16 << 20) // 4096  # total of all blocks


def run(**environment):
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    was_set, faults = done.stdout.split()
    return was_set == "True", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_blocks_are_reused_without_calling_the_kernel():
    was_set, faults = run()
    assert was_set
    assert faults < PAGES / 20


@pytest.mark.parametrize("chosen", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_allocator_options_of_the_user_are_respected(chosen):
    was_set, faults = run(**{chosen: "131072"})
    assert not was_set
    assert faults > PAGES / 2
