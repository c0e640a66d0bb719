"""Shorten prompts that exceed a text encoder's limit, and find those that lose a class name in the process."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from synaug.errors import OptionError
from synaug.synthesis.planning.plan import Plan
from synaug.synthesis.planning.prompting import CLASS_SPREAD, Phrases, phrase_of, readable_name

Shorten = Callable[[str], str | None]
"""Returns the prompt that reaches the text encoder, or None if no part of it fits."""

TOO_LONG = "{number:,} prompts exceed the model's limit, such as {prompt!r}. It receives {shortened!r}."
CUT = "The prompt {prompt!r} exceeds the model's limit, and {part!r} of {cell!r} would be cut."
WAY_OUT = "Shorten the template, phrases or row of the prompts file, or give the class a shorter name with --aliases."


@dataclass(frozen=True)
class LongPrompt:
    """A prompt that is too long; ``lost`` is the first required name missing from the shortened one, or empty."""

    cell: str
    prompt: str
    shortened: str | None
    lost: str


def shortened(text: str, fits: Callable[[str], bool]) -> str | None:
    """Return the text with as few words as possible removed from its middle to make it fit; None if not one word fits.

    The beginning and the end are kept, because templates usually put the class at the end.

    >>> shortened("a very long photo of one boot", lambda text: len(text) <= 16)
    'a very one boot'
    """
    if fits(text):
        return text
    words = text.split()
    numbers = range(1, len(words))
    first = bisect.bisect_left(numbers, True, key=lambda number: fits(_without_middle(words, number)))
    # fewer words usually, but not always, mean fewer tokens
    return next((each for number in numbers[first:] if fits(each := _without_middle(words, number))), None)


def _without_middle(words: list[str], number: int) -> str:
    kept = len(words) - number
    head = kept // 2
    return " ".join([*words[:head], *words[len(words) - (kept - head) :]])


def long_prompts(plan: Plan, shorten: Shorten) -> Iterator[LongPrompt]:
    """Yield each prompt of the planned images that exceeds the text encoder's limit."""
    for position, cell in enumerate(plan.cells):
        for each in plan.prompts(position) if cell.num_to_generate else ():
            kept = shorten(each.text)
            if kept != each.text:
                parts = _required_parts(plan, position, each.phrases)
                lost = [part for part in parts if _has(each.text, part) and not _has(kept or "", part)]
                yield LongPrompt(cell.name, each.text, kept, lost[0] if lost else "" if kept else each.text)


def prompt_notes(plan: Plan, shorten: Shorten) -> list[str]:
    """Return a sentence on prompts that are too long and their effect on ``generate``; empty if all fit."""
    long = list(long_prompts(plan, shorten))
    if not long:
        return []
    if cut := next((each for each in long if each.lost), None):
        return [f"{_cut(cut)} `generate` will reject it. {WAY_OUT}"]
    return [TOO_LONG.format(number=len(long), prompt=long[0].prompt, shortened=long[0].shortened)]


def check_prompt_length(plan: Plan, shorten: Shorten) -> None:
    """Check that the class and attribute of every prompt reach the text encoder.

    Raises:
        OptionError: a class or an attribute would be cut.
    """
    if cut := next((each for each in long_prompts(plan, shorten) if each.lost), None):
        raise OptionError(f"{_cut(cut)} {WAY_OUT}")


def _cut(long: LongPrompt) -> str:
    return CUT.format(prompt=long.prompt, part=long.lost, cell=long.cell)


def _required_parts(plan: Plan, position: int, phrases: Phrases) -> list[str]:
    """Return the words that a prompt of this class or group must contain."""
    cell, options = plan.cells[position], plan.options
    parts = [dict(phrases).get(CLASS_SPREAD) or readable_name(plan.class_names[cell.label], options.aliases)]
    if cell.attribute >= 0:
        attribute = plan.attribute_names[cell.attribute]
        parts.append(readable_name(attribute, options.aliases))
        # an article before a placeholder depends on the word that replaces it
        pieces = re.split(r"(?:\b[Aa]n?\s+)?\{[^{}]*\}", phrase_of(attribute, options.attribute_phrases) or "")
        parts += [piece.strip(" ,;.") for piece in pieces]
    return [words for part in parts if (words := " ".join(part.split()))]


def _has(text: str, part: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
