"""Write a plan as JSON that a person can read, and read it back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synaug.config import MAX_TARGET, GenerateOptions, PlanOptions
from synaug.data.codec import Encoding
from synaug.errors import DataError
from synaug.runtime import storage
from synaug.synthesis.planning.cost import estimate
from synaug.synthesis.planning.plan import Cell, Plan
from synaug.synthesis.planning.slots import sample_slots, slots
from synaug.synthesis.planning.spread import Phrases, phrase_counts

SCHEMA_VERSION = 1
ENCODED = ("PNG", "JPEG", "WEBP")  # the formats that source_encoding.detect_encoding returns
MAX_SIDE = 20_000  # pixels


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as JSON that a person can read: totals and sample prompts are for reading only."""
    storage.write_bytes(path, plan_bytes(plan))


def plan_bytes(plan: Plan) -> bytes:
    """Return the file of a plan; equal plans give equal bytes."""
    samples: dict[Cell, list[str]] = {}
    spread = spread_counts(plan)
    for slot in sample_slots(plan):
        samples.setdefault(slot.cell, []).append(slot.prompt)
    content = {
        "schema_version": SCHEMA_VERSION,
        "digest": plan.digest,
        "totals": {"have": sum(cell.have for cell in plan.cells), **estimate(plan)},
        "cells": [asdict(cell) | {"prompts": samples.get(cell, [])} | spread.get(cell.name, {}) for cell in plan.cells],
        "class_names": plan.class_names,
        "attribute_names": plan.attribute_names,
        "options": plan.options.model_dump(mode="json"),
        "generate": plan.generate.model_dump(mode="json"),
        "encoding": asdict(plan.encoding),
        "image_size": plan.image_size,
    }
    return storage.json_bytes(content)


def spread_counts(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return, per cell, how many images each phrase of ``plan.spread`` gets; empty without one."""
    if not plan.options.spread:
        return {}
    told: dict[str, list[Phrases]] = {}
    for slot in slots(plan):
        told.setdefault(slot.cell.name, []).append(slot.phrases)
    return {name: {"spread": phrase_counts(phrases)} for name, phrases in told.items()}


def read_plan(path: Path) -> Plan:
    """Read what ``write_plan`` wrote.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    content = storage.read_json(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} is no plan of version {SCHEMA_VERSION} (it says {version!r}); make it again with 'synaug plan'."
        )
    try:
        encoding = content["encoding"]
        plan = Plan(
            cells=tuple(
                Cell(**{k: v for k, v in cell.items() if k not in ("prompts", "spread")}) for cell in content["cells"]
            ),
            class_names=tuple(content["class_names"]),
            attribute_names=tuple(content["attribute_names"]),
            options=PlanOptions.model_validate(content["options"]),
            generate=GenerateOptions.model_validate(content["generate"]),
            encoding=Encoding(**encoding | {"size": tuple(encoding["size"]) if encoding["size"] else None}),
            image_size=(int(content["image_size"][0]), int(content["image_size"][1])),
        )
        fault = _fault(plan)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ValidationError) as error:
        raise DataError(f"{path} is not a whole plan ({error}); make it again with 'synaug plan'.") from error
    if fault:
        raise DataError(f"{path} is damaged: {fault}. Restore it, or make it again with 'synaug plan'.")
    return plan


def _fault(plan: Plan) -> str:
    """Return what cannot be in a plan, whoever wrote it; empty if it can be used."""
    names = (*plan.class_names, *plan.attribute_names)
    if not plan.class_names or not all(isinstance(name, str) for name in names):
        return "class_names and attribute_names must be texts"
    if len(set(plan.class_names)) < len(plan.class_names):
        return "a class name occurs twice"
    for cell in plan.cells:
        counts = (cell.label, cell.attribute, cell.have, cell.target, cell.num_to_generate)
        if not all(type(number) is int for number in counts) or not isinstance(cell.name, str):
            return f"the cell {cell.name!r} has a number or name of another type"
        if not 0 <= cell.label < len(plan.class_names) or not -1 <= cell.attribute < max(len(plan.attribute_names), 1):
            return f"the cell {cell.name!r} is of class {cell.label}, attribute {cell.attribute}, which is not there"
        if min(cell.have, cell.num_to_generate) < 0 or cell.num_to_generate > MAX_TARGET:
            return f"the cell {cell.name!r} has {cell.have} images and lacks {cell.num_to_generate}"
    if len({(cell.label, cell.attribute) for cell in plan.cells}) < len(plan.cells):
        return "a class or group occurs twice"
    look = plan.encoding
    if look.format not in ENCODED or look.mode not in ("L", "RGB") or not 1 <= look.quality <= 100:
        return f"images cannot be encoded as {look.format!r}, {look.mode!r}, quality {look.quality!r}"
    if not all(1 <= side <= MAX_SIDE for side in (*plan.image_size, *(look.size or ()))):
        return f"images cannot have the size {plan.image_size}"
    return ""
