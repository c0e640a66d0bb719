"""Recognize ambiguous class names, so that a person can choose the meaning before images are generated."""

from __future__ import annotations

from collections.abc import Mapping

from synaug.synthesis.planning.names.plurals import singular
from synaug.synthesis.planning.prompting import readable_name

PLAINER: dict[str, tuple[str, ...]] = {
    # classes of CIFAR, ImageNet and other well-known sets: the possible meanings, in words that a model gets right
    "admiral": ("red admiral butterfly", "navy admiral"),
    "apple": ("apple fruit",),
    "bass": ("bass fish", "bass guitar"),
    "bat": ("bat animal", "baseball bat"),
    "boa": ("boa constrictor", "feather boa"),
    "bow": ("ribbon bow", "archery bow"),
    "boxer": ("boxer dog", "boxing athlete"),
    "cairn": ("cairn terrier", "stone cairn"),
    "can": ("tin can",),
    "cardigan": ("Cardigan Welsh corgi", "cardigan sweater"),
    "chow": ("chow chow dog",),
    "cock": ("rooster",),
    "corn": ("ear of corn", "corn field"),
    "crane": ("crane bird", "construction crane"),
    "cricket": ("cricket insect", "cricket match"),
    "drake": ("male duck", "dragon"),
    "drill": ("power drill", "drill monkey"),
    "drumstick": ("chicken drumstick", "drum stick"),
    "ear": ("ear of corn", "human ear"),
    "file": ("filing cabinet", "metal file"),
    "fly": ("fly insect",),
    "hammerhead": ("hammerhead shark", "hammer head"),
    "hip": ("rose hip", "human hip"),
    "hog": ("domestic pig", "wild hog"),
    "iron": ("clothes iron", "iron bar"),
    "jay": ("jay bird",),
    "jersey": ("sports jersey", "Jersey cow"),
    "kite": ("kite bird of prey", "toy kite"),
    "leopard": ("leopard animal",),
    "liner": ("ocean liner",),
    "loafer": ("loafer shoe", "loaf of bread"),
    "maillot": ("one-piece swimsuit", "cycling jersey"),
    "mink": ("mink animal", "mink fur coat"),
    "monarch": ("monarch butterfly", "king"),
    "monitor": ("computer monitor", "monitor lizard"),
    "mortar": ("mortar and pestle", "mortar cannon"),
    "mouse": ("mouse animal", "computer mouse"),
    "nail": ("metal nail", "fingernail"),
    "orange": ("orange fruit",),
    "organ": ("pipe organ", "human organ"),
    "palm": ("palm tree", "palm of a hand"),
    "peach": ("peach fruit",),
    "pick": ("guitar pick", "pickaxe"),
    "pitcher": ("water pitcher", "baseball pitcher"),
    "plain": ("grassland plain",),
    "plane": ("airplane", "carpenter's plane"),
    "plate": ("dinner plate", "metal plate"),
    "punch": ("bowl of punch", "hole punch"),
    "racer": ("race car", "racer snake"),
    "ram": ("male sheep", "memory module"),
    "ray": ("stingray fish", "ray of light"),
    "ringlet": ("ringlet butterfly", "ringlet of hair"),
    "robin": ("robin bird",),
    "rule": ("measuring ruler",),
    "safe": ("steel safe for valuables",),
    "scale": ("weighing scale", "fish scale"),
    "seal": ("seal animal", "wax seal"),
    "sorrel": ("sorrel horse", "sorrel plant"),
    "spindle": ("spindle for spinning thread",),
    "stole": ("stole shawl",),
    "swallow": ("swallow bird",),
    "switch": ("electric light switch", "network switch"),
    "tabby": ("tabby cat",),
    "tank": ("army tank", "water tank"),
    "tick": ("tick arachnid", "check mark"),
    "titi": ("titi monkey",),
    "toy terrier": ("toy terrier dog",),
    "trunk": ("tree trunk", "elephant's trunk", "car trunk"),
    "turkey": ("turkey bird", "roast turkey"),
    "vault": ("vaulted ceiling", "bank vault"),
    "washer": ("washing machine", "metal washer"),
    "wing": ("aircraft wing", "bird's wing"),
}


_SHOWN = 8


def name_warnings(
    class_names: Mapping[str, str], *, aliases: Mapping[str, str], definitions: Mapping[str, str] | None = None
) -> list[str]:
    """Return a sentence per class whose prompt name is ambiguous or shared with another class.

    Another sentence lists all names that seem to be plurals.

    Args:
        class_names: class -> its name in prompts.
        aliases: names chosen by the user; they are not questioned.
        definitions: class -> its meaning, if known.

    >>> name_warnings({"crane": "crane", "bag": "bag"}, aliases={})
    ["'crane' is ambiguous; choose a meaning with an alias: crane: crane bird, or crane: construction crane."]
    """
    said = []
    for class_name, called in class_names.items():
        if class_name in aliases or called.lower() not in PLAINER:
            continue
        meant = (definitions or {}).get(class_name)
        known = f" (meant: {meant})" if meant else ""
        ways = ", or ".join(f"{class_name}: {plainer}" for plainer in PLAINER[called.lower()])
        said.append(f"{called!r}{known} is ambiguous; choose a meaning with an alias: {ways}.")
    undecided = {
        name: called for name, called in class_names.items() if name not in aliases and name not in (definitions or {})
    }
    return said + _plurals(undecided) + _shared_names(class_names)


def _plurals(class_names: Mapping[str, str]) -> list[str]:
    """Return a sentence listing classes named by a plural, since prompts put "a" before the name."""
    found = {}
    for class_name, called in class_names.items():
        *before, last = called.split(" ") or [""]
        if one := singular(last):
            found[class_name] = " ".join([*before, one])
    if not found:
        return []
    first = next(iter(found))
    ways = ", ".join(f"{class_name}: {one}" for class_name, one in list(found.items())[:_SHOWN])
    more = f", and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return [f"Prompts say 'a {class_names[first]}'; give plurals a singular alias: {ways}{more}."]


def _shared_names(class_names: Mapping[str, str]) -> list[str]:
    """Return a sentence per name shared by several classes, whose images would be indistinguishable."""
    by_name: dict[str, list[str]] = {}
    for class_name, called in class_names.items():
        by_name.setdefault(called.lower(), []).append(class_name)
    return [
        f"Prompts call {' and '.join(classes)} all {called!r}, so their images will look alike; give them aliases."
        for called, classes in by_name.items()
        if len(classes) > 1
    ]


def names_in_prompts(class_names: tuple[str, ...], aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the prompt name of each class.

    >>> names_in_prompts(("ankle_boot", "n01440764"), {"n01440764": "tench"})
    {'ankle_boot': 'ankle boot', 'n01440764': 'tench'}
    """
    return {name: readable_name(name, aliases) for name in class_names}
