"""Decide how many images each class or group lacks, and their prompts.  No model, no image is read."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from synaug import storage
from synaug.config import GenerateOptions, PlanOptions
from synaug.data.images import Encoding
from synaug.data.manifest import Manifest
from synaug.errors import DataError, OptionError, unknown
from synaug.synthesis.ambiguity import name_warnings, names_in_prompts
from synaug.synthesis.cost import estimate
from synaug.synthesis.prompts import MODIFIERS, prompt, readable_name
from synaug.synthesis.synsets import check_all_named, synsets
from synaug.synthesis.targets import named_targets, target_counts

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Cell:
    """A class, or a class with one attribute (``attribute`` is -1 where the plan is by class)."""

    label: int
    attribute: int
    name: str
    have: int
    target: int
    num_to_generate: int


@dataclass(frozen=True, slots=True)
class Slot:
    """One image to make; ``index`` counts within the cell."""

    id: str
    cell: Cell
    index: int
    prompt: str
    modifier: str


@dataclass(frozen=True)
class Plan:
    """What is to be made; ``image_size`` is the (width, height) in which images are kept."""

    cells: tuple[Cell, ...]
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    options: PlanOptions
    generate: GenerateOptions
    encoding: Encoding
    image_size: tuple[int, int]

    @property
    def num_to_generate(self) -> int:
        return sum(cell.num_to_generate for cell in self.cells)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the images, 64 hexadecimal digits; counts and targets do not."""
        content = {
            "options": self.options.model_dump(mode="json", exclude={"target", "cap"}),
            "generate": self.generate.model_dump(mode="json", include=self._settings_that_count()),
            "names": [self.class_names, self.attribute_names],
            "cells": [[cell.label, cell.attribute] for cell in self.cells],
            "encoding": [self.encoding.format, self.encoding.mode, self.encoding.quality],
            "image_size": self.image_size,
        }
        return storage.digest(json.dumps(content, sort_keys=True).encode())

    def _settings_that_count(self) -> set[str]:
        shared = {"steps", "guidance", "size", "dtype"} | ({"scheduler"} if self.generate.scheduler else set())
        return shared | {"strength"} if self.options.variant in ("intra", "inter") else shared


def make_plan(
    manifest: Manifest,
    *,
    options: PlanOptions,
    generate: GenerateOptions,
    encoding: Encoding,
    image_size: tuple[int, int],
) -> Plan:
    """Plan how the training images are evened out.

    Args:
        manifest: the real training images.
        options: target, prompts and model.
        generate: how the model is run.
        encoding: how the real images are encoded, and so the synthetic ones will be.
        image_size: (width, height) in which synthetic images are kept.

    Raises:
        OptionError: groups are wanted but attributes are unknown, or an option names what is not there.
    """
    identities = _identities(manifest, options)
    counts = np.array([_count(manifest, label, attribute) for label, attribute in identities], np.int64)
    if isinstance(options.target, dict):
        targets = named_targets(counts, options.target, [_cell_name(manifest, *each) for each in identities])
    else:
        targets = target_counts(counts, options.target)
    missing = targets - counts
    if options.cap is not None:
        missing = np.minimum(missing, options.cap)
    if options.variant == "intra" and ((missing > 0) & (counts == 0)).any():
        empty = _cell_name(manifest, *identities[int(np.argmax((missing > 0) & (counts == 0)))])
        raise OptionError(f"variant 'intra' starts from real images, and {empty!r} has none; use variant 'text'.")
    cells = tuple(
        Cell(label, attribute, _cell_name(manifest, label, attribute), int(have), int(have + lack), int(lack))
        for (label, attribute), have, lack in zip(identities, counts, missing, strict=True)
    )
    plan = Plan(cells, manifest.class_names, manifest.attribute_names, options, generate, encoding, image_size)
    _check_names(plan)
    plan = replace(plan, options=_with_synset_names(plan))
    for position in range(len(cells)):
        _prompt(plan, position, "")
    return plan


