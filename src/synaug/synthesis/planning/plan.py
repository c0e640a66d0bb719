"""Decide how many images each class or group lacks, and their prompts, without a model or reading images."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from synaug.config import AUTO, GenerateOptions, PlanOptions
from synaug.data import Manifest
from synaug.data.images import Encoding
from synaug.data.labels import BETWEEN
from synaug.errors import DataError, OptionError, unknown
from synaug.runtime import WHOLES, Kind, check_arguments, instance_of, storage
from synaug.runtime.security import shown
from synaug.synthesis.planning.names import check_all_named, synsets
from synaug.synthesis.planning.prompting import (
    CLASS_SPREAD,
    MODIFIERS,
    Phrases,
    WrittenPrompt,
    check_spread,
    combinations,
    of_cell,
    phrase_of,
    phrases_of,
    prompt,
    readable_name,
)
from synaug.synthesis.planning.targets import ROUNDS, named_targets, target_counts
from synaug.synthesis.planning.written_checks import check_written

EQUAL_PROMPTS = (
    "The classes {first!r} and {second!r} have the same prompt, {prompt!r}, so their images would be alike. "
    "Give them different names with --aliases, and keep {{class}} in plan.template."
)
EQUAL_WRITTEN = (
    "The classes {first!r} and {second!r} have the same prompt in {file}, {prompt!r}, so their images would be alike. "
    "Change one of the two rows."
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
    """A prompt that images of a cell can have, and how it came about.

    ``origin`` are pairs for the provenance of its images: ``prompt_source`` (template or file) and, of a file,
    ``prompt_file``, ``prompt_model``, ``prompt_revision`` and ``prompt_date`` as far as it names them.
    """

    text: str
    modifier: str = ""
    phrases: Phrases = ()
    negative_prompt: str = ""
    origin: Phrases = BY_TEMPLATE


@dataclass(frozen=True)
class Plan:
    """The images to generate; ``image_size`` is the (width, height) in which they are stored.

    ``written`` are the prompts of the file ``plan.prompts``; a class without any has those of the template.
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
        """Return a prompt of the file as images have it; its attribute, if it has one, is one of the phrases."""
        attribute = (("attribute", written.attribute),) if written.attribute else ()
        told = {"source": "file", "file": Path(self.options.prompts or "").name} | written.author.to_dict()
        origin = tuple((f"prompt_{name}", value) for name, value in told.items() if value)
        return PlannedPrompt(written.prompt, "", attribute + written.phrases, written.negative_prompt, origin)

    @property
    def model(self) -> str:
        """What makes the images: the model, or code of the user's own."""
        return shown(self.generate.generator) if self.generate.generator else self.options.model

    def _settings_that_count(self) -> set[str]:
        later = {name for name in ("scheduler", "generator") if getattr(self.generate, name)}
        later |= {"controlnet", "control_scale"} if self.generate.controlnet else set()
        later |= _SETTINGS_OF_VARIANT.get(self.options.variant, set())
        shared = {"steps", "guidance", "size", "dtype"} | later
        return shared | {"strength"} if self.options.variant in ("intra", "inter") else shared


_SIZE = Kind(
    "a pair (width, height) in pixels",
    lambda value: isinstance(value, list | tuple) and WHOLES.accepts(value) and len(value) == 2 and min(value) > 0,
)
_WRITTEN = Kind(
    "a list of prompts, as read_prompts returns it",
    lambda value: isinstance(value, list | tuple) and all(isinstance(each, WrittenPrompt) for each in value),
)


def make_plan(
    manifest: Manifest,
    *,
    options: PlanOptions,
    generate: GenerateOptions,
    encoding: Encoding,
    image_size: tuple[int, int],
    written: Sequence[WrittenPrompt] = (),
) -> Plan:
    """Plan how the training images are balanced.

    Args:
        manifest: the real training images.
        options: target, prompts and model. With target ``auto``, the plan is that of the first round.
        generate: how the model is run.
        encoding: encoding of the real images, to be used for synthetic ones too.
        image_size: (width, height) in which synthetic images are stored.
        written: the prompts of the file ``options.prompts``.

    Raises:
        OptionError: groups are requested but attributes are unknown, an option refers to something that does not exist,
            two classes have the same prompt, or a class or group that needs images has none in the file.
    """
    check_arguments(
        "make_plan",
        manifest=(manifest, instance_of(Manifest, words="a manifest, as read_data returns it")),
        options=(options, instance_of(PlanOptions, words="PlanOptions")),
        generate=(generate, instance_of(GenerateOptions, words="GenerateOptions")),
        encoding=(encoding, instance_of(Encoding, words="an Encoding")),
        image_size=(image_size, _SIZE),
        written=(written, _WRITTEN),
    )
    identities = _identities(manifest, options)
    counts = np.array([_count(manifest, label, attribute) for label, attribute in identities], np.int64)
    if isinstance(options.target, dict):
        targets = named_targets(counts, options.target, [_cell_name(manifest, *each) for each in identities])
    else:
        targets = target_counts(counts, options.target)
    missing = targets - counts
    if options.cap is not None:
        missing = np.minimum(missing, options.cap)
    if options.variant in FROM_CLASS and ((missing > 0) & (counts == 0)).any():
        empty = _cell_name(manifest, *identities[int(np.argmax((missing > 0) & (counts == 0)))])
        raise OptionError(
            f"variant {options.variant!r} starts from real images, and {empty!r} has none; use variant 'text'."
        )
    cells = tuple(
        Cell(label, attribute, _cell_name(manifest, label, attribute), int(have), int(have + lack), int(lack))
        for (label, attribute), have, lack in zip(identities, counts, missing, strict=True)
    )
    check_distinct(cells)
    plan = Plan(
        cells, manifest.class_names, manifest.attribute_names, options, generate, encoding, image_size, tuple(written)
    )
    if options.target == AUTO:
        plan = with_shares(plan, [ROUNDS[0]] * len(cells))
    _check_names(plan)
    plan = replace(plan, options=_with_synset_names(plan))
    _check_distinct_prompts(plan)
    return plan


