"""Describe this machine, choose the device, number format and threads for a computation, isolate its random draws.

torch is imported on use: counting, planning and evaluating work without it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from synaug.errors import EnvironmentFault, OptionError, unknown

if TYPE_CHECKING:
    import torch

_PRECISIONS = ("float32", "float16", "bfloat16")
MANY_MULTIPLICATIONS = 200_000_000  # in one product: about 10 ms on one core, so more threads pay off


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


def chosen_device(device: str | torch.device) -> torch.device:
    """Return the device; ``auto`` is the first GPU, otherwise Apple's (MPS), otherwise the CPU.

    Raises:
        OptionError: this is not a device name.
        EnvironmentFault: the device is not available on this machine.
    """
    import torch

    if not isinstance(device, str | torch.device):
        raise OptionError(f"device must be a name such as auto or cpu, got {type(device).__name__}.")
    if str(device) == "auto":
        return torch.device(available_kinds()[-1])
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"device is {str(device)!r}; allowed: auto, cpu, cuda, cuda:1, mps and the like.") from error
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        known = ", ".join(available_kinds())
        raise EnvironmentFault(f"Device {str(device)!r} is not available. Available: {known}.") from error
    return chosen


def available_kinds() -> list[str]:
    """Return the kinds of device on this machine, fastest last."""
    import torch

    found = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    return ["cpu", *(kind for kind, is_available in found.items() if is_available)]


def chosen_precision(precision: str, device: torch.device, *, on_gpu: str = "bfloat16") -> torch.dtype:
    """Return the number format of the forward pass; ``auto`` is the format named ``on_gpu`` on CUDA, else float32.

    Raises:
        OptionError: unknown format, or half precision on a CPU, which is far slower there.
    """
    import torch

    if precision == "auto":
        precision = on_gpu if device.type == "cuda" else "float32"
    if not isinstance(precision, str) or precision not in _PRECISIONS:
        raise unknown("precision", precision, ["auto", *_PRECISIONS])
    if device.type == "cpu" and precision != "float32":
        raise OptionError(f"precision {precision} is slower than float32 on a CPU; allowed there: auto, float32.")
    return getattr(torch, precision)


@contextlib.contextmanager
def forked_randomness(device: torch.device) -> Iterator[None]:
    """Let the block seed torch (for dropout inside networks), then restore the caller's random state."""
    import torch

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def to_device(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return values as a tensor on a device; copies to a GPU are asynchronous."""
    import torch

    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def threads_for(multiplications: int) -> AbstractContextManager[object]:
    """Return a context in which OpenBLAS uses one thread, unless a product has ``MANY_MULTIPLICATIONS`` or more.

    OpenBLAS starts a thread per core for products of a few thousand numbers, and its threads busy-wait for the next
    one. They take the cores from torch, and an optimizer that multiplies a thousand small matrices waits for them each
    time: a last layer for 1,400 images took 0.2 s with one thread, and 2.7 s with two on a busy machine.

    Only OpenBLAS is limited: torch computes with other libraries, and keeps its threads. The limit holds for the whole
    process until the context ends.
    """
    if multiplications >= MANY_MULTIPLICATIONS:
        return contextlib.nullcontext()
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(internal_api="openblas").limit(limits=1)
