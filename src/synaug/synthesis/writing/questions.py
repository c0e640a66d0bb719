"""The questions to a language model: to write prompts of a class, or to describe images of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SYSTEM = (
    "You write captions of single photographs. Answer with captions only, one per line, without numbers or comments."
)
DESCRIBE = (
    "These are photographs of the class '{name}'. In at most 40 words, describe how they were taken: viewpoint, "
    "distance, background, light, color. Do not name other objects."
)
_ASK = (
    "Write {number} different captions of photographs. Each shows one {name}{phrases} and contains the words "
    "'{name}'{words}. Vary kind, color, place, light and viewpoint. At most 25 words each."
)
_LOOK = " The photographs should look like this: {description}"
_KNOWN = " Do not repeat these: {known}."
_SHOWN = 5


def question(
    name: str, *, number: int, phrases: Mapping[str, str], description: str = "", known: Sequence[str] = ()
) -> str:
    """Return the question for a model that follows instructions.

    Args:
        name: name of the class in prompts.
        number: number of captions.
        phrases: phrase that each caption must contain, by attribute.
        description: how the training images look.
        known: existing captions, of which the last are listed.
    """
    phrase_list = "".join(f", {axis} '{phrase}'" for axis, phrase in phrases.items())
    words = "".join(f" and '{phrase}'" for phrase in phrases.values())
    text = _ASK.format(number=number, name=name, phrases=phrase_list, words=words)
    text += _LOOK.format(description=description) if description else ""
    return text + (_KNOWN.format(known="; ".join(known[-_SHOWN:])) if known else "")


def beginning(name: str, *, phrases: Mapping[str, str], description: str = "", known: Sequence[str] = ()) -> str:
    """Return the text that a model without a chat template continues: a list of captions."""
    phrase_list = "".join(f", {phrase}" for phrase in phrases.values())
    look = f" {description}" if description else ""
    first = known[-_SHOWN:] or [f"a photo of a {name}{phrase_list}"]
    return f"Captions of photographs of a {name}{phrase_list}.{look}\n" + "".join(f"- {each}\n" for each in first) + "-"
