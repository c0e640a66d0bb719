"""Choose the scorer of the gate ``off_class``, and find the classes that it cannot judge."""

from __future__ import annotations

from collections.abc import Mapping

from synaug.config import QualityOptions

LEAST_IMAGES = {"classifier": 10, "pretrained": 4, "clip": 0}
"""Real images per class that each scorer needs; with fewer, it can hardly recognize the class."""
_LEAST_SIDE = 64  # pixels: smaller images have little for pretrained features to recognize


def chosen_name(quality: QualityOptions, *, side: int, mode: str, has_clip: bool, has_network: bool) -> str:
    """Return the scorer for ``quality.scorer: auto``; any other choice is returned unchanged.

    Photographs, i.e. color images of at least 64 pixels, are judged by CLIP if its weights are on this machine,
    otherwise by a pretrained network if one is; all other images are judged by the classifier of thumbnails.

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
    """Return the classes whose images the scorer cannot judge, with their numbers of real images.

    >>> classes_without_judge(QualityOptions(scorer="classifier"), {"cat": 48, "motorcycle": 4})
    {'motorcycle': 4}
    """
    if "off_class" not in quality.gates:
        return {}
    least = LEAST_IMAGES.get(quality.scorer, LEAST_IMAGES["classifier"])
    return {name: number for name, number in class_counts.items() if number < least}
