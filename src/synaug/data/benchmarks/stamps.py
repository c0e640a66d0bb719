"""Read the photographs in Debian's ``tuxpaint-stamps-default`` (GPL-2) in place: named, transparent cut-outs.

The natural classes have 35 down to 4 images; in some classes drawings replace photographs, so that "drawn" is an
unplanned spurious attribute. Nothing is copied out of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from synaug.data.manifest import Manifest, from_arrays
from synaug.errors import EnvironmentFault

FOLDER = Path("/usr/share/tuxpaint/stamps")
PACKAGE = "tuxpaint-stamps-default"
SIDE = 128  # pixels
ATTRIBUTES = ("photograph", "drawing")
BACKGROUND = (236, 236, 236)
CLASSES = {
    "bird": "animals/birds",
    "fruit": "food/fruit",
    "flower": "plants/flowers",
    "vegetable": "food/vegetables",
    "cow": "animals/mammals/bovines",
    "tool": "household/tools",
    "fish": "animals/fish",
    "insect": "animals/insects",
    "house": "town/houses",
    "monument": "town/monuments",
    "rodent": "animals/mammals/rodents",
    "tree": "plants/trees",
    "locomotive": "vehicles/locomotive",
    "coin": "symbols/money/euro/coins",
    "string instrument": "hobbies/music/string",
    "hat": "clothes/hats",
    "cat": "animals/mammals/cats",
    "horse": "animals/mammals/equines",
    "deer": "animals/mammals/deer",
}
"""Name of each class and the folder of its images; drawings are in its subfolder ``cartoon``."""
_HELD_OUT = 3  # every third image per class and kind is for testing, so that small classes have some
_LEAST_ALPHA = 0.02  # share of transparent pixels that makes an image a cut-out


@dataclass(frozen=True, eq=False)
class Stamps:
    """The images as a data set, and the same images as transparent cut-outs, row by row."""

    data: Manifest
    cutouts: tuple[Image.Image, ...]


def read_stamps(folder: Path = FOLDER, *, side: int = SIDE) -> Stamps:
    """Return the stamps on a plain background, ``side`` pixels square, with the attribute photograph or drawing.

    The split is fixed: per class and kind, in name order, every third image is for testing.

    Raises:
        EnvironmentFault: the package is not installed.
    """
    if not folder.is_dir():
        raise EnvironmentFault(f"{folder} does not exist. Install the Debian package: apt-get install {PACKAGE}")
    names, images, cutouts, labels, attributes, splits = [], [], [], [], [], []
    for label, place in enumerate(CLASSES.values()):
        for attribute, part in enumerate((folder / place, folder / place / "cartoon")):
            for position, path in enumerate(sorted(part.glob("*.png"))):
                cutout = _fitted(path, side)
                names.append(path.relative_to(folder).as_posix())
                images.append(np.asarray(composed(cutout, Image.new("RGB", (side, side), BACKGROUND))))
                cutouts.append(cutout)
                labels.append(label)
                attributes.append(attribute)
                splits.append("test" if position % _HELD_OUT == 1 else "train")
    if not images:
        raise EnvironmentFault(f"{folder} holds no stamps. Install the Debian package again: {PACKAGE}")
    data = from_arrays(
        np.stack(images),
        np.array(labels),
        class_names=tuple(CLASSES),
        attributes=np.array(attributes),
        attribute_names=ATTRIBUTES,
        split=splits,
    )
    return Stamps(data, tuple(cutouts))


def composed(cutout: Image.Image, background: Image.Image) -> Image.Image:
    """Return the cut-out centered on a background that is at least as large."""
    picture = background.convert("RGBA")
    picture.alpha_composite(cutout, ((picture.width - cutout.width) // 2, (picture.height - cutout.height) // 2))
    return picture.convert("RGB")


def is_cutout(image: Image.Image) -> bool:
    """Return whether part of an RGBA image is transparent, so that it can be placed on another background."""
    return bool((np.asarray(image.getchannel("A")) < 128).mean() >= _LEAST_ALPHA)


def _fitted(path: Path, side: int) -> Image.Image:
    """Return a stamp without its empty border, scaled to fit; PNG only, so no other parser sees the file."""
    with Image.open(path, formats=("PNG",)) as file:
        image = file.convert("RGBA")
    box = image.getchannel("A").getbbox()
    image = image.crop(box) if box else image
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
