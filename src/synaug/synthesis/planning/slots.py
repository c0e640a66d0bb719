"""List the images of a plan: each has an id, a prompt and seeds derived from the plan alone."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from synaug.errors import DataError, OptionError
from synaug.runtime import storage
from synaug.synthesis.planning.plan import BY_TEMPLATE, Cell, Plan, PlannedPrompt, phrases_in_turn
from synaug.synthesis.planning.prompting import MODIFIERS, Phrases, drawn, ordered, turns


@dataclass(frozen=True, slots=True)
class Slot:
    """One image to generate; ``index`` counts within the cell."""

    id: str
    cell: Cell
    index: int
    prompt: str
    modifier: str
    phrases: Phrases = ()
    negative_prompt: str = ""
    origin: Phrases = BY_TEMPLATE


def slots(plan: Plan, shard: tuple[int, int] = (0, 1), *, whole_classes: bool = False) -> Iterator[Slot]:
    """Yield the slots in order; shard ``(i, n)`` gets every n-th slot, starting with the i-th.

    Args:
        plan: the plan.
        shard: the part to yield.
        whole_classes: do not divide classes; the parts are as even as the classes allow.

    Raises:
        OptionError: i is not in 0..n-1.
    """
    first, step = shard
    if not 0 <= first < step:
        raise OptionError(f"shard must be i/n with 0 <= i < n, got {first}/{step}.")
    if not whole_classes or step == 1:
        return islice(_all_slots(plan), first, None, step)
    part_of = _parts_of_classes(plan, step)
    return _all_slots(plan, lambda cell: part_of[cell.label] == first)


def _parts_of_classes(plan: Plan, number: int) -> dict[int, int]:
    """Assign each class to the part with the least load so far, starting with the class that lacks most."""
    lacking = Counter[int]()
    for cell in plan.cells:
        lacking[cell.label] += cell.num_to_generate
    loads, part_of = [0] * number, {}
    for label, images in sorted(lacking.items(), key=lambda item: (-item[1], item[0])):
        part_of[label] = loads.index(min(loads))
        loads[part_of[label]] += images
    return part_of


def sample_slots(plan: Plan, *, per_cell: int = 3) -> Iterator[Slot]:
    """Yield the first slots of each cell that gets images, so that a person can check their prompts."""
    few = [replace(cell, num_to_generate=min(cell.num_to_generate, per_cell)) for cell in plan.cells]
    whole = dict(zip(few, plan.cells, strict=True))
    return (replace(slot, cell=whole[slot.cell]) for slot in _all_slots(replace(plan, cells=tuple(few))))


def _all_slots(plan: Plan, chosen: Callable[[Cell], bool] = lambda _: True) -> Iterator[Slot]:
    names = safe_names(tuple(cell.name for cell in plan.cells))
    for position, cell in enumerate(plan.cells):
        if not cell.num_to_generate or not chosen(cell):
            continue
        for index, each in zip(range(cell.num_to_generate), _prompts_in_turn(plan, position), strict=False):
            name = _slot_id(plan.digest, names[position], index)
            yield Slot(name, cell, index, each.text, each.modifier, each.phrases, each.negative_prompt, each.origin)


def _prompts_in_turn(plan: Plan, position: int) -> Iterator[PlannedPrompt]:
    """Yield the prompts of a cell's images endlessly."""
    cell = plan.cells[position]
    seed = [plan.options.seed, cell.label, cell.attribute + 1]
    if written := plan.written_of(position):
        yield from map(functools.cache(plan.planned), drawn(written, seed))
    modifiers = plan.options.modifiers or MODIFIERS
    words = [modifiers[i] for i in np.random.default_rng(seed).permutation(len(modifiers))]
    axes = ordered(phrases_in_turn(plan, cell), seed)
    prompt = functools.cache(functools.partial(plan.prompt, position))
    for *ranks, k in turns([*map(len, axes.values()), len(words)]):
        phrases = tuple((name, axes[name][i]) for name, i in zip(axes, ranks, strict=True))
        yield PlannedPrompt(prompt(words[k], phrases), words[k], phrases)


def _slot_id(digest: str, name: str, index: int) -> str:
    mark = hashlib.sha256(f"{digest}/{name}/{index}".encode()).hexdigest()[:8]
    return f"{name}-{index:06d}-{mark}"


def image_seed(slot_id: str, attempt: int) -> int:
    """Return the seed of an attempt at a slot, below 2**53; it depends on the image's identity, not on the order."""
    return int.from_bytes(hashlib.sha256(f"{slot_id}/{attempt}".encode()).digest()[:8], "big") >> 11


def safe_names(names: tuple[str, ...]) -> list[str]:
    """Return a distinct short ASCII name for each name, for files and folders.

    >>> safe_names(("T-shirt/top", "Été", "大衣", "上衣"))
    ['t-shirt-top', 't', 'item-2', 'item-3']

    Raises:
        DataError: a name occurs twice.
    """
    if again := [name for name, number in Counter(names).items() if number > 1]:
        raise DataError(f"The name {again[0]!r} occurs twice. Rename one of them.")
    short = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") for name in names]
    uses = Counter(short)
    safe = [name if name and uses[name] == 1 else f"{name or 'item'}-{i}" for i, name in enumerate(short)]
    taken = Counter(safe)
    for i, name in enumerate(names):  # "type 2", if the second of two names shortened to "type" got that name
        if taken[safe[i]] > 1:
            safe[i] = f"{short[i] or 'item'}-{storage.digest(name.encode(errors='surrogatepass'))[:16]}"
    if len(set(safe)) < len(safe):  # two digests with the same start, or a name crafted to collide
        raise DataError(f"Two of the names {', '.join(names)} would be one folder. Rename one of them.")
    return safe
