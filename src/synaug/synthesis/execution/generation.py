"""Call a generator for a batch of slots, and check its results."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from synaug.errors import OptionError
from synaug.synthesis.generators import Guide, start_arguments
from synaug.synthesis.planning import Slot, image_seed

if TYPE_CHECKING:
    from synaug.synthesis.generators import Generated, Generator


@dataclass(frozen=True)
class Task:
    """An attempt at a slot."""

    slot: Slot
    attempt: int
    guide: Guide | None = None

    @property
    def seed(self) -> int:
        return image_seed(self.slot.id, self.attempt)


def generated(generator: Generator, tasks: Sequence[Task]) -> tuple[list[Generated], float]:
    """Return one result per task, and the seconds it took; plain images are wrapped."""
    from synaug.synthesis.generators import Generated

    if not callable(generator):
        raise OptionError(
            f"generator must be a callable (prompts, *, seeds) that makes images, got {type(generator).__name__} "
            f"{generator!r}. Pass a model folder or name as model=."
        )
    began = time.monotonic()
    more = start_arguments([task.guide for task in tasks if task.guide is not None])
    more |= _negative_prompts(generator, [task.slot.negative_prompt for task in tasks])
    prompts, seeds = [task.slot.prompt for task in tasks], [task.seed for task in tasks]
    returned: list[object] = list(generator(prompts, seeds=seeds, **more))
    if len(returned) != len(tasks):
        raise OptionError(f"The generator returned {len(returned)} images for {len(tasks)} prompts.")
    wrapped = []
    for each in returned:
        if not isinstance(each, Generated | Image.Image):
            raise OptionError(f"The generator returned {type(each).__name__}; expected Pillow images.")
        wrapped.append(each if isinstance(each, Generated) else Generated(each))
    return wrapped, time.monotonic() - began


def _negative_prompts(generator: Generator, given: Sequence[str]) -> dict[str, list[object]]:
    """Return the argument with the negative prompts of a prompts file, if the file has any.

    Raises:
        OptionError: the generator does not accept them.
    """
    if not any(given):
        return {}
    taken = inspect.signature(generator).parameters.values()
    if not any(each.name == "negative_prompts" or each.kind is each.VAR_KEYWORD for each in taken):
        raise OptionError(
            "The prompts file has negative prompts, which this generator does not accept. Add an argument "
            "negative_prompts to it, or remove the column."
        )
    return {"negative_prompts": list(given)}
