"""Describe the machine on which a result was measured."""

from __future__ import annotations

import importlib.util
import os
import platform


def machine() -> str:
    """Return a short description of this machine, for reports."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU cores ({platform.machine()}), {pages:.0f} GiB, {_accelerator()}"


def _accelerator() -> str:
    if importlib.util.find_spec("torch") is None:
        return "GPU unknown without torch"
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return "no GPU"
