"""Recognize the usual names of splits, and of the parts in which large sets are distributed."""

from __future__ import annotations

import re
from collections.abc import Mapping

_KEYWORDS = {
    "train": ("train", "training", "trn", "trainval"),
    "validation": ("val", "valid", "validation", "dev", "devel", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout"),
}
_SPLIT_OF = {word: split for split, words in _KEYWORDS.items() for word in words}
SPLIT_NAMES = ("train", "validation", "test")  # as listed in messages
SPLIT_NUMBERS = {"0": "train", "1": "validation", "2": "test"}
NOT_READ = "none"  # the split option value for skipping
_DECORATIONS = frozenset((
    "set", "split", "sets", "splits", "data", "dataset", "images", "image", "imgs", "img", "pics", "pictures",
    "photos", "seg", "part", "pt", "folder", "dir", "subset", "final", "full", "the", "my", "new", "resized",
    "cropped", "processed", "jpg", "jpeg", "png",
))  # fmt: skip
_GLUED = re.compile(r"(.+?)(set|split|data|images|imgs|folder)$")
_UNLABELED = frozenset((
    "unlabeled", "unlabelled", "unsupervised", "pred", "predict", "prediction", "predictions", "submission",
))  # fmt: skip
_PART = re.compile(
    r"(part|pt|chunk|shard|batch|images|imgs|archive|zip|volume|vol|disc|disk)s?[\W_]*\d+", re.IGNORECASE
)
_PART_AFTER = re.compile(r".+[\W_](part|pt|chunk|shard|batch)[\W_]*\d+", re.IGNORECASE)


def split_of(name: str, given: Mapping[str, str] | None = None) -> str | None:
    """Return the split that a folder name or column value stands for, or None.

    Args:
        name: such as ``Training``, ``seg_train``, ``valid_set``, ``test2017`` or ``train_part1``.
        given: the user's own mapping of names; it overrides the usual meaning.

    >>> split_of("seg_train"), split_of("Valid Set"), split_of("test2017"), split_of("trainset")
    ('train', 'validation', 'test', 'train')
    >>> split_of("bullet_train"), split_of("test-tube"), split_of("devon rex")
    (None, None, None)
    """
    if given and name in given:
        return given[name]
    tokens = _tokens(name)
    found = [token for token in tokens if token in _SPLIT_OF]
    if len(found) == 1 and all(token in _DECORATIONS for token in tokens if token != found[0]):
        return _SPLIT_OF[found[0]]
    if tokens == ["held", "out"]:
        return "test"
    glued = _GLUED.fullmatch(tokens[0]) if len(tokens) == 1 else None
    return _SPLIT_OF.get(glued[1]) if glued else None


def is_unlabeled_name(name: str) -> bool:
    """Return whether a name indicates images without labels.

    >>> is_unlabeled_name("seg_pred"), is_unlabeled_name("unlabelled"), is_unlabeled_name("cat")
    (True, True, False)
    """
    tokens = _tokens(name)
    return any(token in _UNLABELED for token in tokens) and all(token in _UNLABELED | _DECORATIONS for token in tokens)


def is_part_name(name: str) -> bool:
    """Return whether a folder is named like one of several parts of a set.

    >>> is_part_name("part2"), is_part_name("images_001"), is_part_name("birds-part-3"), is_part_name("class_1")
    (True, True, True, False)
    """
    return bool(_PART.fullmatch(name) or _PART_AFTER.fullmatch(name))


def _tokens(name: str) -> list[str]:
    return [token for token in re.split(r"[^a-z]+", name.casefold()) if token]
