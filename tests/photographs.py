"""Write 168 photographs of six classes: crops of pictures that scikit-image and scikit-learn install.

A small version of a typical first data set: color, JPEG, few images, one class with five. Run it by hand with
``python tests/photographs.py FOLDER``.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

SIDE = 96  # pixels
SIZES = {"cat": 60, "temple": 45, "flower": 30, "coffee": 18, "rocket": 10, "motorcycle": 5}
"""Number of images per class: 168 in all."""
_SHARES = (0.35, 0.6)  # of the shorter side of the picture, the part that a crop shows
_LIGHT = (0.8, 1.2)  # brightness and contrast of a crop


def write_photographs(folder: Path, *, sizes: dict[str, int] = SIZES, side: int = SIDE, seed: int = 0) -> Path:
    """Write a class-per-folder tree of JPEG files and return its folder; equal arguments give equal files."""
    for number, (name, size) in enumerate(sizes.items()):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for position, image in enumerate(crops(name, size, side=side, seed=[seed, number])):
            image.save(place / f"{position:03d}.jpg", quality=92)
    return folder


def crops(name: str, number: int, *, side: int = SIDE, seed: int | list[int] = 0) -> list[Image.Image]:
    """Return ``number`` square crops of the class's pictures with random positions, sizes and brightness."""
    rng, pictures = np.random.default_rng(seed), pictures_of(name)
    return [_crop(pictures[position % len(pictures)], side, rng) for position in range(number)]


def _crop(picture: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    length = int(rng.uniform(*_SHARES) * min(picture.size))
    left, top = (int(rng.integers(0, size - length + 1)) for size in picture.size)
    image = picture.crop((left, top, left + length, top + length)).resize((side, side), Image.Resampling.LANCZOS)
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        image = enhancer(image).enhance(rng.uniform(*_LIGHT))
    return ImageOps.mirror(image) if rng.random() < 0.5 else image


def pictures_of(name: str) -> list[Image.Image]:
    """Return the pictures from which the crops of a class are cut."""
    import skimage
    import sklearn

    photos, more = Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images"
    paths = {
        "cat": [photos / "chelsea.png"],
        "temple": [more / "china.jpg"],
        "flower": [more / "flower.jpg"],
        "coffee": [photos / "coffee.png"],
        "rocket": [photos / "rocket.jpg"],
        "motorcycle": [photos / "motorcycle_left.png", photos / "motorcycle_right.png"],
    }
    return [Image.open(path).convert("RGB") for path in paths[name]]


if __name__ == "__main__":
    write_photographs(Path(sys.argv[1]))
