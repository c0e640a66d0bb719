"""Check images before they are accepted: broken, off-class, copied, leaked or collapsed ones are rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PIL import Image


@dataclass(frozen=True)
class Candidate:
    """An image to be judged, of class ``label`` and, where the plan is by group, of ``attribute``."""

    image: Image.Image
    id: str
    label: int
    attribute: int = -1


@dataclass(frozen=True)
class Verdict:
    """Whether an image is accepted, why not, and what was measured."""

    ok: bool
    reason: str | None = None
    scores: dict[str, float] = field(default_factory=dict)


Gate = Callable[[Sequence[Candidate]], list[Verdict]]
