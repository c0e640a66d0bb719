"""List the accepted images of a run and how each was made, from its journals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from synaug.data import COLUMNS, Manifest
from synaug.runtime.records import Unchanged
from synaug.synthesis.execution.journal import images_key, journal_files, read_journals
from synaug.synthesis.execution.journal_records import Attempt
from synaug.synthesis.planning import Plan

_IDENTITY = ("id", "path", "label", "attribute", "sha256")
_TOLD = (*_IDENTITY, "prompt", "modifier", "seed", "attempt", "guide", "scores")

_SHARED = ("prompt", "modifier", "prompt_source", "prompt_file", "prompt_model", "prompt_revision", "prompt_date")
_ONLY_SOME = (*_SHARED[2:], "negative_prompt", "guides", "mask_sha256", "reviewed")  # columns that some tables lack


class AcceptedImage(Attempt):
    """The attempt that filled a slot, with its label and attribute and the description of its generator."""

    label: int
    attribute: int
    about: dict[str, object]


def accepted_records(plan: Plan, folder: Path) -> Iterator[AcceptedImage]:
    """Yield one journal record per accepted slot, with the ``about`` of its generator."""
    cells = {cell.name: cell for cell in plan.cells}
    unseen = {cell.name: np.ones(cell.num_to_generate, bool) for cell in plan.cells}
    about: dict[str, object] = {}
    for record in read_journals(plan, folder):
        if record["kind"] == "run":
            about = record["about"]
        elif record["verdict"] == "accepted" and unseen[record["cell"]][record["index"] :][:1].any():
            unseen[record["cell"]][record["index"]] = False
            cell = cells[record["cell"]]
            yield {**record, "label": cell.label, "attribute": cell.attribute, "about": about}


def provenance(plan: Plan, folder: Path) -> pd.DataFrame:
    """Return one row per accepted image, sorted by id, with its path and how it was made.

    Kept column by column, with repeated text stored once: a table of dicts would take several times the memory.
    """
    columns: dict[str, list[object]] = {name: [] for name in _TOLD}
    shared: dict[object, object] = {}
    for number, record in enumerate(accepted_records(plan, folder)):
        facts = {name: record.get(name) for name in _TOLD}
        facts |= {name: value for name, value in record["about"].items() if name not in (*facts, *_SHARED)}
        facts |= {name: record.get(name) for name in _ONLY_SOME if name in record}
        facts |= {name: shared.setdefault(facts[name], facts[name]) for name in _SHARED if name in facts}
        facts["scores"] = {shared.setdefault(name, name): value for name, value in record["scores"].items()}
        columns |= {name: [None] * number for name in facts if name not in columns}
        for name, values in columns.items():
            values.append(facts.get(name))
    return pd.DataFrame(columns).sort_values("id", ignore_index=True)


_manifests: Unchanged[Manifest] = Unchanged()


def synthetic_manifest(plan: Plan, folder: Path) -> Manifest:
    """Return the accepted images of all workers as training rows, with paths relative to the folder.

    The journals are reread only if one of them changed.
    """
    return _manifests.get(images_key(plan, folder), journal_files(folder), partial(_read_manifest, plan, folder))


def _read_manifest(plan: Plan, folder: Path) -> Manifest:
    rows = [[record.get(name) for name in _IDENTITY] for record in accepted_records(plan, folder)]
    return manifest_of(pd.DataFrame(rows, columns=list(_IDENTITY)), plan, folder)


def manifest_of(history: pd.DataFrame, plan: Plan, folder: Path) -> Manifest:
    """Return the images of a ``provenance`` table as ``synthetic_manifest`` does, sharing its text."""
    frame = history[list(_IDENTITY)].sort_values(["label", "id"], ignore_index=True)
    frame = frame.assign(split="train", source="synthetic")[list(COLUMNS)]
    return Manifest(
        frame=frame.astype({"label": "int64", "attribute": "int64"}),
        class_names=plan.class_names,
        attribute_names=plan.attribute_names,
        root=folder,
    )
