"""Prompts that a person or a language model wrote, and the order in which the images of a class take them."""

from __future__ import annotations

import heapq
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import NotRequired, TypedDict

import numpy as np

MAX_LENGTH = 10_000  # characters of a prompt
MAX_WEIGHT = 1e6
RESERVED = ("modifier", "attribute", "class")  # not allowed as names of phrases


PromptRecord = TypedDict(  # not in class syntax: the key "class" is a keyword
    "PromptRecord",
    {
        "class": str,
        "prompt": str,
        "attribute": NotRequired[str],
        "negative_prompt": NotRequired[str],
        "weight": NotRequired[float],
        "spread": NotRequired[dict[str, str]],
        "model": NotRequired[str],
        "revision": NotRequired[str],
        "date": NotRequired[str],
    },
)


@dataclass(frozen=True, slots=True)
class Author:
    """The language model that wrote a prompt, and when; all empty for a person. It affects no image."""

    model: str = ""
    revision: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        """Raise a ValueError if a value is not a line of text."""
        for name, value in self.to_dict().items():
            _check_line(name, value)

    def to_dict(self) -> dict[str, str]:
        """Return the values that are not empty."""
        return {name: value for name, value in asdict(self).items() if value != ""}


AUTHOR_COLUMNS = tuple(each.name for each in fields(Author))


@dataclass(frozen=True, slots=True)
class WrittenPrompt:
    """A prompt of a class; without an attribute, it is for all attributes of the class.

    ``phrases`` are pairs of a name, such as ``background``, and a phrase in the prompt, such as ``on water``.
    """

    class_name: str
    prompt: str
    attribute: str = ""
    negative_prompt: str = ""
    weight: float = 1.0
    phrases: tuple[tuple[str, str], ...] = ()
    author: Author = Author()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value is not allowed; the message contains it.
        """
        for name in ("class_name", "prompt", "attribute", "negative_prompt"):
            _check_line(name.removesuffix("_name"), getattr(self, name))
        if not self.prompt:
            raise ValueError("the prompt is empty")
        is_number = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not is_number or not 1 / MAX_WEIGHT <= self.weight <= MAX_WEIGHT:
            raise ValueError(
                f"weight must be a number from {1 / MAX_WEIGHT:g} to {MAX_WEIGHT:,.0f}, got {self.weight!r}"
            )
        for name, phrase in self.phrases:
            if not name.isidentifier() or name in RESERVED or not _is_line(phrase) or not phrase:
                raise ValueError(f"spread.{name} must be a word such as spread.background, with one line of text")

    def to_dict(self) -> PromptRecord:
        """Return a dict that ``from_dict`` reads."""
        content: PromptRecord = {"class": self.class_name, "prompt": self.prompt}
        if self.attribute:
            content["attribute"] = self.attribute
        if self.negative_prompt:
            content["negative_prompt"] = self.negative_prompt
        if self.weight != 1:
            content["weight"] = self.weight
        if self.phrases:
            content["spread"] = dict(self.phrases)
        return content

    @classmethod
    def from_dict(cls, content: PromptRecord) -> WrittenPrompt:
        """Return the prompt in a dict made by ``to_dict``.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is not such a dict.
        """
        return cls(
            class_name=content["class"],
            prompt=content["prompt"],
            attribute=content.get("attribute", ""),
            negative_prompt=content.get("negative_prompt", ""),
            weight=content.get("weight", 1.0),
            phrases=tuple(content.get("spread", {}).items()),
            author=Author(content.get("model", ""), content.get("revision", ""), content.get("date", "")),
        )


def _check_line(name: str, value: object) -> None:
    if not isinstance(value, str) or not _is_line(value):
        raise ValueError(f"{name} must be one line of text, got {value!r:.80}")
    if len(value) > MAX_LENGTH:
        raise ValueError(f"{name} has {len(value):,} characters; at most {MAX_LENGTH:,} are allowed")


def _is_line(value: object) -> bool:
    return isinstance(value, str) and not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value)


def of_cell(prompts: Sequence[WrittenPrompt], class_name: str, attribute: str | None) -> tuple[WrittenPrompt, ...]:
    """Return the prompts of a class (``attribute`` None) or of a group: its own, and those for all attributes."""
    return tuple(
        each
        for each in prompts
        if each.class_name == class_name and (attribute is None or each.attribute in ("", attribute))
    )


def drawn(prompts: Sequence[WrittenPrompt], seed: Sequence[int]) -> Iterator[WrittenPrompt]:
    """Yield prompts endlessly, in proportion to their weights, in an order determined by the seed.

    At any point, the count of each prompt is within one of its share: none comes twice before all of the same weight
    came once. Among prompts of one weight, the phrases of each name come in turn.
    """
    order = in_turn(prompts, seed)
    waiting = [(0.5 / prompts[row].weight, rank, 0) for rank, row in enumerate(order)]
    heapq.heapify(waiting)
    while waiting:
        _, rank, times = waiting[0]
        each = prompts[order[rank]]
        yield each
        heapq.heapreplace(waiting, ((times + 1.5) / each.weight, rank, times + 1))


def in_turn(prompts: Sequence[WrittenPrompt], seed: Sequence[int]) -> list[int]:
    """Return the positions in an order determined by the seed, in which the phrases of each name come in turn.

    The next prompt is always one with the combination of phrases (and attribute) whose values came least often so far.
    """
    shuffled = np.random.default_rng([*seed, 7]).permutation(len(prompts)).tolist()
    waiting: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for row in shuffled:
        waiting.setdefault((("attribute", prompts[row].attribute), *prompts[row].phrases), []).append(row)
    combinations = list(waiting)
    values = {pair: number for number, pair in enumerate(sorted({pair for each in combinations for pair in each}))}
    has = np.zeros((len(combinations), len(values)))
    for number, each in enumerate(combinations):
        has[number, [values[pair] for pair in each]] = 1
    came, left = np.zeros(len(values)), np.array([len(rows) for rows in waiting.values()], float)
    order: list[int] = []
    while len(order) < len(prompts):
        chosen = int(np.argmin(np.where(left > 0, has @ came, math.inf)))
        rows = waiting[combinations[chosen]]
        order.append(rows[len(rows) - int(left[chosen])])
        left[chosen] -= 1
        came += has[chosen]
    return order
