"""Generate the parts of a plan with the workers of a Ray cluster; a dead worker costs only its images in flight.

Each worker is an actor that makes one part after another, as ``--shard`` does, and writes images and journal itself.
Ray places and monitors the actors; the order of parts, retries and stopping are decided here.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol

from synaug.config import QualityOptions
from synaug.errors import EnvironmentFault, InUseError, SynaugError, first_line
from synaug.runtime import Progress, keep_freed_memory, signals, silent, storage
from synaug.synthesis.execution.counts import SynthesisResult, part_result, slots_of
from synaug.synthesis.execution.journal import read_state
from synaug.synthesis.execution.ray_connection import Cluster, Resources, connected, worker_resources
from synaug.synthesis.execution.worker import REJECTED, SYNTHETIC
from synaug.synthesis.planning import Plan

LOOK_EVERY = 0.5  # seconds between checks of progress and stop requests
MAX_DEATHS = 3  # consecutive worker deaths on one part without a new image
_MAX_WAITS = 60  # times LOOK_EVERY, for an earlier worker to release its part
_PARTS_A_WORKER, _LEAST_IN_PART = 4, 256

Part = tuple[int, int]
PartMaker = Callable[[Part, Progress], SynthesisResult]
Reference = Hashable
"""Ray's handle of a result that a worker will return."""


def synthesize_on_cluster(
    plan: Plan,
    begin: Callable[..., PartMaker],
    *,
    folder: Path,
    cluster: Cluster,
    quality: QualityOptions,
    device: str = "auto",
    progress: Progress = silent,
) -> SynthesisResult:
    """Generate the plan's missing images with Ray workers; the images are the same as from a single process.

    Args:
        plan: the plan.
        begin: called once in each worker with ``progress``; returns the function that makes a part there.
        folder: the run directory, shared by all machines under the same path.
        cluster: address and number of workers.
        quality: provides the number of attempts per slot.
        device: ``cpu`` uses no GPU; with ``auto`` and ``cuda`` each worker has its own.
        progress: called with the combined progress of all workers.

    Raises:
        OptionError: another process is generating the images of this folder.
        EnvironmentFault: Ray is not available, workers keep dying, or a worker failed with this error.
        Interrupted: a signal requested a stop; all workers have saved their finished images.
    """
    with storage.lock(folder, name="cluster"):
        left = _left(plan, folder, quality)
        if left:
            with connected(cluster) as ray:
                _clear(folder)
                workers, resources = worker_resources(ray, cluster, device)
                parts = _parts(plan, workers, left)
                _Team(ray, plan, begin, folder, quality, workers, resources, parts, progress).run()
            _clear(folder)
        return part_result(plan, read_state(plan, folder), quality)


def _left(plan: Plan, folder: Path, quality: QualityOptions) -> int:
    state = read_state(plan, folder)
    return sum(not state.is_settled(slot, quality.max_attempts) for slot in slots_of(plan, quality, (0, 1)))


def _clear(folder: Path) -> None:
    """Remove files that killed workers were writing."""
    for name in (SYNTHETIC, REJECTED):
        storage.remove_temporary(folder / name)


