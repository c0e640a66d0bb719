"""Choose where and in which number format a network runs, and keep its random draws to itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from synaug.errors import OptionError, unknown

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def chosen_device(device: str | torch.device) -> torch.device:
    """Return the device; ``auto`` is the first GPU, else Apple's, else the CPU.

    Raises:
        OptionError: this machine has no such device.
    """
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(
            f"The device {str(device)!r} cannot be used: {error}. Allowed: auto, cpu, or one of this machine."
        ) from error
    return chosen


def chosen_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the number format of the forward pass; ``auto`` is bfloat16 on CUDA, else float32.

    Raises:
        OptionError: half precision was asked for on a CPU, where it is slower by far.
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if precision not in _DTYPES:
        raise unknown("precision", precision, ["auto", *_DTYPES])
    if device.type == "cpu" and precision != "float32":
        raise OptionError(f"precision {precision} is slower than float32 on a CPU; allowed there: auto, float32.")
    return _DTYPES[precision]


@contextlib.contextmanager
def forked_randomness(device: torch.device) -> Iterator[None]:
    """Let the block seed torch (for dropout inside networks) and put the caller's random state back after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
