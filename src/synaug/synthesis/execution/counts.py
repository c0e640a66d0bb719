"""Count the images of a plan that a run has: made, rejected, and still to make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from synaug.config import QualityOptions
from synaug.synthesis.execution.journal import State, read_tally
from synaug.synthesis.planning import Plan, Slot
from synaug.synthesis.planning.slots import slots


@dataclass(frozen=True)
class SynthesisResult:
    """The outcome: ``rejected`` counts attempts by reason, ``missing`` the slots that stay empty."""

    requested: int
    accepted: int
    rejected: dict[str, int]
    missing: int
    seconds: float

    def summary(self) -> SynthesisSummary:
        """Return the outcome in the form that the report contains."""
        return {
            "requested": self.requested,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "missing": self.missing,
            "seconds": self.seconds,
        }


class SynthesisSummary(TypedDict):
    """A ``SynthesisResult`` in the form that the report contains."""

    requested: int
    accepted: int
    rejected: dict[str, int]
    missing: int
    seconds: float


def slots_of(plan: Plan, quality: QualityOptions, shard: tuple[int, int]) -> Iterator[Slot]:
    """Yield the slots of a shard; if a gate compares images within a class, shards have whole classes."""
    return slots(plan, shard, whole_classes="collapse" in quality.gates)


def part_result(plan: Plan, state: State, quality: QualityOptions, shard: tuple[int, int] = (0, 1)) -> SynthesisResult:
    """Return the outcome for the slots of a shard."""
    requested = accepted = 0
    for slot in slots_of(plan, quality, shard):
        requested += 1
        accepted += state.attempt(slot) is None
    return SynthesisResult(requested, accepted, dict(state.rejected), requested - accepted, state.seconds)


def is_settled(plan: Plan, *, folder: Path, quality: QualityOptions, shard: tuple[int, int] = (0, 1)) -> bool:
    """Return whether nothing is left to generate."""
    return not num_unsettled(plan, folder=folder, quality=quality, shard=shard)


def num_unsettled(plan: Plan, *, folder: Path, quality: QualityOptions, shard: tuple[int, int] = (0, 1)) -> int:
    """Return the number of slots that have no accepted image and still have attempts left."""
    state = read_tally(plan, folder).state
    return sum(not state.is_settled(slot, quality.max_attempts) for slot in slots_of(plan, quality, shard))


def synthesis_summary(plan: Plan, folder: Path) -> SynthesisSummary:
    """Return the work of all workers so far, as a dict for the report."""
    return part_result(plan, read_tally(plan, folder).state, QualityOptions()).summary()
