"""Estimate the cost of a plan: images, disk space and, once the model has been timed, hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synaug.schemas.command_output import Estimate

if TYPE_CHECKING:
    from synaug.synthesis.planning.plan import Plan

_BYTES_PER_VALUE = {"PNG": 0.7, "JPEG": 0.15, "WEBP": 0.1}


@dataclass(frozen=True)
class Pace:
    """The time per image on a kind of device, such as ``"cuda"``."""

    seconds_per_image: float
    device: str | None = None


def estimate(plan: Plan, pace: Pace | None = None) -> Estimate:
    """Return the number of images, disk space (in blocks of 4 KiB) and time; unmeasured values are None.

    ``gpu_hours`` is None unless a GPU was timed.
    """
    width, height = plan.image_size
    values = width * height * (1 if plan.encoding.mode == "L" else 3)
    image_bytes = 400 + values * _BYTES_PER_VALUE.get(plan.encoding.format, 1.0)
    images = plan.num_to_generate
    seconds = None if pace is None else images * pace.seconds_per_image
    is_gpu = pace is not None and pace.device not in (None, "cpu")
    return {
        "images": images,
        "disk_bytes": images * 4096 * int(-(-image_bytes // 4096)),
        "seconds": seconds,
        "images_per_second": 1 / pace.seconds_per_image if pace and pace.seconds_per_image else None,
        "gpu_hours": seconds / 3600 if is_gpu and seconds is not None else None,
    }
