"""Which scorer the gate ``off_class`` asks, and of which classes that scorer cannot judge an image."""

from __future__ import annotations

from collections.abc import Mapping

from synaug.config import QualityOptions

LEAST_IMAGES = {"classifier": 10, "pretrained": 4, "clip": 0}
"""Real images of a class that each scorer needs to learn it: with fewer, it recognizes next to nothing of the class."""
_LEAST_SIDE = 64  # pixels: smaller images hold little that pretrained features could recognize


def chosen_name(quality: QualityOptions, *, side: int, mode: str, has_clip: bool, has_network: bool) -> str:
    """Return the scorer that ``quality.scorer: auto`` stands for; another choice as it is.

    Photographs, which are color images of 64 pixels and more, are judged by CLIP if its weights are on this machine,
    else by a pretrained network if one is; all other images by the classifier of thumbnails.

    >>> chosen_name(QualityOptions(), side=96, mode="RGB", has_clip=False, has_network=True)
    'pretrained'
    >>> chosen_name(QualityOptions(), side=28, mode="L", has_clip=True, has_network=True)
    'classifier'
    """
    if quality.scorer != "auto":
        return quality.scorer
    if side < _LEAST_SIDE or mode != "RGB" or "off_class" not in quality.gates:
        return "classifier"
    return "clip" if has_clip else "pretrained" if has_network else "classifier"


def classes_without_judge(quality: QualityOptions, class_counts: Mapping[str, int]) -> dict[str, int]:
    """Return the classes, with their numbers of real images, of which the scorer cannot judge an image.

    >>> classes_without_judge(QualityOptions(scorer="classifier"), {"cat": 48, "motorcycle": 4})
    {'motorcycle': 4}
    """
    if "off_class" not in quality.gates:
        return {}
    least = LEAST_IMAGES.get(quality.scorer, LEAST_IMAGES["classifier"])
    return {name: number for name, number in class_counts.items() if number < least}
