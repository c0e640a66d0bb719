"""Choose the init image for image-to-image: from the same class, or from a many-shot one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from synaug.data.manifest import Manifest, read_image
from synaug.errors import OptionError
from synaug.synthesis.planning.plan import Plan
from synaug.synthesis.planning.slots import Slot

MANY = 100  # a class with more training images is many-shot (Liu et al. 2019)

Guides = Callable[[Slot], tuple[str, Image.Image]]
"""Returns the id and content of a slot's init image."""


def make_guides(plan: Plan, manifest: Manifest) -> Guides | None:
    """Return a function that chooses a slot's init image deterministically; None if the variant needs none.

    ``intra`` uses a training image of the slot's class (of its group, if the group has any); ``inter`` uses one of
    another, many-shot class, or of the largest other class if none is many-shot.

    Raises:
        OptionError: a cell has no init image.
    """
    if plan.options.variant not in ("intra", "inter"):
        return None
    real = manifest.split("train")
    real = real.rows(~real.is_synthetic)
    choose = same_class if plan.options.variant == "intra" else many_shot_class
    rows = {cell.name: choose(real, cell.label, cell.attribute) for cell in plan.cells}
    for cell in plan.cells:
        if cell.num_to_generate and not len(rows[cell.name]):
            raise OptionError(
                f"variant {plan.options.variant!r} has no real image to start {cell.name!r} from; use variant 'text'."
            )

    def guide(slot: Slot) -> tuple[str, Image.Image]:
        mine = rows[slot.cell.name]
        row = int(mine[_number(slot.id) % len(mine)])
        return str(real.frame["id"].iat[row]), read_image(real, row)

    return guide


def _number(slot_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{slot_id}/guide".encode()).digest()[:8], "big")


def same_class(real: Manifest, label: int, attribute: int) -> np.ndarray:
    """Return the rows of the class, or only those with the attribute if there are any."""
    mine = real.labels == label
    both = mine & (real.attributes == attribute)
    return np.flatnonzero(both if attribute >= 0 and both.any() else mine)


def many_shot_class(real: Manifest, label: int, _attribute: int) -> np.ndarray:
    """Return the rows of other classes with more than ``MANY`` images, or of the largest other class."""
    counts = np.bincount(real.labels, minlength=real.num_classes)
    counts[label] = 0
    wanted = counts > MANY if (counts > MANY).any() else (counts == counts.max()) & (counts > 0)
    return np.flatnonzero(wanted[real.labels])
