"""Find identical and nearly identical images across splits and under two labels, and apply the chosen policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from synaug.data.left_out import LeftOutCounter
from synaug.data.manifest import DuplicatePair, Duplicates, Manifest, read_image
from synaug.data.similarity.similarity_search import near_pairs
from synaug.errors import DataError
from synaug.runtime import agreeing

_EXAMPLES = 8
WAY_OUT = "data.duplicates: drop removes them from training; warn only reports them."


@dataclass(frozen=True)
class _Found:
    """Cluster numbers of shape ``(N,)``: ``equal`` for byte-identical images, ``alike`` also for nearly equal ones."""

    equal: np.ndarray
    alike: np.ndarray


def with_duplicates(
    manifest: Manifest,
    thumbnails: np.ndarray | None,
    groups: Sequence[str] | None,
    policy: Literal["warn", "drop", "error"],
    *,
    where: str,
) -> Manifest:
    """Return the manifest with its duplicates recorded and a column ``cluster``.

    Rows of one cluster are equal, nearly equal or of the same group, and belong in one split.

    Args:
        manifest: images with their digests.
        thumbnails: gray, uint8 ``(N, SIDE * SIDE)``, to find nearly equal images; None finds identical ones only.
        groups: value of the group column per row, or None.
        policy: ``drop`` removes training images that equal a held-out image or have two labels; ``error`` raises.
        where: name of the data in errors.

    Raises:
        DataError: there are duplicates and the policy is ``error``.
    """
    found = _found(manifest, thumbnails)
    clusters = found.alike if groups is None else _joined(found.alike, pd.factorize(np.asarray(groups))[0])
    splits = manifest.frame["split"].to_numpy(object)
    num_leaked, leaked = _leaked(manifest, found, splits)
    num_two_labels, two_labels = _two_labels(manifest, found)
    duplicates = Duplicates(num_leaked, leaked, num_two_labels, two_labels, _num_split_groups(groups, splits))
    notes = duplicate_notes(duplicates)
    if policy == "error" and notes:
        raise DataError(f"{where}: {' '.join(notes)} {WAY_OUT}")
    manifest = replace(
        manifest,
        frame=manifest.frame.assign(cluster=clusters),
        duplicates=duplicates,
        notes=(*notes, *manifest.notes),
    )
    return _without(manifest, found) if policy == "drop" else manifest


def duplicate_notes(duplicates: Duplicates) -> list[str]:
    """Return sentences for the user about the duplicates, most serious first."""
    notes = []
    if duplicates.num_leaked:
        notes.append(
            f"{_images(duplicates.num_leaked, 'validation or test ')} equal or nearly equal to training images "
            f"({_shown(duplicates.leaked)}), so "
            f"{agreeing(duplicates.num_leaked, 'its result proves', 'results on them prove')} little."
        )
    if duplicates.num_two_labels:
        notes.append(
            f"{_images(duplicates.num_two_labels)} equal or nearly equal to images of another class "
            f"({_shown(duplicates.two_labels)}): at least one of the labels is doubtful."
        )
    if duplicates.num_split_groups:
        notes.append(
            f"{duplicates.num_split_groups:,} values of the group column occur in training and in a held-out split."
        )
    return notes


def _images(number: int, kind: str = "") -> str:
    return f"{number:,} {kind}image is" if number == 1 else f"{number:,} {kind}images are"


def _shown(pairs: Sequence[DuplicatePair]) -> str:
    pair = pairs[0]
    return f"{pair.first} {'=' if pair.is_equal else 'is like'} {pair.second}" + (", ..." if len(pairs) > 1 else "")


def _found(manifest: Manifest, thumbnails: np.ndarray | None) -> _Found:
    digests = manifest.frame["sha256"].to_numpy(object)
    names = np.where(digests != "", digests, manifest.frame["id"].to_numpy(object))
    equal = pd.factorize(names)[0].astype(np.int64)
    if thumbnails is None:
        return _Found(equal, equal)
    firsts = np.unique(equal, return_index=True)[1]  # one image per set of identical ones is enough to compare
    pairs = near_pairs(thumbnails[firsts], lambda row: read_image(manifest, int(firsts[row])))
    return _Found(equal, _joined(equal, _components(len(firsts), pairs)[equal]))


def _components(number: int, pairs: np.ndarray) -> np.ndarray:
    """Return the connected component of each of N items, shape ``(N,)``."""
    ones = np.ones(len(pairs), np.int8)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(number, number))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return cluster numbers that merge rows sharing a number in either argument, directly or through other rows."""
    edges = np.stack([np.arange(len(first)), np.arange(len(first))], axis=1)
    offset = len(first)
    ones = np.stack([edges[:, 0], offset + first], axis=1)
    twos = np.stack([edges[:, 0], offset + int(first.max(initial=0)) + 1 + second], axis=1)
    size = offset + int(first.max(initial=0)) + int(second.max(initial=0)) + 2
    return _components(size, np.concatenate([ones, twos]))[: len(first)]


