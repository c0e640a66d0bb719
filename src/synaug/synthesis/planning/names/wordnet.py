"""Name ImageNet classes given as WordNet ids such as n01440764, using the tables in timm."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from synaug.errors import OptionError
from synaug.synthesis.planning.names.ambiguous_names import PLAINER

SYNSET = re.compile(r"n\d{8}")
_SHOWN = 5


@dataclass(frozen=True)
class Synset:
    """The meaning of a WordNet id: its names, most common first, and its definition."""

    lemmas: tuple[str, ...]
    definition: str

    @property
    def name(self) -> str:
        """The first name or, if that is ambiguous, a longer one that contains it.

        >>> Synset(("mouse", "computer mouse"), "").name, Synset(("tench", "Tinca tinca"), "").name
        ('computer mouse', 'tench')
        """
        first = self.lemmas[0]
        if first.lower() not in PLAINER:
            return first
        longer = (lemma for lemma in self.lemmas[1:] if first.lower() in lemma.lower().split())
        return next(longer, first)


def synsets(class_names: Iterable[str]) -> dict[str, Synset]:
    """Return the meanings of those class names that are WordNet ids; timm is loaded only if there are any.

    >>> synsets(["bag", "n01440764"])["n01440764"].name
    'tench'
    """
    wanted = [name for name in class_names if SYNSET.fullmatch(name)]
    if not wanted:
        return {}
    from timm.data import ImageNetInfo

    table = ImageNetInfo("imagenet-22k")
    found = {}
    for name in wanted:
        try:
            lemmas, _, definition = table.label_name_to_description(name, detailed=True).partition(": ")
        except KeyError:
            continue
        found[name] = Synset(tuple(lemmas.split(", ")), definition)
    return found


def check_all_named(class_names: Iterable[str], known: Iterable[str]) -> None:
    """Raise an OptionError for WordNet ids that neither the tables nor the aliases can name."""
    unknown = sorted({name for name in class_names if SYNSET.fullmatch(name)} - set(known))
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise OptionError(
            f"{len(unknown)} classes look like WordNet ids but are not in ImageNet, so prompts cannot name them: "
            f"{', '.join(unknown[:_SHOWN])}{more}. Give each an alias: --aliases FILE.csv with the columns class and "
            "name, or plan.aliases in the recipe."
        )
