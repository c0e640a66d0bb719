"""Turn class names, modifiers and attributes into prompts: text only, without models or files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from synaug.data.labels import BETWEEN
from synaug.errors import unknown

MODIFIERS = (
    "", "bright", "dark", "small", "large", "simple", "detailed", "typical", "unusual", "clean", "clear",
    "close-up", "cropped", "good", "new", "old", "nice", "sharp", "soft", "vivid", "natural",
)  # fmt: skip
DEFAULT_PHRASE = "{class}, {attribute}"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ARTICLE = re.compile(r"\b([Aa])n?(?=\s+\{)")
_MARK = "\x00"  # follows an article whose form depends on the next word
_NUMBERED = re.compile(r"^(?:n\d{8}[ ._-]+|\d+\.\s*(?=\D)|0\d*[ _-]+)(?=\S)")  # n01440764_tench, 7.Tern, 007_Tern
_CAMEL = re.compile(r"[A-Z]?[a-z]{2,}(?:[A-Z][a-z]+)+")
_VOWEL = re.compile(r"[aeiou]|hour|honest|heir|honou?r|8|1[18](?!\d)", re.IGNORECASE)
_CONSONANT = re.compile(r"uni(?![nmd])|us[abeiu]|u[tr]e|u[ak]|u-|eu|ew|one\b|once\b|ufo\b", re.IGNORECASE)
_SPELLED = re.compile(r"[AEFHILMNORSX](?![^\W\d_])|(?:[FHLMNRSX][B-DF-HJ-NP-TV-Z]+|SUV|MRI|LED|MP3|mp3)\b|x-ray")


def prompt(
    template: str,
    *,
    class_name: str,
    modifier: str = "",
    attribute_phrase: str | None = None,
    attribute: str | None = None,
    phrases: Mapping[str, str] | None = None,
) -> str:
    """Return the template with placeholders replaced, whitespace collapsed and articles corrected.

    Args:
        template: text with ``{modifier}``, ``{class}`` and ``{attribute}``.
        class_name: name of the class in the prompt.
        modifier: a word, or empty.
        attribute_phrase: the class with its attribute, such as ``"red {class}"``; without it, the attribute follows the
            class, unless the template has a placeholder for it.
        attribute: name of the attribute in the prompt.
        phrases: additional phrases by name; those without a placeholder follow the class.

    Raises:
        OptionError: the template or the phrase has an unknown placeholder.

    >>> prompt("a photo of a {modifier} {class}", class_name="ankle boot", modifier="")
    'a photo of an ankle boot'
    >>> prompt("a {class}", class_name="bag", attribute_phrase="orange {class} on water")
    'an orange bag on water'
    >>> prompt("a {class}", class_name="bag", phrases={"background": "on land"})
    'a bag on land'
    """
    further = dict(phrases or {})
    given = further | {"class": class_name, "modifier": modifier, "attribute": attribute or ""}
    words = {name: word.replace(_MARK, "") for name, word in given.items()}
    if attribute_phrase is None and attribute and "{attribute}" not in template:
        attribute_phrase = DEFAULT_PHRASE
    if attribute_phrase is not None:
        words["class"] = _replaced(attribute_phrase, {name: words[name] for name in ("class", "attribute", *further)})
    texts = f"{template} {attribute_phrase or ''}"
    behind = [words[name] for name in further if f"{{{name}}}" not in texts]
    words["class"] += "".join(phrase if phrase.startswith(",") else f" {phrase}" for phrase in behind)
    return _with_articles(" ".join(_replaced(template, words).split()))


def phrase_of(attribute: str, phrases: Mapping[str, str]) -> str | None:
    """Return the phrase of an attribute value; that of a combination of attributes from the phrases of its parts.

    >>> phrase_of("f & old", {"f": "female {class}", "old": "old {class}"}), phrase_of("f & old", {"m": "male {class}"})
    ('old female {class}', None)
    """
    parts = attribute.split(BETWEEN)
    if attribute in phrases or not phrases.keys() & set(parts):
        return phrases.get(attribute)
    phrase = "{class}"
    for part in parts:
        phrase = phrases.get(part, f"{{class}}, {part}").replace("{class}", phrase)
    return phrase


def readable_name(name: str, aliases: Mapping[str, str] | None = None) -> str:
    """Return the prompt name of a class: its alias, or its data set name made readable.

    >>> [readable_name(name) for name in ("ankle_boot", "AnkleBoot", "n01440764_tench", "001.Sooty_Tern")]
    ['ankle boot', 'ankle boot', 'tench', 'Sooty Tern']
    >>> readable_name("n01440764", {"n01440764": "tench"})
    'tench'
    """
    if aliases and name in aliases:
        return aliases[name]
    words = _NUMBERED.sub("", name).replace("_", " ").replace("/", " or ")
    words = _CAMEL.sub(lambda match: _split_camel(match.group()), words)
    return " ".join(words.split())


def _split_camel(word: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word).lower()


def _replaced(text: str, words: Mapping[str, str]) -> str:
    """Replace each placeholder once; placeholders inside the inserted words are left alone."""

    def word(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in words:
            raise unknown("placeholder", f"{{{name}}}", [f"{{{each}}}" for each in words])
        return words[name]

    return _PLACEHOLDER.sub(word, _ARTICLE.sub(rf"\g<1>{_MARK}", text))


def _with_articles(text: str) -> str:
    """Replace the marked articles by ``a`` or ``an``, depending on the next word."""

    def article(match: re.Match[str]) -> str:
        return match.group(1) + ("n " if _starts_with_vowel(match.group(2)) else " ") + match.group(2)

    return re.sub(rf"([Aa]){_MARK} (\S+)", article, text).replace(_MARK, "")


def _starts_with_vowel(word: str) -> bool:
    """Return whether a word starts with a vowel sound, by rules and the most common exceptions.

    >>> [_starts_with_vowel(word) for word in ("apple", "hour", "unicorn", "X-ray", "Étagère")]
    [True, True, False, True, True]
    """
    plain = unicodedata.normalize("NFD", word)
    return bool(_SPELLED.match(plain) or (_VOWEL.match(plain) and not _CONSONANT.match(plain)))
