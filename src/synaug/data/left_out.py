"""Count skipped files and rows by reason and suffix, so that nothing is dropped silently."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from synaug.data.manifest import LeftOut, Quarantined

_EXAMPLES = 3


class LeftOutCounter:
    """Collects skipped items; ``result`` summarizes them."""

    def __init__(self) -> None:
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], list[str]] = {}

    def add(self, reason: str, *paths: str, suffix: str | None = None) -> None:
        """Count paths under a reason; the suffix defaults to that of each path."""
        for path in paths:
            key = (reason, os.path.splitext(path)[1].lower() if suffix is None else suffix)
            self._numbers[key] += 1
            if len(examples := self._examples.setdefault(key, [])) < _EXAMPLES:
                examples.append(path.encode(errors="backslashreplace").decode())

    def result(self) -> tuple[LeftOut, ...]:
        """Return the counts, largest first."""
        return tuple(
            LeftOut(*key, number, tuple(self._examples[key]))
            for key, number in sorted(self._numbers.items(), key=lambda item: (-item[1], item[0]))
        )


def by_reason(quarantined: Iterable[Quarantined]) -> tuple[LeftOut, ...]:
    """Return the quarantined images counted by reason and suffix."""
    counter = LeftOutCounter()
    for item in quarantined:
        counter.add(item.reason, item.path)
    return counter.result()