def _identities(manifest: Manifest, options: PlanOptions) -> list[tuple[int, int]]:
    if options.by == "class":
        return [(label, -1) for label in range(manifest.num_classes)]
    if not manifest.num_attributes or (manifest.attributes < 0).all():
        raise OptionError(
            "by 'group' needs an attribute of the images, and there is none; name its column with "
            "--attribute, or plan by 'class'."
        )
    return [(label, a) for label in range(manifest.num_classes) for a in range(manifest.num_attributes)]


def _count(manifest: Manifest, label: int, attribute: int) -> int:
    chosen = manifest.labels == label
    if attribute >= 0:
        chosen &= manifest.attributes == attribute
    return int(chosen.sum())


def _cell_name(manifest: Manifest, label: int, attribute: int) -> str:
    name = manifest.class_names[label]
    return name if attribute < 0 else f"{name} | {manifest.attribute_names[attribute]}"


def _check_names(plan: Plan) -> None:
    """Refuse aliases and phrases of classes and attributes that are not there: they would do nothing."""
    known = {*plan.class_names, *plan.attribute_names}
    for name in plan.options.aliases:
        if name not in known:
            raise unknown("class in aliases", name, known)
    for name in plan.options.attribute_phrases if plan.options.by == "group" else ():
        if name not in plan.attribute_names:
            raise unknown("attribute in attribute_phrases", name, plan.attribute_names)


def _with_synset_names(plan: Plan) -> PlanOptions:
    """Return the options with an alias for each class that is a WordNet id, so that the plan needs no table later."""
    found = {name: synset.name for name, synset in synsets(plan.class_names).items()}
    aliases = found | plan.options.aliases
    check_all_named(plan.class_names, aliases)
    return plan.options.model_copy(update={"aliases": aliases})


def called(plan: Plan) -> dict[str, str]:
    """Return what the prompts call each class."""
    return names_in_prompts(plan.class_names, plan.options.aliases)


def doubtful_names(plan: Plan, decided: Mapping[str, str]) -> list[str]:
    """Return a sentence for each class whose name in prompts can mean another thing.

    Args:
        plan: whose prompts.
        decided: the aliases that a person gave.
    """
    definitions = {name: synset.definition for name, synset in synsets(plan.class_names).items()}
    return name_warnings(called(plan), aliases=decided, definitions=definitions)


def _prompt(plan: Plan, position: int, modifier: str) -> str:
    cell, options = plan.cells[position], plan.options
    attribute = plan.attribute_names[cell.attribute] if cell.attribute >= 0 else None
    return prompt(
        options.template,
        class_name=readable_name(plan.class_names[cell.label], options.aliases),
        modifier=modifier,
        attribute=None if attribute is None else readable_name(attribute, options.aliases),
        attribute_phrase=None if attribute is None else options.attribute_phrases.get(attribute),
    )


def safe_names(names: tuple[str, ...]) -> list[str]:
    """Return a short ASCII name for each, different for each, for files and folders.

    >>> safe_names(("T-shirt/top", "Été", "大衣", "上衣"))
    ['t-shirt-top', 't', 'item-2', 'item-3']
    """
    short = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") for name in names]
    uses = Counter(short)
    return [name if name and uses[name] == 1 else f"{name or 'item'}-{i}" for i, name in enumerate(short)]


def slots(plan: Plan, shard: tuple[int, int] = (0, 1), *, whole_classes: bool = False) -> Iterator[Slot]:
    """Yield the images to make, one after another; shard ``(i, n)`` gets every n-th of them from the i-th.

    Args:
        plan: what is to be made.
        shard: the part.
        whole_classes: do not divide a class; the parts are as even as the classes allow.

    Raises:
        OptionError: the shard is none of 0..n-1.
    """
    first, step = shard
    if not 0 <= first < step:
        raise OptionError(f"shard must be i/n with 0 <= i < n, got {first}/{step}.")
    if not whole_classes or step == 1:
        return islice(_all_slots(plan), first, None, step)
    part_of = _parts_of_classes(plan, step)
    return _all_slots(plan, lambda cell: part_of[cell.label] == first)


def _parts_of_classes(plan: Plan, number: int) -> dict[int, int]:
    """Give each class to the part that has least so far, the class that lacks most first."""
    lacking = Counter[int]()
    for cell in plan.cells:
        lacking[cell.label] += cell.num_to_generate
    loads, part_of = [0] * number, {}
    for label, images in sorted(lacking.items(), key=lambda item: (-item[1], item[0])):
        part_of[label] = loads.index(min(loads))
        loads[part_of[label]] += images
    return part_of


