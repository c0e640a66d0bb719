"""Assign phrases, such as backgrounds, to the images of each class in turn, so that none is tied to a class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from synaug.config import CLASS_SPREAD, PlanOptions, Spread
from synaug.errors import unknown

Phrases = tuple[tuple[str, str], ...]
"""The phrases in an image's prompt, as pairs of a name in ``plan.spread`` and a phrase."""


def phrases_of(spread: Spread, class_name: str) -> dict[str, tuple[str, ...]]:
    """Return the phrases that a class takes in turn, by name; a class missing from a mapping gets none.

    >>> phrases_of({"background": ("on land", "on water"), "class": {"cat": ("tabby", "manx")}}, "dog")
    {'background': ('on land', 'on water')}
    """
    own = {name: each.get(class_name, ()) if isinstance(each, Mapping) else each for name, each in spread.items()}
    return {name: tuple(each) for name, each in own.items() if each}


def turns(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield positions on several axes endlessly, cycling each axis and using every combination equally often.

    >>> from itertools import islice
    >>> list(islice(turns([2, 2]), 4)), list(islice(turns([2, 3]), 3))
    ([(0, 0), (1, 1), (0, 1), (1, 0)], [(0, 0), (1, 1), (0, 2)])
    """
    index = 0
    while True:
        places, combined = [], 1
        for size in sizes:
            # without the shift, axes with a common divisor would miss combinations
            step = index % (combined * size)
            places.append((step + step // math.lcm(combined, size)) % size)
            combined *= size
        yield tuple(places)
        index += 1


def ordered(phrases: Mapping[str, Sequence[str]], seed: Sequence[int]) -> dict[str, list[str]]:
    """Return the phrases in an order set by the seed, so that small classes do not all start with the same ones."""
    return {
        name: [each[i] for i in np.random.default_rng([*seed, number, 6]).permutation(len(each))]
        for number, (name, each) in enumerate(phrases.items())
    }


def combinations(phrases: Mapping[str, Sequence[str]]) -> list[Phrases]:
    """Return all combinations of phrases; a single empty one if there are none."""
    return [tuple(zip(phrases, chosen, strict=True)) for chosen in product(*phrases.values())]


def phrase_counts(chosen: Sequence[Phrases]) -> dict[str, dict[str, int]]:
    """Return how often each phrase occurs, by name in ``plan.spread``.

    >>> phrase_counts([(("background", "on land"),), (("background", "on water"),)])
    {'background': {'on land': 1, 'on water': 1}}
    """
    counts: dict[str, Counter[str]] = {}
    for phrases in chosen:
        for name, phrase in phrases:
            counts.setdefault(name, Counter())[phrase] += 1
    return {name: dict(counter) for name, counter in counts.items()}


def check_spread(options: PlanOptions, class_names: Sequence[str]) -> None:
    """Reject phrases for classes that do not exist.

    Raises:
        OptionError: a class is unknown.
    """
    for name, each in options.spread.items():
        for class_name in each if isinstance(each, Mapping) else ():
            if class_name not in class_names:
                raise unknown(f"class in spread.{name}", class_name, class_names)


__all__ = ["CLASS_SPREAD", "Phrases", "check_spread", "combinations", "ordered", "phrase_counts", "phrases_of", "turns"]
