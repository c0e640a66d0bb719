"""Summarize how data were read: the layout, what was skipped and why, and warnings about the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

import numpy as np

from synaug.data.groups import class_counts
from synaug.data.left_out import by_reason
from synaug.data.manifest import SPLITS, LeftOut, Manifest
from synaug.schemas import Account, LeftOutEntry
from synaug.schemas.data import Duplicates


def reading_account(manifest: Manifest) -> Account:
    """Return how the data were read, as a JSON object.

    Keys: ``layout``, ``splits`` (images per split), ``synthetic``, ``left_out``, ``notes`` and ``duplicates``.

    ``synthetic`` counts the images marked as synthetic per class; no count of real images includes them. ``left_out``
    has one entry per reason and suffix: files and rows that were skipped, including unreadable images.
    """
    splits = manifest.frame["split"].value_counts()
    synthetic = class_counts(manifest.labels[manifest.is_synthetic], manifest.num_classes)
    return {
        "layout": manifest.layout,
        "splits": {name: int(splits[name]) for name in SPLITS if name in splits},
        "synthetic": {manifest.class_names[label]: int(synthetic[label]) for label in np.flatnonzero(synthetic)},
        "left_out": [_entry(item) for item in (*by_reason(manifest.quarantined), *manifest.left_out)],
        "notes": list(manifest.notes),
        "duplicates": cast("Duplicates", asdict(manifest.duplicates)),
    }


def _entry(item: LeftOut) -> LeftOutEntry:
    return {"reason": item.reason, "suffix": item.suffix, "number": item.number, "examples": list(item.examples)}


def left_out_sentences(left_out: Sequence[LeftOutEntry | LeftOut]) -> list[str]:
    """Return one sentence per entry of ``left_out`` in ``reading_account``.

    >>> left_out_sentences([LeftOut("is not an image", ".txt", 2, ("a.txt", "b.txt"))])
    ['2 .txt: is not an image (a.txt, b.txt)']
    """
    sentences = []
    for entry in left_out:
        item = _entry(entry) if isinstance(entry, LeftOut) else entry
        more = ", ..." if item["number"] > len(item["examples"]) else ""
        suffix = item["suffix"] or "without suffix"
        sentences.append(f"{item['number']:,} {suffix}: {item['reason']} ({', '.join(item['examples'])}{more})")
    return sentences