def with_shares(plan: Plan, shares: Sequence[float]) -> Plan:
    """Return the plan with this share of the images that each cell lacks for its target, rounded up.

    Ids, prompts and seeds do not change, so a larger share keeps all images of a smaller one.

    Args:
        plan: of any amounts.
        shares: from 0 to 1, of each cell.
    """
    cells = (
        replace(cell, num_to_generate=math.ceil(share * (cell.target - cell.have)))
        for cell, share in zip(plan.cells, shares, strict=True)
    )
    return replace(plan, cells=tuple(cells))


def _check_distinct_prompts(plan: Plan) -> None:
    """Reject equal prompts of two classes: their images would look alike, and one of the labels be wrong.

    Of the template, only prompts without a modifier are compared: with one, "small boat" may equal another class's
    name in a few.
    """
    owners: dict[str, Cell] = {}
    for position, cell in enumerate(plan.cells):
        written = plan.written_of(position)
        told = [] if written else combinations(phrases_in_turn(plan, cell))
        texts = [each.prompt for each in written] or [plan.prompt(position, "", phrases) for phrases in told]
        for text in texts:
            other = owners.setdefault(text.casefold(), cell)
            if other.label != cell.label and (cell.num_to_generate or other.num_to_generate):
                first, second = (plan.class_names[each.label] for each in (other, cell))
                message = EQUAL_WRITTEN if written else EQUAL_PROMPTS
                raise OptionError(message.format(first=first, second=second, prompt=text, file=plan.options.prompts))


def phrases_in_turn(plan: Plan, cell: Cell) -> dict[str, tuple[str, ...]]:
    """Return the phrases of ``plan.spread`` that the images of a cell take in turn, by name."""
    return phrases_of(plan.options.spread, plan.class_names[cell.label])


def _identities(manifest: Manifest, options: PlanOptions) -> list[tuple[int, int]]:
    if options.by == "class":
        return [(label, -1) for label in range(manifest.num_classes)]
    if not manifest.num_attributes or (manifest.attributes < 0).all():
        raise OptionError(
            "by 'group' needs an attribute, but the images have none; name its column with --attribute, or plan "
            "by 'class'."
        )
    return [(label, a) for label in range(manifest.num_classes) for a in range(manifest.num_attributes)]


def _count(manifest: Manifest, label: int, attribute: int) -> int:
    chosen = manifest.labels == label
    if attribute >= 0:
        chosen &= manifest.attributes == attribute
    return int(chosen.sum())


def _cell_name(manifest: Manifest, label: int, attribute: int) -> str:
    name = manifest.class_names[label]
    return name if attribute < 0 else f"{_without_bars(name)} | {_without_bars(manifest.attribute_names[attribute])}"


def _without_bars(name: str) -> str:
    r"""Return the name with every bar escaped, so that a lone bar always separates class and attribute.

    >>> _without_bars("a | b")
    'a \\| b'
    """
    return name.replace("\\", "\\\\").replace("|", "\\|")


def check_distinct(cells: Sequence[Cell]) -> None:
    """Check that every cell has a unique name, since journals and targets refer to cells by name.

    Raises:
        DataError: two cells have the same name.
    """
    names = Counter(cell.name for cell in cells)
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise DataError(f"Two classes or groups of the plan are called {twice[0]!r}. Rename one of them.")


def _check_names(plan: Plan) -> None:
    """Reject aliases and phrases of nonexistent classes and attributes, which would have no effect."""
    check_spread(plan.options, plan.class_names)
    check_written(plan)
    known = {*plan.class_names, *plan.attribute_names}
    for name in plan.options.aliases:
        if name not in known:
            raise unknown("class in aliases", name, known)
    for name in plan.options.attribute_phrases if plan.options.by == "group" else ():
        parts = {part for value in plan.attribute_names for part in value.split(BETWEEN)}
        if name not in plan.attribute_names and name not in parts:
            raise unknown("attribute in attribute_phrases", name, {*plan.attribute_names, *parts})


def _with_synset_names(plan: Plan) -> PlanOptions:
    """Return the options with an alias for each class that is a WordNet id, so that no table is needed later."""
    found = {name: synset.name for name, synset in synsets(plan.class_names).items()}
    aliases = found | plan.options.aliases
    check_all_named(plan.class_names, aliases)
    return plan.options.model_copy(update={"aliases": aliases})


def starts_from_real(plan: Plan) -> bool:
    """Return whether images are generated from real images beside the prompt, and so may be copies of them."""
    return plan.options.variant not in ("text", "fitted") or plan.generate.controlnet is not None
