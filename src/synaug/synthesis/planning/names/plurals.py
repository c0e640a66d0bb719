"""Guess the singular of likely English plurals, for a person to confirm."""

from __future__ import annotations

import re

_NO_PLURAL_OF_ONE = {
    *("binoculars", "clothes", "cosmos", "gas", "atlas", "canvas", "christmas", "jeans", "lens", "leggings", "news"),
    *("overalls", "pants", "pliers", "pyjamas", "scissors", "series", "shorts", "species", "sunglasses", "tights"),
    *("tongs", "trousers", "trunks", "tweezers"),
}
_IRREGULAR = {
    "calves": "calf", "children": "child", "feet": "foot", "geese": "goose", "knives": "knife", "leaves": "leaf",
    "loaves": "loaf", "men": "man", "mice": "mouse", "people": "person", "scarves": "scarf", "shelves": "shelf",
    "teeth": "tooth", "thieves": "thief", "wolves": "wolf", "women": "woman",
}  # fmt: skip
_TAKES_ES = re.compile(r"(ch|sh|x|ss|zz|tomato|potato|bus|gas|lens|virus|opus|walrus|cactus)es$")
_NO_PLURAL_ENDING = re.compile(r"(ss|us|is|'s)$")


def singular(word: str) -> str | None:
    """Return the singular of a likely English plural, otherwise None.

    >>> [singular(word) for word in ("Birds", "boxes", "berries", "glasses", "houses", "mice")]
    ['Bird', 'box', 'berry', 'glass', 'house', 'mouse']
    >>> [singular(word) for word in ("dress", "cactus", "trousers", "species", "gas", "fish", "cat")]
    [None, None, None, None, None, None, None]
    """
    lower = word.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if lower in _NO_PLURAL_OF_ONE or _NO_PLURAL_ENDING.search(lower) or not re.search(r"[a-z]{3}s$", lower):
        return None
    if re.search(r"[^aeiou]ies$", lower) and len(word) > 5:
        return f"{word[:-3]}y"
    return word[:-2] if _TAKES_ES.search(lower) else word[:-1]