def _leaked(manifest: Manifest, found: _Found, splits: np.ndarray) -> tuple[int, tuple[DuplicatePair, ...]]:
    """Return how many held-out images have a duplicate in training, with examples."""
    in_train = splits == "train"
    training = _first_rows(found.alike, in_train)
    rows = [int(row) for row in np.flatnonzero(~in_train) if found.alike[row] in training]
    pairs = [_pair(manifest, found, row, training[found.alike[row]]) for row in rows[:_EXAMPLES]]
    return len(rows), tuple(pairs)


def _two_labels(manifest: Manifest, found: _Found) -> tuple[int, tuple[DuplicatePair, ...]]:
    """Return how many images have a duplicate in another class, with examples."""
    labels = pd.Series(manifest.labels).groupby(found.alike).transform("nunique").to_numpy()
    rows = np.flatnonzero(labels > 1)
    pairs = []
    for number in pd.unique(found.alike[rows])[:_EXAMPLES]:
        members = rows[found.alike[rows] == number]
        other = members[manifest.labels[members] != manifest.labels[members[0]]][0]
        pairs.append(_pair(manifest, found, int(members[0]), int(other)))
    return len(rows), tuple(pairs)


def _num_split_groups(groups: Sequence[str] | None, splits: np.ndarray) -> int:
    """Return how many groups have images both in training and in a held-out split."""
    if groups is None:
        return 0
    held_out = pd.Series(splits != "train").groupby(np.asarray(groups)).nunique()
    return int((held_out > 1).sum())


def _first_rows(numbers: np.ndarray, chosen: np.ndarray) -> dict[int, int]:
    rows = np.flatnonzero(chosen)
    values, places = np.unique(numbers[rows], return_index=True)
    return dict(zip(values.tolist(), rows[places].tolist(), strict=True))


def _pair(manifest: Manifest, found: _Found, first: int, second: int) -> DuplicatePair:
    first_id, second_id = (str(manifest.frame["id"].iat[row]) for row in (first, second))
    return DuplicatePair(first_id, second_id, bool(found.equal[first] == found.equal[second]))


def _without(manifest: Manifest, found: _Found) -> Manifest:
    """Return the manifest without training images that duplicate a held-out image or an image of another class."""
    in_train = (manifest.frame["split"] == "train").to_numpy(bool)
    held_out = np.isin(found.alike, found.alike[~in_train])
    several = (pd.Series(manifest.labels).groupby(found.alike).transform("nunique") > 1).to_numpy()
    left_out, names = LeftOutCounter(), manifest.frame["id"].to_numpy(object)
    left_out.add("equals or resembles a held-out image", *names[in_train & held_out])
    left_out.add("equals or resembles an image of another class", *names[in_train & several & ~held_out])
    gone = in_train & (held_out | several)
    if not gone.any():
        return manifest
    note = f"{int(gone.sum()):,} of these were removed from training (data.duplicates: drop)."
    return replace(
        manifest,
        frame=manifest.frame.loc[~gone].reset_index(drop=True),
        left_out=(*manifest.left_out, *left_out.result()),
        notes=(*manifest.notes, note),
    )
