"""A plan: the images to generate for each class or group, and their prompts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.images import Encoding
from synaug.errors import DataError
from synaug.runtime import storage
from synaug.runtime.security import shown
from synaug.synthesis.planning.prompting import (
    CLASS_SPREAD,
    MODIFIERS,
    Phrases,
    WrittenPrompt,
    combinations,
    of_cell,
    phrase_of,
    phrases_of,
    prompt,
    readable_name,
)

FROM_CLASS = ("intra", "reference", "inpaint")  # variants that start from real images of the class
_SETTINGS_OF_VARIANT = {
    "reference": {"references", "adapter", "adapter_weights", "adapter_scale"},
    "inpaint": {"inpaint", "masks", "mask_column", "inpaint_strength"},
}


BY_TEMPLATE: Phrases = (("prompt_source", "template"),)


@dataclass(frozen=True)
class Cell:
    """A class, or a class with one attribute (``attribute`` is -1 if the plan is by class)."""

    label: int
    attribute: int
    name: str
    have: int
    target: int
    num_to_generate: int


@dataclass(frozen=True)
class PlannedPrompt:
    """A prompt that images of a cell can have, and its origin.

    ``origin`` are pairs for the provenance of its images: ``prompt_source`` (template or file) and, for a file,
    ``prompt_file``, ``prompt_model``, ``prompt_revision`` and ``prompt_date``, as far as it contains them.
    """

    text: str
    modifier: str = ""
    phrases: Phrases = ()
    negative_prompt: str = ""
    origin: Phrases = BY_TEMPLATE


@dataclass(frozen=True)
class Plan:
    """The images to generate; ``image_size`` is the (width, height) in which they are stored.

    ``written`` are the prompts of the file ``plan.prompts``; a class without any uses the template.
    """

    cells: tuple[Cell, ...]
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    options: PlanOptions
    generate: GenerateOptions
    encoding: Encoding
    image_size: tuple[int, int]
    written: tuple[WrittenPrompt, ...] = ()

    @property
    def num_to_generate(self) -> int:
        return sum(cell.num_to_generate for cell in self.cells)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines the images, 64 hexadecimal digits; counts and targets do not."""
        new = set() if self.options.spread else {"spread"}  # newer than the first plans, whose digest must not change
        content: dict[str, object] = {
            "options": self.options.model_dump(mode="json", exclude={"target", "cap", "prompts"} | new),
            "generate": self.generate.model_dump(mode="json", include=self._settings_that_count()),
            "names": [self.class_names, self.attribute_names],
            "cells": [[cell.label, cell.attribute] for cell in self.cells],
            "encoding": [self.encoding.format, self.encoding.mode, self.encoding.quality],
            "image_size": self.image_size,
        }
        if self.written:  # their content, wherever the file is
            content["prompts"] = [each.to_dict() for each in self.written]
        return storage.digest(json.dumps(content, sort_keys=True).encode())

    def written_of(self, position: int) -> tuple[WrittenPrompt, ...]:
        """Return the prompts that were written for the cell at a position of ``cells``."""
        return self._written_of_cells[position]

    @cached_property
    def _written_of_cells(self) -> list[tuple[WrittenPrompt, ...]]:
        by_class: dict[str, list[WrittenPrompt]] = {}
        for each in self.written:
            by_class.setdefault(each.class_name, []).append(each)
        names = [self.class_names[cell.label] for cell in self.cells]
        attributes = [self.attribute_names[cell.attribute] if cell.attribute >= 0 else None for cell in self.cells]
        return [of_cell(by_class.get(name, ()), name, own) for name, own in zip(names, attributes, strict=True)]

    def prompts(self, position: int) -> Iterator[PlannedPrompt]:
        """Yield every prompt that images of the cell at a position of ``cells`` can have."""
        if written := self.written_of(position):
            yield from map(self.planned, written)
            return
        told = combinations(phrases_in_turn(self, self.cells[position]))
        for modifier in self.options.modifiers or MODIFIERS:
            for phrases in told:
                yield PlannedPrompt(self.prompt(position, modifier, phrases), modifier, phrases)

    def prompt(self, position: int, modifier: str, phrases: Phrases = ()) -> str:
        """Return the prompt of the cell at a position of ``cells`` by the template.

        Args:
            position: position of the cell.
            modifier: a word, or empty.
            phrases: phrases of ``plan.spread``.
        """
        told = dict(phrases)
        cell, options = self.cells[position], self.options
        attribute = self.attribute_names[cell.attribute] if cell.attribute >= 0 else None
        return prompt(
            options.template,
            class_name=told.get(CLASS_SPREAD) or readable_name(self.class_names[cell.label], options.aliases),
            modifier=modifier,
            phrases={name: told.get(name, "") for name in options.spread if name != CLASS_SPREAD},
            attribute=None if attribute is None else readable_name(attribute, options.aliases),
            attribute_phrase=None if attribute is None else phrase_of(attribute, options.attribute_phrases),
        )

    def planned(self, written: WrittenPrompt) -> PlannedPrompt:
        """Return a prompt of the file as a planned one; its attribute, if it has one, becomes one of the phrases."""
        attribute = (("attribute", written.attribute),) if written.attribute else ()
        told = {"source": "file", "file": Path(self.options.prompts or "").name} | written.author.to_dict()
        origin = tuple((f"prompt_{name}", value) for name, value in told.items() if value)
        return PlannedPrompt(written.prompt, "", attribute + written.phrases, written.negative_prompt, origin)

    @property
    def model(self) -> str:
        """The source of the images: the model, or the user's own code."""
        return shown(self.generate.generator) if self.generate.generator else self.options.model

    def _settings_that_count(self) -> set[str]:
        later = {name for name in ("scheduler", "generator") if getattr(self.generate, name)}
        later |= {"guidance_interval"} if self.generate.guidance_interval != (0, 1) else set()
        later |= {"controlnet", "control_scale"} if self.generate.controlnet else set()
        later |= _SETTINGS_OF_VARIANT.get(self.options.variant, set())
        shared = {"steps", "guidance", "size", "dtype"} | later
        return shared | {"strength"} if self.options.variant in ("intra", "inter") else shared


def with_shares(plan: Plan, shares: Sequence[float]) -> Plan:
    """Return the plan with this share of the images that each cell lacks for its target, rounded up.

    Ids, prompts and seeds do not change, so a larger share keeps all images of a smaller one.

    Args:
        plan: a plan with any amounts.
        shares: one per cell, from 0 to 1.
    """
    cells = (
        replace(cell, num_to_generate=math.ceil(share * (cell.target - cell.have)))
        for cell, share in zip(plan.cells, shares, strict=True)
    )
    return replace(plan, cells=tuple(cells))


def phrases_in_turn(plan: Plan, cell: Cell) -> dict[str, tuple[str, ...]]:
    """Return the phrases of ``plan.spread`` that the images of a cell take in turn, by name."""
    return phrases_of(plan.options.spread, plan.class_names[cell.label])


def check_distinct(cells: Sequence[Cell]) -> None:
    """Check that every cell has a unique name, since journals and targets refer to cells by name.

    Raises:
        DataError: two cells have the same name.
    """
    names = Counter(cell.name for cell in cells)
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise DataError(f"Two classes or groups of the plan are called {twice[0]!r}. Rename one of them.")


def starts_from_real(plan: Plan) -> bool:
    """Return whether images are generated from real images in addition to the prompt, and so may be copies of them."""
    return plan.options.variant not in ("text", "fitted") or plan.generate.controlnet is not None
