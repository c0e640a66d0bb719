"""Re-run the gates on accepted images, and withdraw those that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from synaug.data import read_image
from synaug.errors import DataError
from synaug.runtime import Progress, silent, stop_here, storage
from synaug.synthesis.execution.journal import revised_path
from synaug.synthesis.execution.provenance import AcceptedImage, accepted_records, synthetic_manifest
from synaug.synthesis.execution.worker import KEPT_PER_REASON, REJECTED, rejected_files
from synaug.synthesis.planning import Plan
from synaug.synthesis.quality import Candidate, Gate, Verdict, judged

_BATCH = 256
UNREADABLE = "unreadable"

Failed = tuple[AcceptedImage, Verdict]
"""The journal record of an accepted image, and why it fails now."""


def recheck(plan: Plan, folder: Path, gates: Sequence[Gate], *, progress: Progress = silent) -> Iterator[Failed]:
    """Yield the accepted images that a gate rejects or that cannot be read anymore; nothing is changed.

    Images accepted in manual review are not judged again; see ``review_decisions``.
    """
    synthetic = synthetic_manifest(plan, folder)
    records = {record["id"]: record for record in accepted_records(plan, folder)}
    for start in range(0, len(synthetic), _BATCH):
        stop_here()
        progress("checking images", start, len(synthetic), "")
        candidates = []
        for row in range(start, min(start + _BATCH, len(synthetic))):
            name, label, attribute = synthetic.frame[["id", "label", "attribute"]].iloc[row]
            try:
                candidates.append(
                    Candidate(read_image(synthetic, row), id=name, label=int(label), attribute=int(attribute))
                )
            except DataError:
                yield records[name], Verdict(False, UNREADABLE)
        for candidate, verdict in zip(candidates, judged(gates, candidates), strict=True):
            if not verdict.ok and records[candidate.id].get("reviewed") is None:
                yield records[candidate.id], verdict
    progress("checking images", len(synthetic), len(synthetic), "")


def count_failed(failed: Sequence[Failed]) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Return the number of failures per reason, and the same per class or group."""
    by_class: dict[str, Counter[str]] = {}
    for record, verdict in failed:
        by_class.setdefault(record["cell"], Counter())[str(verdict.reason)] += 1
    return dict(sum(by_class.values(), Counter())), {name: dict(counts) for name, counts in by_class.items()}


def withdraw(folder: Path, failed: Sequence[Failed]) -> None:
    """Remove images from the accepted ones, which reopens their slots for the next attempt.

    The first few per reason are kept among the rejected images for inspection.
    """
    kept = Counter({reason: len(paths) for reason, paths in rejected_files(folder).items()})
    storage.append_records(
        revised_path(folder),
        (
            {"id": record["id"], "attempt": record["attempt"], "verdict": "rejected", "path": None}
            | {"reason": verdict.reason, "scores": verdict.scores}
            for record, verdict in failed
        ),
    )
    # Journal first: if the process stops here, a leftover file is harmless, but a missing accepted image is an error.
    for record, verdict in failed:
        path, reason = folder / str(record["path"]), str(verdict.reason)
        if path.exists() and kept[reason] < KEPT_PER_REASON:
            place = storage.make_folder(folder / REJECTED / reason)
            storage.copy_file(path, place / f"{record['id']}-{record['attempt']}{path.suffix}")
            kept[reason] += 1
        storage.remove_file(path)
