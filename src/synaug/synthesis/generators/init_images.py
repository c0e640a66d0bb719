"""Choose the real images that a slot starts from: for image-to-image, inpainting, references and ControlNet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from PIL import Image

from synaug.data import Manifest, read_image
from synaug.errors import OptionError
from synaug.runtime import storage
from synaug.synthesis.generators.object_masks import Masks
from synaug.synthesis.planning import Plan, Slot

MANY = 100  # a class with more training images is many-shot (Liu et al. 2019)


class GuideRecord(TypedDict, total=False):
    """The keys that an init image adds to the journal; ``guides`` only if there are several, in their order."""

    guide: str
    guides: list[str]
    mask_sha256: str


@dataclass(frozen=True)
class Guide:
    """The real images that a slot starts from, with their ids.

    Args:
        ids: ids of all these images.
        start: the image that image-to-image or inpainting changes.
        mask: the part that inpainting repaints, in white; mode ``L``, in the size of the start.
        references: images that the result should look like.
        control: the image whose edges the result gets.
    """

    ids: tuple[str, ...]
    start: Image.Image | None = None
    mask: Image.Image | None = None
    references: tuple[Image.Image, ...] = ()
    control: Image.Image | None = None

    def record(self) -> GuideRecord:
        """Return the ids and the mask's digest for the journal."""
        record: GuideRecord = {"guide": self.ids[0]}
        if len(self.ids) > 1:
            record["guides"] = list(self.ids)
        if self.mask is not None:
            record["mask_sha256"] = storage.digest(self.mask.tobytes())
        return record


Guides = Callable[[Slot], Guide]
"""Returns the real images that a slot starts from."""


def start_arguments(guides: Sequence[Guide]) -> dict[str, list[object]]:
    """Return the arguments for the guides of a batch: ``images``, ``masks``, ``references`` and ``controls``."""
    found: dict[str, list[object]] = {}
    for name, part in (("images", "start"), ("masks", "mask"), ("references", "references"), ("controls", "control")):
        values: list[object] = [getattr(guide, part) for guide in guides]
        if values and values[0] not in (None, ()):
            found[name] = values
    return found


def make_guides(plan: Plan, manifest: Manifest) -> Guides | None:
    """Return a function that chooses a slot's init image deterministically; None if the variant needs none.

    ``intra``, ``inpaint``, ``reference`` and ControlNet take training images of the slot's class (of its group, if that
    has any); ``inter`` takes one of a many-shot class other than its own, or of the largest other class if none is
    many-shot.

    Raises:
        OptionError: a cell has no init image.
    """
    variant, options = plan.options.variant, plan.generate
    if variant not in ("intra", "inter", "inpaint", "reference") and options.controlnet is None:
        return None
    real = manifest.split("train")
    real = real.rows(~real.is_synthetic)
    choose = many_shot_class if variant == "inter" else same_class
    rows = {cell.name: choose(real, cell.label, cell.attribute) for cell in plan.cells}
    for cell in plan.cells:
        if cell.num_to_generate and not len(rows[cell.name]):
            raise OptionError(f"variant {variant!r} has no real image to start {cell.name!r} from; use variant 'text'.")
    masks = Masks(plan, real) if variant == "inpaint" else None

    def guide(slot: Slot) -> Guide:
        mine = rows[slot.cell.name]
        number = options.references if variant == "reference" else 1
        first = _number(slot.id) % len(mine)
        chosen = [int(mine[first])] if number == 1 else _drawn(mine, number, slot.id)
        images = tuple(read_image(real, row) for row in chosen)
        return Guide(
            ids=tuple(str(real.frame["id"].iat[row]) for row in chosen),
            start=images[0] if variant in ("intra", "inter", "inpaint") else None,
            mask=None if masks is None else masks(chosen[0], images[0]),
            references=images if variant == "reference" else (),
            control=images[0] if options.controlnet is not None else None,
        )

    return guide


def _drawn(rows: np.ndarray, number: int, slot_id: str) -> list[int]:
    """Return this many distinct rows, or all if there are fewer; the slot determines which ones."""
    rng = np.random.default_rng(_number(slot_id))
    return [int(row) for row in rng.permutation(rows)[:number]]


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
