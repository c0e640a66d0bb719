"""Choose the device and number format for a network, and isolate its random draws."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from synaug.errors import EnvironmentFault, OptionError, unknown

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def chosen_device(device: str | torch.device) -> torch.device:
    """Return the device; ``auto`` is the first GPU, otherwise Apple's (MPS), otherwise the CPU.

    Raises:
        OptionError: this is not a device name.
        EnvironmentFault: the device is not available on this machine.
    """
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
    found = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    return ["cpu", *(kind for kind, is_available in found.items() if is_available)]


def chosen_precision(precision: str, device: torch.device, *, on_gpu: torch.dtype = torch.bfloat16) -> torch.dtype:
    """Return the number format of the forward pass; ``auto`` is ``on_gpu`` on CUDA, else float32.

    Raises:
        OptionError: unknown format, or half precision on a CPU, which is far slower there.
    """
    if precision == "auto":
        return on_gpu if device.type == "cuda" else torch.float32
    if not isinstance(precision, str) or precision not in _DTYPES:
        raise unknown("precision", precision, ["auto", *_DTYPES])
    if device.type == "cpu" and precision != "float32":
        raise OptionError(f"precision {precision} is slower than float32 on a CPU; allowed there: auto, float32.")
    return _DTYPES[precision]


@contextlib.contextmanager
def forked_randomness(device: torch.device) -> Iterator[None]:
    """Let the block seed torch (for dropout inside networks), then restore the caller's random state."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
