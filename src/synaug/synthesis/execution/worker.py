"""Generate the images of a plan, check each, and keep accepted ones, so that an interruption costs little."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PIL import Image, ImageOps

from synaug.config import QualityOptions
from synaug.data.images import encode, plain_mode, suffix_of
from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.runtime import (
    FUNCTION,
    PATH,
    WHOLES,
    Kind,
    Progress,
    check_arguments,
    instance_of,
    needs_libraries,
    signals,
    silent,
    storage,
    threads_for,
)
from synaug.synthesis.execution.counts import SynthesisResult, part_result, slots_of
from synaug.synthesis.execution.generation import Task, generated
from synaug.synthesis.execution.journal import State, journal_path, read_state
from synaug.synthesis.execution.journal_records import Attempt
from synaug.synthesis.generators import Guides
from synaug.synthesis.planning import Plan, estimate, safe_names
from synaug.synthesis.quality import Candidate, Gate, Verdict, judged

if TYPE_CHECKING:
    from synaug.synthesis.generators import Generated, Generator

SYNTHETIC, REJECTED = "synthetic", "rejected"
KEPT_PER_REASON = 60
_THREADS = max(4, min(16, os.cpu_count() or 1))  # for resizing, encoding and writing


_GATES = Kind("a list of functions", lambda value: isinstance(value, list | tuple) and all(map(callable, value)))
_SHARD = Kind(
    "a pair (i, n) of whole numbers with 0 <= i < n",
    lambda value: isinstance(value, list | tuple) and WHOLES.accepts(value) and len(value) == 2 and value[0] < value[1],
)


@needs_libraries
def synthesize(
    plan: Plan,
    generator: Generator | None,
    *,
    folder: Path,
    gates: Sequence[Gate] = (),
    quality: QualityOptions | None = None,
    shard: tuple[int, int] = (0, 1),
    guides: Guides | None = None,
    progress: Progress = silent,
) -> SynthesisResult:
    """Generate the plan's images that the folder lacks; repeating an interrupted call resumes it.

    Images are written first and journaled afterwards, batch by batch, while the next batch is generated. A rejected
    slot is retried with the next attempt's seed, up to ``quality.max_attempts`` attempts in all; the first attempts of
    all slots come before any second attempt, so that gates see a class's images in an order that no interruption
    changes. For ``collapse``, which compares them, a shard has whole classes.

    Args:
        plan: the plan.
        generator: generates the images; may be None if everything is settled.
        folder: receives ``synthetic/``, ``rejected/`` and ``journal/``.
        gates: checks, in order; the first that fails an image gives the reason.
        quality: provides the number of attempts per slot.
        shard: ``(i, n)``: make the i-th of n parts; the others may run elsewhere at the same time.
        guides: provides the init images; see ``make_guides``.
        progress: called with the progress of the work.

    Raises:
        OptionError: the folder contains images of another plan, or another process works on this shard.
        EnvironmentFault: the disk is full, or the device has too little memory.
        Interrupted: a signal requested a stop; all finished images are saved.
    """
    check_arguments(
        "synthesize",
        plan=(plan, instance_of(Plan, words="a plan, as make_plan returns it")),
        generator=(generator, FUNCTION.or_none),
        folder=(folder, PATH),
        gates=(gates, _GATES),
        quality=(quality, instance_of(QualityOptions, words="QualityOptions").or_none),
        shard=(shard, _SHARD),
        progress=(progress, FUNCTION),
    )
    folder, quality = Path(folder), quality or QualityOptions()
    with storage.lock(folder, name=f"worker-{shard[0]}-of-{shard[1]}"):
        state = read_state(plan, folder)
        mine = slots_of(plan, quality, shard)
        first = next((slot for slot in mine if not state.is_settled(slot, quality.max_attempts)), None)
        if first is not None:
            if generator is None:
                raise OptionError(f"Images are still missing (first: {first.id}). Pass a generator.")
            with ThreadPoolExecutor(_THREADS, "synaug-images") as pool:
                note = functools.partial(getattr, generator, "note", "")
                worker = _Worker(plan, folder, gates, quality, shard, state, pool, note)
                worker.count_left()
                check_space(plan, worker.left, folder)
                worker.begin(getattr(generator, "about", {}))
                with threads_for(0):  # the gates multiply small matrices while the generator needs the cores
                    _run(worker, generator, guides=guides, progress=progress)
        return part_result(plan, state, quality, shard)


def check_space(plan: Plan, images: int, folder: Path) -> None:
    """Compare the disk space needed for this number of the plan's images with the free space.

    Raises:
        EnvironmentFault: the images will not fit.
    """
    needed = estimate(plan)["disk_bytes"] * images // max(1, plan.num_to_generate)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EnvironmentFault(
            f"The {images:,} missing images need about {needed / 1e6:,.1f} MB, but {free / 1e6:,.1f} MB are free "
            f"on the disk of {folder}. Free some space and rerun the same command."
        )


def _run(worker: _Worker, generator: Generator, *, guides: Guides | None, progress: Progress) -> None:
    """Make the first attempts of all slots, then the second attempts, and so on, until none are left."""
    worker.report(progress)
    with ThreadPoolExecutor(1, "synaug-finish") as pool:
        for attempt in range(worker.most_attempts):  # no slot has more, so the rounds end whatever a journal contains
            if not worker.left:
                return
            signals.stop_here()
            _run_round(worker, generator, worker.tasks(attempt, guides), pool, progress)
    if worker.left:
        raise DataError(
            f"{worker.left:,} images of {worker.folder} are not accepted and cannot be retried: its plan and "
            "journal do not match. Plan into another folder."
        )


def _run_round(
    worker: _Worker, generator: Generator, todo: Iterator[Task], pool: ThreadPoolExecutor, progress: Progress
) -> None:
    """Generate batch by batch; check and write each batch while the next one is generated."""
    finishing: Future[None] | None = None
    while tasks := list(islice(todo, getattr(generator, "batch_size", 16))):
        batch = generated(generator, tasks)
        if finishing is not None:
            finishing.result()  # raises errors of that batch, and limits memory to two batches
            worker.report(progress)
        finishing = pool.submit(worker.finish, tasks, *batch)
        if signals.is_requested():
            finishing.result()
            signals.stop_here()
    if finishing is not None:
        finishing.result()
        worker.report(progress)


@dataclass
class _Worker:
    """One process's share of the plan: everything that happens to images once they are generated."""

    plan: Plan
    folder: Path
    gates: Sequence[Gate]
    quality: QualityOptions
    shard: tuple[int, int]
    state: State
    pool: ThreadPoolExecutor
    note: Callable[[], str] = str  # text the generator adds to the progress
    left: int = 0
    total: int = 0
    folder_names: Sequence[str] = ()  # of the classes
    journal: Path = field(init=False)
    num_kept: dict[str, int] = field(default_factory=dict)  # files of rejected images, per reason

    def begin(self, about: Mapping[str, object]) -> None:
        """Create the folders and journal the generator's description."""
        self.folder_names = safe_names(self.plan.class_names)
        for name in self.folder_names:
            storage.make_folder(self.folder / SYNTHETIC / name)
        if self.shard == (0, 1):  # nobody else writes here
            for name in (SYNTHETIC, REJECTED):
                storage.remove_temporary(self.folder / name)
        self.journal = journal_path(self.folder, self.shard)
        storage.make_folder(self.journal.parent)
        storage.append_records(self.journal, [{"kind": "run", "plan": self.plan.digest, "about": about}])
        self.num_kept = {reason: len(paths) for reason, paths in rejected_files(self.folder).items()}

    def count_left(self) -> None:
        """Count the slots of this shard, and those that are not settled."""
        self.total = self.left = 0
        for slot in slots_of(self.plan, self.quality, self.shard):
            self.total += 1
            self.left += not self.state.is_settled(slot, self.quality.max_attempts)

    @property
    def most_attempts(self) -> int:
        """The maximum number of attempts of any slot; rejections in manual review do not count."""
        return self.quality.max_attempts + max(self.state.reviewed.values(), default=0)

    def report(self, progress: Progress) -> None:
        """Report the number of settled slots."""
        rejected = sum(self.state.rejected.values())
        parts = [f"{self.state.accepted:,} accepted, {rejected:,} rejected"] if rejected else []
        note = ", ".join(filter(None, [*parts, self.note()]))
        progress("making images", self.total - self.left, self.total, note)

    def tasks(self, attempt: int, guides: Guides | None) -> Iterator[Task]:
        """Yield a task for each unsettled slot whose next attempt has this number."""
        for slot in slots_of(self.plan, self.quality, self.shard):
            is_next = self.state.attempt(slot) == attempt
            if is_next and not self.state.is_settled(slot, self.quality.max_attempts):
                yield Task(slot, attempt, guides(slot) if guides else None)

    def finish(self, tasks: Sequence[Task], batch: Sequence[Generated], seconds: float) -> None:
        """Check the images of a batch, then write and journal them."""
        images = list(self.pool.map(self._fitted, [each.image for each in batch]))
        encodings = self.pool.map(self._encoded, images)  # in parallel with the gates
        verdicts = self._judged(tasks, batch, images)
        encoded = list(encodings)
        records = [
            self._record(*each, seconds=seconds / len(tasks)) for each in zip(tasks, verdicts, encoded, strict=True)
        ]
        files = [
            (self.folder / record["path"], data)
            for record, data in zip(records, encoded, strict=True)
            if record["path"] is not None and data is not None
        ]
        self._write(files)
        # The journal comes last: it must never refer to an image that is not on disk.
        storage.append_records(self.journal, records)
        for task, record in zip(tasks, records, strict=True):
            self.state.add(record)
            self.left -= self.state.is_settled(task.slot, self.quality.max_attempts)

    def _encoded(self, image: Image.Image | None) -> bytes | None:
        return None if image is None else encode(image, self.plan.encoding)

    def _fitted(self, image: Image.Image | None) -> Image.Image | None:
        """Return the image in the size and color mode of the set; another aspect ratio is cropped, not squeezed."""
        if image is None:
            return None
        try:
            plain = plain_mode(image).convert(self.plan.encoding.mode)
        except DataError as error:
            raise OptionError(f"The generator returned an image of mode {image.mode} that {error}.") from error
        if plain.size == self.plan.image_size:
            return plain
        return ImageOps.fit(plain, self.plan.image_size, Image.Resampling.LANCZOS)

    def _judged(
        self, tasks: Sequence[Task], batch: Sequence[Generated], images: Sequence[Image.Image | None]
    ) -> list[Verdict]:
        """Return the verdict per image: the pipeline's own problem or, if there is none, that of the gates."""
        candidates = [
            Candidate(image, id=task.slot.id, label=task.slot.cell.label, attribute=task.slot.cell.attribute)
            for task, each, image in zip(tasks, batch, images, strict=True)
            if each.problem is None and image is not None
        ]
        found = iter(judged(self.gates, candidates))
        return [next(found) if each.problem is None else Verdict(False, each.problem) for each in batch]

    def _record(self, task: Task, verdict: Verdict, data: bytes | None, *, seconds: float) -> Attempt:
        slot = task.slot
        record: dict[str, object] = {
            "kind": "attempt",
            "id": slot.id,
            "cell": slot.cell.name,
            "index": slot.index,
            "attempt": task.attempt,
            "seed": task.seed,
            "prompt": slot.prompt,
            "modifier": slot.modifier,
            **dict(slot.origin),
            **({"negative_prompt": slot.negative_prompt} if slot.negative_prompt else {}),
            "verdict": "accepted" if verdict.ok else "rejected",
            "reason": verdict.reason,
            "scores": {name: round(value, 5) for name, value in verdict.scores.items()},
            "path": None if data is None else self._path(task, verdict),
            "sha256": None if data is None else storage.digest(data),
            "seconds": round(seconds, 6),
        }
        record |= {"spread": dict(slot.phrases)} if slot.phrases else {}
        record |= {} if task.guide is None else dict(task.guide.record())
        return cast("Attempt", record)

    def _path(self, task: Task, verdict: Verdict) -> str | None:
        """Return the image's path; only the first few rejected ones per reason are kept, for inspection."""
        suffix = suffix_of(self.plan.encoding.format)
        if verdict.ok:
            return f"{SYNTHETIC}/{self.folder_names[task.slot.cell.label]}/{task.slot.id}{suffix}"
        reason = verdict.reason or "unnamed"
        path = f"{REJECTED}/{reason}/{task.slot.id}-{task.attempt}{suffix}"
        if (self.folder / path).exists():  # written and counted before an interruption, but not journaled
            return path
        if self.num_kept.get(reason, 0) >= KEPT_PER_REASON:
            return None
        self.num_kept[reason] = self.num_kept.get(reason, 0) + 1
        return path

    def _write(self, files: Sequence[tuple[Path, bytes]]) -> None:
        """Write the files in parallel, and make their names durable before they are journaled."""
        folders = {path.parent for path, _ in files}
        for folder in folders:
            storage.make_folder(folder)
        list(self.pool.map(lambda file: storage.write_bytes(*file, sync=False), files))
        for folder in folders:
            storage.sync_folder(folder)


def rejected_files(folder: Path) -> dict[str, list[Path]]:
    """Return the kept rejected images by reason, sorted by name."""
    return {place.name: sorted(place.iterdir()) for place in sorted((folder / REJECTED).glob("*")) if place.is_dir()}
