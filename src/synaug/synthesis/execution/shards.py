"""Determine which part of the images this process makes, as typed or from the cluster's job environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from synaug.errors import OptionError

_INDEX = "JOB_COMPLETION_INDEX"  # of an indexed Kubernetes job, from 0; the number of jobs is not provided
_TASK = "SLURM_ARRAY_TASK_ID"


def shard_named(
    text: str, *, shards: int | None = None, environment: Mapping[str, str] = os.environ
) -> tuple[int, int]:
    """Return the part, counted from 0, and the number of parts for ``i/n`` (i from 1 to n) or ``auto``.

    Args:
        text: the option as typed.
        shards: n for ``auto``, if the cluster does not provide it.
        environment: variables with the index and size of a Slurm array or an indexed Kubernetes job.

    Raises:
        OptionError: it is neither, or the part does not exist.

    >>> shard_named("2/8")
    (1, 8)
    >>> shard_named("auto", environment={"SLURM_ARRAY_TASK_ID": "11", "SLURM_ARRAY_TASK_MIN": "10",
    ...     "SLURM_ARRAY_TASK_COUNT": "4"})
    (1, 4)
    """
    if text == "auto":
        return _of_cluster(shards, environment)
    first, _, second = text.partition("/")
    if shards is not None:
        raise OptionError(f"--shards requires --shard auto; got --shard {text}.")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise OptionError(f"--shard must be auto, or i/n with i from 1 to n, such as 2/8; got {text!r}.")
    return int(first) - 1, int(second)


def _of_cluster(shards: int | None, environment: Mapping[str, str]) -> tuple[int, int]:
    if _TASK in environment:
        step = int(environment.get("SLURM_ARRAY_TASK_STEP", 1))
        index = (int(environment[_TASK]) - int(environment.get("SLURM_ARRAY_TASK_MIN", 0))) // step
        number = shards or int(environment.get("SLURM_ARRAY_TASK_COUNT", 0))
    elif _INDEX in environment:
        index, number = int(environment[_INDEX]), shards or 0
    else:
        raise OptionError(f"--shard auto needs {_TASK} or {_INDEX}, but neither is set; use i/n, such as 2/8.")
    if not number:
        raise OptionError("--shard auto cannot determine the number of parts; add --shards n.")
    if not 0 <= index < number:
        raise OptionError(f"This is job {index + 1}, but there are {number} parts; set --shards to the number of jobs.")
    return index, number
