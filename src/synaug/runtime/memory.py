"""Keep freed memory for the next step instead of giving it back to the system.

A network on a CPU frees and takes the same large blocks in every step. glibc gives blocks of that size back at once,
so that each step waits for the kernel to clear the same pages again: measured, a sixth to a quarter of the time.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST = 2**31 - 1
_CHOSEN_BY_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; return whether that could be set.

    It needs glibc, and leaves alone what a person chose by an environment variable or another allocator. The process
    stays as large as it once was, so this is for processes of our own and not for a library's caller.
    """
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in _CHOSEN_BY_THE_USER):
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    return all([set_option(option, _LARGEST) for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD)])