def _parts(plan: Plan, workers: int, left: int) -> list[Part]:
    """Return a few parts per worker, so that fast workers make more of them, but no part with only a few images."""
    number = max(workers, min(_PARTS_A_WORKER * workers, left // _LEAST_IN_PART))
    return [(i, number) for i in range(number)]


class Worker:
    """Runs in an actor: one thread makes a part, the other reports progress."""

    def __init__(self, begin: Callable[..., PartMaker], threads: int) -> None:
        keep_freed_memory()
        os.environ["OMP_NUM_THREADS"] = str(threads)  # Ray sets 1; read when torch is first imported
        self._begin = begin
        self._make: PartMaker | None = None
        self._shown: tuple[str, int, int, str] = ("starting", 0, 0, "")

    def make(self, part: Part) -> SynthesisResult | Exception:
        """Make a part; expected errors are returned rather than raised, so that Ray does not wrap them."""
        try:
            if self._make is None:
                self._make = self._begin(progress=self._show)
            return self._make(part, self._show)
        except (SynaugError, OSError, MemoryError) as error:
            return error

    def _show(self, stage: str, done: int, total: int, note: str = "") -> None:
        self._shown = (stage, done, total, note)

    def look(self) -> tuple[str, int, int, str]:
        """Return the latest progress."""
        return self._shown

    def stop(self) -> None:
        """Request a stop at the next safe point."""
        signals.request()


class _Call(Protocol):
    """A method of an actor; calling it returns a reference to the result."""

    def remote(self, *arguments: object) -> Reference: ...


class _Actor(Protocol):
    """Ray's handle of a ``Worker``."""

    @property
    def make(self) -> _Call: ...
    @property
    def look(self) -> _Call: ...
    @property
    def stop(self) -> _Call: ...


@dataclass
class _Team:
    """The actors, the parts, and their assignment."""

    ray: ModuleType
    plan: Plan
    begin: Callable[..., PartMaker]
    folder: Path
    quality: QualityOptions
    workers: int
    resources: Resources
    parts: list[Part]
    progress: Progress
    starting: dict[Reference, _Actor] = field(default_factory=dict)
    idle: list[_Actor] = field(default_factory=list)
    making: dict[Reference, tuple[_Actor, Part]] = field(default_factory=dict)
    looking: dict[Reference, Part] = field(default_factory=dict)
    deaths: dict[Part | None, int] = field(default_factory=dict)  # consecutive; None: before any part
    waits: int = 0
    failure: Exception | None = None
    stopped_at: float = math.inf  # by time.monotonic(), when the workers were asked to stop

    @property
    def is_stopping(self) -> bool:
        return self.stopped_at < math.inf

    def run(self) -> None:
        """Work until all parts are done; after an error or signal, wait for the workers to stop, up to a time limit."""
        self.waiting = deque(self.parts)
        self.done, self.total = self._settled()
        self._show("")
        try:
            for _ in range(min(self.workers, len(self.parts))):
                self._hire()
            while self.making or (self.waiting and not self.is_stopping):
                if time.monotonic() > self.stopped_at + signals.PATIENCE:
                    break  # the workers are killed below, which costs the images in flight
                self._step()
                if (self.failure or signals.is_requested()) and not self.is_stopping:
                    self._stop()
        finally:
            for actor in [*self.starting.values(), *self.idle, *(actor for actor, _ in self.making.values())]:
                self.ray.kill(actor)
        if self.failure is not None:
            raise self.failure
        signals.stop_here()

    def _settled(self) -> tuple[dict[Part, int], int]:
        """Return the number of settled slots per part, and the number of all slots."""
        state, done, total = read_state(self.plan, self.folder), {}, 0
        for part in self.parts:
            done[part] = 0
            for slot in slots_of(self.plan, self.quality, part):
                done[part] += state.is_settled(slot, self.quality.max_attempts)
                total += 1
        return done, total

    def _hire(self) -> None:
        cpus = int(self.ray.cluster_resources().get("CPU", 1))
        threads = int(os.environ.get("OMP_NUM_THREADS", max(1, cpus // self.workers)))
        actor = self.ray.remote(Worker).options(**self.resources).remote(self.begin, threads)
        self.starting[actor.look.remote()] = actor

    def _step(self) -> None:
        """Assign parts, wait briefly, and process results."""
        while self.idle and self.waiting and not self.is_stopping:
            actor, part = self.idle.pop(), self.waiting.popleft()
            self.making[actor.make.remote(part)] = actor, part
        came = self._came([*self.making, *self.starting], timeout=LOOK_EVERY)
        for reference in came:
            if reference in self.starting:
                self._take_started(reference, self.starting.pop(reference))
            else:
                self._take_made(reference, *self.making.pop(reference))
        self._look()
        if not (self.making or self.idle or any(node["Alive"] for node in self.ray.nodes())):
            self.failure = self.failure or EnvironmentFault(
                "Ray has lost all its machines. Rerun the same command to resume once they are back."
            )

    def _came(self, references: list[Reference], *, timeout: float) -> list[Reference]:
        if not references:
            return []
        came: list[Reference] = self.ray.wait(references, num_returns=len(references), timeout=timeout)[0]
        return came

    def _take_started(self, reference: Reference, actor: _Actor) -> None:
        try:
            self.ray.get(reference)
        except self.ray.exceptions.RayActorError as error:
            self._bury(None, error)
        else:
            self.idle.append(actor)

    def _take_made(self, reference: Reference, actor: _Actor, part: Part) -> None:
        try:
            outcome = self.ray.get(reference)
        except self.ray.exceptions.RayActorError as error:
            self.waiting.appendleft(part)
            self._bury(part, error)
            return
        except self.ray.exceptions.RayTaskError as error:
            outcome = error
        self.idle.append(actor)
        if isinstance(outcome, InUseError) and (self.making or self.waits < _MAX_WAITS):
            # Either another worker is fitting the model, or one of a killed command still holds the part.
            self.waits += not self.making
            self.waiting.append(part)
            time.sleep(LOOK_EVERY)
        elif isinstance(outcome, Exception):
            self.failure = self.failure or outcome
        else:
            self.done[part] = outcome.requested

    def _bury(self, part: Part | None, error: Exception) -> None:
        """Replace a worker that died, unless too many did."""
        self.deaths[part] = self.deaths.get(part, 0) + 1
        if self.deaths[part] < MAX_DEATHS:
            self._hire()
            return
        place = "before its first part" if part is None else f"on part {part[0] + 1} of {part[1]}"
        self.failure = self.failure or EnvironmentFault(
            f"{MAX_DEATHS} workers died one after another {place}, without a new image. Ray reported: "
            f"{first_line(error)}. Out of memory is the usual cause. Rerun the same command to resume."
        )

    def _look(self) -> None:
        """Ask the workers for their progress, and show the sum."""
        stage = ""
        for reference in self._came(list(self.looking), timeout=0):
            part = self.looking.pop(reference)
            with contextlib.suppress(self.ray.exceptions.RayError):
                stage, done, _, _ = self.ray.get(reference)
                if stage == "making images" and done > self.done[part]:
                    self.done[part] = done
                    self.deaths.pop(part, None)
        asked = set(self.looking.values())
        for actor, part in self.making.values():
            if part not in asked:
                self.looking[actor.look.remote()] = part
        self._show(stage)

    def _show(self, stage: str) -> None:
        doing = stage if stage and stage != "making images" and not any(self.done.values()) else ""
        note = f"{len(self.making)} of {self.workers} workers" + (f", {doing}" if doing else "")
        self.progress("making images", sum(self.done.values()), self.total, note)

    def _stop(self) -> None:
        self.stopped_at = time.monotonic()
        for actor, _ in self.making.values():
            actor.stop.remote()
