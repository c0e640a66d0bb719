"""Count what is not read, by reason and suffix, so that nothing disappears without a trace."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from synaug.data.manifest import LeftOut, Quarantined

_EXAMPLES = 3


class LeftOutCounter:
    """Collects what was not read; ``result`` sums it up."""

    def __init__(self) -> None:
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], list[str]] = {}

    def add(self, reason: str, *paths: str, suffix: str | None = None) -> None:
        """Count paths under a reason; the suffix is that of each path, if none is given."""
        for path in paths:
            key = (reason, os.path.splitext(path)[1].lower() if suffix is None else suffix)
            self._numbers[key] += 1
            if len(examples := self._examples.setdefault(key, [])) < _EXAMPLES:
                examples.append(path.encode(errors="backslashreplace").decode())

    def result(self) -> tuple[LeftOut, ...]:
        """Return what was counted, the largest number first."""
        return tuple(
            LeftOut(*key, number, tuple(self._examples[key]))
            for key, number in sorted(self._numbers.items(), key=lambda item: (-item[1], item[0]))
        )


def by_reason(quarantined: Iterable[Quarantined]) -> tuple[LeftOut, ...]:
    """Return quarantined images counted by reason and suffix."""
    counter = LeftOutCounter()
    for item in quarantined:
        counter.add(item.reason, item.path)
    return counter.result()