def class_prompts(plan: Plan) -> list[list[str]]:
    """Return all prompts of each class, over its cells and the modifiers."""
    modifiers = plan.options.modifiers or MODIFIERS
    prompts: list[list[str]] = [[] for _ in plan.class_names]
    for position, cell in enumerate(plan.cells):
        prompts[cell.label] += [_prompt(plan, position, word) for word in modifiers]
    return prompts


def class_captions(plan: Plan) -> list[str]:
    """Return the prompt of each class without modifier and attribute, for scorers that read."""
    return [prompt(plan.options.template, class_name=name, modifier="") for name in called(plan).values()]


def sample_slots(plan: Plan, *, per_cell: int = 3) -> Iterator[Slot]:
    """Yield the first slots of each cell that gets images, for a person to look at their prompts."""
    few = [replace(cell, num_to_generate=min(cell.num_to_generate, per_cell)) for cell in plan.cells]
    whole = dict(zip(few, plan.cells, strict=True))
    return (replace(slot, cell=whole[slot.cell]) for slot in _all_slots(replace(plan, cells=tuple(few))))


def _all_slots(plan: Plan, chosen: Callable[[Cell], bool] = lambda _: True) -> Iterator[Slot]:
    modifiers = plan.options.modifiers or MODIFIERS
    names = safe_names(tuple(cell.name for cell in plan.cells))
    for position, cell in enumerate(plan.cells):
        if not cell.num_to_generate or not chosen(cell):
            continue
        order = np.random.default_rng([plan.options.seed, cell.label, cell.attribute + 1]).permutation(len(modifiers))
        words = [modifiers[i] for i in order]
        prompts = [_prompt(plan, position, word) for word in words]
        for index in range(cell.num_to_generate):
            k = index % len(words)
            yield Slot(_slot_id(plan.digest, names[position], index), cell, index, prompts[k], words[k])


def _slot_id(digest: str, name: str, index: int) -> str:
    mark = hashlib.sha256(f"{digest}/{name}/{index}".encode()).hexdigest()[:8]
    return f"{name}-{index:06d}-{mark}"


def image_seed(slot_id: str, attempt: int) -> int:
    """Return the seed of an attempt at a slot, below 2**53: it depends on what the image is, not on when."""
    return int.from_bytes(hashlib.sha256(f"{slot_id}/{attempt}".encode()).digest()[:8], "big") >> 11


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as JSON that a person can read: totals and sample prompts are for reading only."""
    samples: dict[Cell, list[str]] = {}
    for slot in sample_slots(plan):
        samples.setdefault(slot.cell, []).append(slot.prompt)
    content = {
        "schema_version": SCHEMA_VERSION,
        "digest": plan.digest,
        "totals": {"have": sum(cell.have for cell in plan.cells), **estimate(plan)},
        "cells": [asdict(cell) | {"prompts": samples.get(cell, [])} for cell in plan.cells],
        "class_names": plan.class_names,
        "attribute_names": plan.attribute_names,
        "options": plan.options.model_dump(mode="json"),
        "generate": plan.generate.model_dump(mode="json"),
        "encoding": asdict(plan.encoding),
        "image_size": plan.image_size,
    }
    storage.write_json(path, content)


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
        return Plan(
            cells=tuple(Cell(**{k: v for k, v in cell.items() if k != "prompts"}) for cell in content["cells"]),
            class_names=tuple(content["class_names"]),
            attribute_names=tuple(content["attribute_names"]),
            options=PlanOptions.model_validate(content["options"]),
            generate=GenerateOptions.model_validate(content["generate"]),
            encoding=Encoding(**encoding | {"size": tuple(encoding["size"]) if encoding["size"] else None}),
            image_size=(int(content["image_size"][0]), int(content["image_size"][1])),
        )
    except (KeyError, TypeError, IndexError, AttributeError, ValidationError) as error:
        raise DataError(f"{path} is not a whole plan ({error}); make it again with 'synaug plan'.") from error
