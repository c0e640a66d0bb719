"""Write a plan as human-readable JSON, and read it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from synaug.config import MAX_TARGET, GenerateOptions, PlanOptions
from synaug.data.images import FORMATS, Encoding
from synaug.errors import DataError, OptionError
from synaug.runtime import storage
from synaug.synthesis.planning.cost import estimate
from synaug.synthesis.planning.plan import Cell, Plan, check_distinct
from synaug.synthesis.planning.prompting import Phrases, WrittenPrompt, phrase_counts
from synaug.synthesis.planning.slots import sample_slots, slots
from synaug.synthesis.planning.written_checks import check_written

SCHEMA_VERSION = 1
MAX_SIDE = 20_000  # pixels


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as human-readable JSON; its totals and sample prompts are ignored on reading."""
    storage.write_bytes(path, plan_bytes(plan))


def plan_bytes(plan: Plan) -> bytes:
    """Return the content of a plan file; equal plans give equal bytes."""
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
    if plan.written:
        content["written_prompts"] = [each.to_dict() | each.author.to_dict() for each in plan.written]
    return storage.json_bytes(content)


def spread_counts(plan: Plan) -> dict[str, dict[str, dict[str, dict[str, int]]]]:
    """Return, per cell, how many images each phrase of ``plan.spread`` or of the prompts file gets, if any."""
    if not plan.options.spread and not any(each.phrases or each.attribute for each in plan.written):
        return {}
    phrases_of: dict[str, list[Phrases]] = {}
    for slot in slots(plan):
        phrases_of.setdefault(slot.cell.name, []).append(slot.phrases)
    return {name: {"spread": phrase_counts(phrases)} for name, phrases in phrases_of.items()}


def read_plan(path: Path) -> Plan:
    """Return the plan in a file written by ``write_plan``.

    Raises:
        DataError: the file is missing, damaged, or has another schema version.
    """
    content = storage.read_json(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} is not a plan of version {SCHEMA_VERSION} (found {version!r}); recreate it with 'synaug plan'."
        )
    try:
        encoding = content["encoding"]
        if encoding["format"] not in FORMATS:  # it becomes the suffix of file names
            raise ValueError(f"encoding.format is {encoding['format']!r}; allowed: {', '.join(FORMATS)}")
        cells = tuple(
            Cell(**{k: v for k, v in cell.items() if k not in ("prompts", "spread")}) for cell in content["cells"]
        )
        if encoding["mode"] not in ("L", "RGB") or not 1 <= encoding["quality"] <= 100:
            raise ValueError(f"images cannot be encoded as {encoding}")
        if not all(1 <= side <= MAX_SIDE for side in (*content["image_size"], *(encoding["size"] or ()))):
            raise ValueError(f"images cannot have the size {content['image_size']}")
        if not all(isinstance(name, str) for name in (*content["class_names"], *content["attribute_names"])):
            raise ValueError("a class or attribute has no name")
        _check_cells(cells, len(content["class_names"]), len(content["attribute_names"]))
        plan = Plan(
            cells=cells,
            class_names=tuple(content["class_names"]),
            attribute_names=tuple(content["attribute_names"]),
            options=PlanOptions.model_validate(content["options"]),
            generate=GenerateOptions.model_validate(content["generate"]),
            encoding=Encoding(**encoding | {"size": tuple(encoding["size"]) if encoding["size"] else None}),
            image_size=(int(content["image_size"][0]), int(content["image_size"][1])),
            written=tuple(map(WrittenPrompt.from_dict, content.get("written_prompts", ()))),
        )
        check_written(plan)
        return plan
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OptionError) as error:
        raise DataError(f"{path} is not a complete plan ({error}); recreate it with 'synaug plan'.") from error


def _check_cells(cells: Sequence[Cell], num_classes: int, num_attributes: int) -> None:
    """Raise a ValueError if a cell has an unknown class or attribute, or numbers ``make_plan`` cannot produce."""
    check_distinct(cells)
    for cell in cells:
        if not isinstance(cell.name, str):
            raise ValueError(f"a cell has the name {cell.name!r}")
        numbers = (cell.label, cell.attribute, cell.have, cell.target, cell.num_to_generate)
        if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
            raise ValueError(f"the cell {cell.name!r} has values that are not whole numbers")
        is_known = 0 <= cell.label < num_classes and -1 <= cell.attribute < num_attributes
        if not is_known or not 0 <= cell.num_to_generate <= MAX_TARGET:
            raise ValueError(f"the cell {cell.name!r} has a number that is out of range")
