"""Memory of this process: keep what is freed for the next step, and recognize that there is no more.

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


_MESSAGES = (  # of torch on a CPU and a GPU, of C++, and of the system while it loads a library
    "can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "cannot allocate memory",
    "failed to map segment", "can't start new thread",
)  # fmt: skip


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or the one behind it, says that memory ran out; on a CPU torch has no type for it.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."))
    True
    """
    while error is not None:
        is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # of torch
        is_system = isinstance(error, RuntimeError | ImportError | OSError)
        if is_named or (is_system and any(text in str(error).lower() for text in _MESSAGES)):
            return True
        error = error.__cause__
    return False
