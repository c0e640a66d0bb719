"""Pair the images of harmful duplicates, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from synaug.schemas import Report

Pairs = Mapping[tuple[str, str], tuple[Image.Image, Image.Image]]
_LEAKED = "Test or validation images that are equal or nearly equal to training images"
_TWO_LABELS = "Images that are equal or nearly equal to images of another class"


@dataclass(frozen=True)
class ShownPair:
    """Two images side by side: the held-out one and its twin in training, or two of different classes."""

    names: tuple[str, str]
    images: tuple[Image.Image, Image.Image]
    relation: str


def duplicate_pairs(report: Report, images: Pairs) -> list[tuple[str, list[ShownPair]]]:
    """Return the examples of each kind of duplicates with a title; pairs without images are left out."""
    found = report["data"].get("duplicates") or {}
    shown = []
    for title, examples in ((_LEAKED, found.get("leaked")), (_TWO_LABELS, found.get("two_labels"))):
        pairs = []
        for pair in examples or ():
            names = (str(pair["first"]), str(pair["second"]))
            if names in images:
                pairs.append(ShownPair(names, images[names], "equal" if pair["is_equal"] else "nearly equal"))
        if pairs:
            shown.append((title, pairs))
    return shown
