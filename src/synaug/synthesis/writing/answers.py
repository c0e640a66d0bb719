"""Extract prompts from the answer of a language model: its text is data, and each line is kept or rejected."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MIN_WORDS, MAX_WORDS, MAX_CHARACTERS = 2, 60, 400
MAX_ANSWER = 200_000  # characters that are read
_FENCE = re.compile(r"^```[a-z]*\s*$", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,4}[.):\]])\s+")
_QUOTES = "\"'`“”‘’«»"
_LEAK = re.compile(
    r"\b(?:as an? (?:ai|language model)|(?:sure|certainly|of course)[,!]|here (?:are|is|you)\b|sorry\b|please\b"
    r"|i (?:can ?not|can't|am|will|would)\b|prompts?\b|instructions?\b|one per line|image generator|text-to-image"
    r"|ignore (?:all|previous)|(?:user|assistant|system)\s*:|https?:|www\.)|\*\*\*",
    re.IGNORECASE,
)
_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_MARKUP = re.compile(r"[{}<>\[\]|\\=#$]|```")


@dataclass(frozen=True)
class Wanted:
    """The words that each prompt of an answer must contain, and those that it must not.

    Args:
        names: names of the class; a prompt must contain one of them.
        others: names of other classes; a prompt must contain none of them, or its image would show two classes.
        phrases: phrases that it must contain, one per attribute, such as a background.
        other_phrases: phrases of the same attributes in other prompts; it must contain none of them.
    """

    names: tuple[str, ...]
    others: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    other_phrases: tuple[str, ...] = ()


def parsed(text: str, wanted: Wanted, seen: set[str], rejected: Counter[str]) -> list[str]:
    r"""Return the prompts of an answer that are new, and count the rejected lines by reason.

    A prompt that lacks one of the wanted phrases gets it at its end.

    Args:
        text: a JSON list of texts, or one prompt per line, possibly numbered or quoted.
        wanted: the words that a prompt must contain.
        seen: ``distinct_form`` of the prompts so far; new ones are added.
        rejected: reason -> number; added to.

    >>> parsed("Sure, here are two:\n1. a red cat\n2. A red cat.\n- a dog", Wanted(("cat",)), set(), Counter())
    ['a red cat']
    """
    found = []
    for line in lines(text[:MAX_ANSWER]):
        reason = fault(line, wanted)
        prompt = line if reason else _with_phrases(line, wanted.phrases)
        form = distinct_form(prompt)
        if not reason and form in seen:
            reason = "repeated"
        if reason:
            rejected[reason] += 1
        else:
            seen.add(form)
            found.append(prompt)
    return found


def lines(text: str) -> Iterator[str]:
    """Yield the entries of a JSON list of texts, or the lines, without numbers, bullets and quotes."""
    body = "\n".join(line for line in text.splitlines() if not _FENCE.match(line.strip()))
    for line in _json_texts(body) or body.splitlines():
        plain = " ".join(_BULLET.sub("", line).split()).strip(_QUOTES).strip()
        if plain:
            yield plain.rstrip(".,;").strip(_QUOTES)


def _json_texts(text: str) -> list[str]:
    start, end = text.find("["), text.rfind("]")
    if not 0 <= start < end:
        return []
    try:
        content = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return []
    return content if isinstance(content, list) and content and all(isinstance(each, str) for each in content) else []


def fault(line: str, wanted: Wanted) -> str:
    """Return why a line is not a prompt of the class; empty if it is one.

    >>> fault("a cat on a sofa", Wanted(("cat",))), fault("a cat and a dog", Wanted(("cat",), ("dog",)))
    ('', 'other_class')
    """
    words = line.split()
    rest = _without(line, wanted.names)
    if any(map(_is_unprintable, line)) or _MARKUP.search(rest):
        return "markup"
    if _LEAK.search(rest) or line.endswith((":", "?")):
        return "instruction"
    if not MIN_WORDS <= len(words) <= MAX_WORDS or len(line) > MAX_CHARACTERS:
        return "length"
    if any(first == second == third for first, second, third in zip(words, words[1:], words[2:], strict=False)):
        return "repetition"
    if rest == line:
        return "no_class"
    for name in wanted.others:
        if contains(_without(line, [own for own in wanted.names if contains(own, name)]), name):
            return "other_class"
    rest = _without(rest, wanted.phrases)
    return "other_phrase" if any(contains(rest, phrase) for phrase in wanted.other_phrases) else ""


def _without(line: str, names: Sequence[str]) -> str:
    """Return the line without the names: "house cat" contains "cat", which may be another class."""
    for name in names:
        line = _pattern(name).sub(" ", line)
    return line


def _is_unprintable(letter: str) -> bool:
    """Return whether a letter is a control character, unassigned, or reverses the direction of text."""
    return unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") or unicodedata.bidirectional(letter) in _TURNS


def contains(text: str, name: str) -> bool:
    """Return whether a text contains a name, possibly followed by a plural s.

    >>> contains("Two Ankle  boots", "ankle boot"), contains("a category", "cat")
    (True, False)
    """
    return _pattern(name).search(text) is not None


def _pattern(name: str) -> re.Pattern[str]:
    words = r"[\s_-]+".join(map(re.escape, name.split()))
    return re.compile(rf"(?<!\w){words}(?:e?s)?(?!\w)", re.IGNORECASE)


def distinct_form(prompt: str) -> str:
    """Return the text by which two prompts are compared: letters and digits only, without case.

    >>> distinct_form("A red cat!") == distinct_form("a red  Cat")
    True
    """
    return " ".join(re.findall(r"\w+", prompt.casefold()))


def _with_phrases(prompt: str, phrases: Sequence[str]) -> str:
    return ", ".join([prompt, *(phrase for phrase in phrases if not contains(prompt, phrase))])


def other_names(names: Mapping[str, tuple[str, ...]], class_name: str) -> tuple[str, ...]:
    """Return the names of all other classes that are not a name of this one."""
    own = {name.casefold() for name in names[class_name]}
    others = (name for other, each in names.items() if other != class_name for name in each)
    return tuple(dict.fromkeys(name for name in others if name.casefold() not in own))
