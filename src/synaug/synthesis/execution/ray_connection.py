"""Connect to a Ray cluster, or start one on this machine, and find how many workers of which size it has room for."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TypedDict

from synaug.errors import EnvironmentFault, OptionError, unknown
from synaug.runtime import missing_library

_OBJECT_STORE = 128 << 20  # bytes; images never pass through it


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster: number of workers (None: one per GPU or, without GPUs, one per machine) and address."""

    workers: int | None = None
    address: str | None = None


def cluster_named(engine: str, *, workers: int | None = None, address: str | None = None) -> Cluster | None:
    """Return the cluster for the engine ``ray``, or None for ``local``.

    Raises:
        OptionError: unknown engine, or an option that requires ray.
    """
    if engine == "ray":
        return Cluster(workers, address)
    if engine != "local":
        raise unknown("engine", engine, ["local", "ray"])
    if workers is not None or address is not None:
        raise OptionError("--workers and --address require --engine ray.")
    return None


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[ModuleType]:
    """Connect to the cluster, or start Ray on this machine; an existing connection is reused and kept."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise missing_library(error, "--engine ray") or error from None
    if ray.is_initialized():
        yield ray
        return
    address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"  # not any Ray found here
    local = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    with _signals_kept():
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level="ERROR", **(local if address == "local" else {})
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            place = "on this machine" if address == "local" else f"at {address}"
            raise EnvironmentFault(f"Ray cannot be reached or started {place}: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the signal handlers that Ray replaces."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    with contextlib.suppress(ValueError):  # not in the main thread, where Ray sets none either
        for number, handler in kept.items():
            signal.signal(number, handler)


class Resources(TypedDict):
    """The resources that Ray reserves for a worker, and the options with which it starts and restarts it."""

    num_cpus: int
    num_gpus: int
    max_concurrency: int
    max_restarts: int
    scheduling_strategy: str


def worker_resources(ray: ModuleType, cluster: Cluster, device: str) -> tuple[int, Resources]:
    """Return the number of workers, and the resources that Ray reserves for each."""
    if ":" in device:
        raise OptionError(f"With --engine ray each worker has its own GPU; generate.device must not name {device!r}.")
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0)) if device in ("auto", "cuda") else 0
    if device == "cuda" and not gpus:
        raise EnvironmentFault("generate.device is 'cuda', and the Ray cluster has no GPU.")
    workers = cluster.workers or gpus or sum(node["Alive"] for node in ray.nodes())
    return workers, {
        "num_cpus": 1,
        "num_gpus": 1 if gpus else 0,
        "max_concurrency": 2,
        "max_restarts": 0,
        "scheduling_strategy": "SPREAD",
    }
