"""Pairs of images that occur twice where that does harm, as the report shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

Pairs = Mapping[tuple[str, str], tuple[Image.Image, Image.Image]]
_KINDS = {
    "leaked": "Test or validation images that are equal or nearly equal to training images",
    "two_labels": "Images that are equal or nearly equal to images of another class",
}


@dataclass(frozen=True)
class ShownPair:
    """Two images side by side: the held-out one and its twin in training, or two of different classes."""

    names: tuple[str, str]
    images: tuple[Image.Image, Image.Image]
    relation: str


def duplicate_pairs(report: Mapping[str, Any], images: Pairs) -> list[tuple[str, list[ShownPair]]]:
    """Return the examples of each kind of duplicates with a title; pairs without images are left out."""
    found = report["data"].get("duplicates") or {}
    shown = []
    for kind, title in _KINDS.items():
        pairs = []
        for pair in found.get(kind) or ():
            names = (str(pair["first"]), str(pair["second"]))
            if names in images:
                pairs.append(ShownPair(names, images[names], "equal" if pair["is_equal"] else "nearly equal"))
        if pairs:
            shown.append((title, pairs))
    return shown
