"""Recognize which folders are classes, splits or parts, and which merely wrap them.

Nothing is guessed silently: the layout is described, and an ambiguous tree is an error that names the options to
resolve it, ``data.layout`` and ``data.splits``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from synaug.data.formats.folders.split_names import NOT_READ, SPLIT_NAMES, is_part_name, is_unlabeled_name, split_of
from synaug.data.formats.folders.tree import ImageTree
from synaug.data.manifest import SPLITS
from synaug.errors import DataError
from synaug.runtime import agreeing, counted

DECIDE = "To decide, use --layout classes or splits (data.layout), or name splits with --splits {}={} (data.splits)."
_IN_NO_CLASS = "lies in no class folder"
_SHOWN = 4


@dataclass(frozen=True)
class ClassFolder:
    """A folder whose images have one class and split."""

    split: str
    label: str
    place: str


@dataclass
class Layout:
    """The class folders of a tree, a description of the levels above them, and notes."""

    classes: list[ClassFolder] = field(default_factory=list)
    description: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def recognized_layout(
    tree: ImageTree, *, layout: Literal["auto", "classes", "splits"] = "auto", splits: Mapping[str, str] | None = None
) -> Layout:
    """Return the class folders of a tree.

    Args:
        tree: the folders and images.
        layout: meaning of the top folders; ``auto`` recognizes it.
        splits: folder name -> split, or ``none`` to skip it.

    Raises:
        DataError: there are no class folders, or it is ambiguous which they are; the message lists what was found and
            the options to decide.
    """
    found = Layout()
    place = "" if layout != "auto" else _without_wrappers(tree, "", found)
    tops = _read_tops(tree, place, splits or {}, found)
    if layout == "classes":
        _add_classes(tree, found, "train", place, tops)
    elif layout == "splits":
        _add_splits(tree, found, place, _all_splits(tree, tops, splits or {}))
    else:
        _recognize(tree, found, place, tops, splits or {})
    if not found.description:
        found.description.append("a folder per class")
    return found


def _without_wrappers(tree: ImageTree, place: str, found: Layout) -> str:
    """Return the place inside any folders that merely wrap the classes."""
    while not tree.images(place):
        inner = [name for name in tree.folders(place) if tree.has_images(os.path.join(place, name))]
        if len(inner) != 1:
            break
        within = os.path.join(place, inner[0])
        if tree.images(within) or not tree.folders(within):
            break
        found.description.append(f"inside the folder {within!r}")
        place = within
    return place


def _read_tops(tree: ImageTree, place: str, splits: Mapping[str, str], found: Layout) -> list[str]:
    """Return the subfolders of a place except those the user excludes; count loose images as skipped."""
    tops = []
    for name in tree.folders(place):
        if splits.get(name) == NOT_READ:
            tree.leave_out("is in a folder that data.splits leaves out", tree.below(os.path.join(place, name)))
        else:
            tops.append(name)
    loose = tree.images(place)
    if loose and tops:
        tree.leave_out(_IN_NO_CLASS, loose)
        found.notes.append(
            f"{counted(len(loose), 'image')} "
            f"{agreeing(len(loose), 'lies', 'lie')} beside the class folders and "
            f"{agreeing(len(loose), 'is', 'are')} not read, first {loose[0]!r}."
        )
    return tops


def _recognize(tree: ImageTree, found: Layout, place: str, tops: list[str], splits: Mapping[str, str]) -> None:
    deep = [name for name in tops if _is_deep(tree, os.path.join(place, name))]
    above = [name for name in deep if split_of(name, splits) not in (None, NOT_READ)]
    given = [name for name in tops if name in splits]
    if above or given:
        _add_splits(tree, found, place, _split_folders(tree, found, place, tops, above, splits))
    elif deep and len(deep) == len([name for name in tops if tree.has_images(os.path.join(place, name))]) > 1:
        _recognize_deep(tree, found, place, deep, splits)
    else:
        _refuse_flat_parts(tree, place, tops)
        _refuse_flat_splits(tree, place, tops)
        _add_classes(tree, found, "train", place, tops)


def _is_deep(tree: ImageTree, place: str) -> bool:
    """Return whether a folder has images only in its subfolders, none of its own."""
    return not tree.images(place) and bool(tree.folders(place)) and tree.has_images(place)


def _split_folders(
    tree: ImageTree, found: Layout, place: str, tops: list[str], above: list[str], splits: Mapping[str, str]
) -> dict[str, str]:
    """Return folder -> split; skip other folders without labeled images, and raise an error for all others."""
    chosen = {name: split for name in tops if (split := split_of(name, splits)) and (name in above or name in splits)}
    for name in tops:
        where = os.path.join(place, name)
        if name in chosen or not tree.has_images(where):
            continue
        split, loose = split_of(name, splits), tree.images(where)
        if split and tree.folders(where):
            chosen[name] = split  # a few images lie beside its class folders
        elif (split in ("test", "validation") or is_unlabeled_name(name)) and "train" in chosen.values():
            tree.leave_out(_IN_NO_CLASS, tree.below(where))
            found.notes.append(
                f"The folder {where!r} has no class folders, so its {counted(len(loose), 'image')} "
                f"{agreeing(len(loose), 'has no label and is', 'have no labels and are')} not read."
            )
        else:
            raise DataError(
                f"{tree.root / place} has the split folder {next(iter(chosen))!r} beside the folder {name!r}, so it is "
                f"unclear which are classes. {DECIDE.format(name, NOT_READ)}"
            )
    tests = [name for name, split in chosen.items() if split == "test"]
    if len(tests) > 1:  # next to a test split, eval means validation
        chosen |= {name: "validation" for name in tests if "eval" in name.casefold() and name not in splits}
    if "train" not in chosen.values():
        raise DataError(
            f"{tree.root / place} has the split folders {', '.join(chosen)} but no training images, no 'train'. "
            f"{DECIDE.format(next(iter(chosen)), 'train')}"
        )
    return chosen


def _all_splits(tree: ImageTree, tops: list[str], splits: Mapping[str, str]) -> dict[str, str]:
    unknown = [name for name in tops if split_of(name, splits) is None]
    if unknown:
        raise DataError(
            f"{tree.root} has the folder {unknown[0]!r}, which names no split; known: {', '.join(SPLIT_NAMES)}. "
            f"Name it with --splits {unknown[0]}=train (data.splits)."
        )
    return {name: split for name in tops if (split := split_of(name, splits))}


def _add_splits(tree: ImageTree, found: Layout, place: str, chosen: Mapping[str, str]) -> None:
    ordered = sorted(chosen.items(), key=lambda item: SPLITS.index(item[1]))
    found.description.append(f"a folder per split ({', '.join(_named(*item) for item in ordered)}), classes below")
    for name, split in ordered:
        where = os.path.join(place, name)
        inside = where if len(tree.folders(where)) != 1 or tree.images(where) else _inside_split(tree, where)
        if loose := tree.images(inside):
            tree.leave_out(_IN_NO_CLASS, loose)
            found.notes.append(
                f"{counted(len(loose), 'image')} "
                f"{agreeing(len(loose), 'lies', 'lie')} directly in {inside!r}, in no class folder; not read."
            )
        names = tree.folders(inside)
        if len(names) > 1 and all(is_part_name(part) for part in names):
            for part in names:
                _add_classes(tree, found, split, os.path.join(inside, part), tree.folders(os.path.join(inside, part)))
        else:
            _add_classes(tree, found, split, inside, names)


def _inside_split(tree: ImageTree, place: str) -> str:
    """Return the place inside folders between a split and its classes, as in ``seg_train/seg_train/forest``."""
    while not tree.images(place) and len(tree.folders(place)) == 1:
        within = os.path.join(place, tree.folders(place)[0])
        if not _is_deep(tree, within):
            break
        place = within
    return place


def _recognize_deep(tree: ImageTree, found: Layout, place: str, tops: list[str], splits: Mapping[str, str]) -> None:
    """Recognize folders that all contain folders: parts, classes above splits, or classes of several folders."""
    below = {name: set(tree.folders(os.path.join(place, name))) for name in tops}
    inner = set().union(*below.values())
    if all(split_of(name, splits) for name in inner) and any(split_of(name, splits) == "train" for name in inner):
        found.description.append(f"a folder per class, splits below ({_listed(sorted(inner))})")
        for name in tops:
            for split_name in sorted(below[name]):
                if (split := split_of(split_name, splits)) and split != NOT_READ:
                    found.classes.append(ClassFolder(split, name, os.path.join(place, name, split_name)))
        return
    shared = [name for name in inner if sum(name in names for names in below.values()) > 1]
    coincide = len(shared) > 1 or (len(inner) > 1 and len(shared) * 2 >= len(inner))
    if all(is_part_name(name) for name in tops):
        found.description.append(f"{len(tops)} parts ({_listed(tops)}), read together")
        for name in tops:
            part = _without_wrappers(tree, os.path.join(place, name), Layout())
            _recognize(tree, found, part, tree.folders(part), splits)
    elif coincide:
        raise DataError(
            f"{tree.root / place} has the folders {_listed(tops)}, and each holds folders of the same names "
            f"({_listed(sorted(inner))}), so it is unclear which are the classes. "
            f"{DECIDE.format(tops[-1], 'test')}"
        )
    else:
        _add_classes(tree, found, "train", place, tops)


def _refuse_flat_parts(tree: ImageTree, place: str, tops: Sequence[str]) -> None:
    if len(tops) > 1 and all(is_part_name(name) for name in tops):
        raise DataError(
            f"{tree.root / place} has the folders {_listed(tops)}, which look like parts of one set, but their images "
            "lie in no class folders. If they are the classes, use --layout classes (data.layout); else put the images "
            "of each class into a folder, or list them in a table with a path and a label column."
        )


def _refuse_flat_splits(tree: ImageTree, place: str, tops: Sequence[str]) -> None:
    """Reject ``train/1.png`` beside ``val/2.png``: read as classes, they would teach which split an image is in."""
    names = [name for name in tops if tree.has_images(os.path.join(place, name))]
    if len(names) > 1 and all(split_of(name) or is_unlabeled_name(name) for name in names):
        raise DataError(
            f"{tree.root / place} has the folders {_listed(names)}, which are named like splits, but their images lie "
            "in no class folders, so they have no labels. Put the images of each class into a folder, or list them in "
            "a table with a path and a label column. If these are the classes, use --layout classes (data.layout)."
        )


def _add_classes(tree: ImageTree, found: Layout, split: str, place: str, names: Sequence[str]) -> None:
    for name in names:
        where = os.path.join(place, name)
        if tree.has_images(where):
            found.classes.append(ClassFolder(split, name, where))
        else:
            found.notes.append(f"The folder {where!r} has no images, so it is left out.")


def _named(name: str, split: str) -> str:
    return name if name == split else f"{name} = {split}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN:,} more"
