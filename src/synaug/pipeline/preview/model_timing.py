"""Time the model of a run on this machine before any cost arises."""

from __future__ import annotations

import collections
import itertools
import time

from synaug.config import Recipe
from synaug.errors import OptionError
from synaug.pipeline.generate import loaded_generator
from synaug.recipes import with_overrides
from synaug.run_directory import Run
from synaug.runtime import Progress, silent
from synaug.synthesis.generators import make_guides, start_arguments
from synaug.synthesis.generators.models import is_service
from synaug.synthesis.planning import Pace, image_seed
from synaug.synthesis.planning.slots import slots

_BATCH = 16  # for a generator that has no batch size, as in synthesize


def check_measurable(recipe: Recipe) -> None:
    """Check that timing costs nothing.

    Raises:
        OptionError: a service would be paid for the images.
    """
    if recipe.generate.generator is None and is_service(recipe.plan.model):
        raise OptionError(
            f"--measure would pay {recipe.plan.model} for images and discard them. Leave it out; 'synaug try' "
            "generates a few images and keeps them."
        )


def measured_pace(run: Run, *, progress: Progress = silent) -> Pace:
    """Return the time per planned image on this machine: batches are discarded, and the last one is timed.

    The batch first grows as in ``generate``. A fitted model, which does not exist before its training, is timed by its
    base model, since both compute the same.

    Args:
        run: the run whose model is timed.
        progress: called with the progress of the timing.
    """
    plan, recipe = run.plan, run.recipe
    if not plan.num_to_generate:
        return Pace(0.0)
    if recipe.plan.variant == "fitted":
        recipe = with_overrides(recipe, {"plan.variant": "text"})
    generator = loaded_generator(run, recipe, progress=progress)
    guides = make_guides(plan, run.manifest)

    def timed(size: int) -> float:
        batch = list(itertools.islice(slots(plan), size))
        starts = start_arguments([guides(slot) for slot in batch]) if guides else {}
        prompts, seeds = [slot.prompt for slot in batch], [image_seed(slot.id, 0) for slot in batch]
        began = time.perf_counter()
        collections.deque(generator(prompts, seeds=seeds, **starts), maxlen=0)
        return (time.perf_counter() - began) / len(batch)

    before, size, seconds = -1, 0, 0.0
    while before != size:
        progress("timing a batch", 0, 1, f"{size} at once" if size else "")
        before, size = size, getattr(generator, "batch_size", _BATCH)
        seconds = timed(size)
    progress("timing a batch", 1, 1, f"{min(size, plan.num_to_generate)} at once")
    return Pace(seconds, getattr(generator, "about", {}).get("device"))
