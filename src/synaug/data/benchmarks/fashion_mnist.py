"""Fashion-MNIST on this machine: find its archives, split them, and tint items or place them on backgrounds.

The 60,000 training images are split once and for all, so that no measured image was seen by the embedded generator: the
first 3,000 of each class in file order (minus exact copies of other images) trained the generator; the other 3,000 are
for training sets; the 10,000 test images are for testing.

Fashion-MNIST: Xiao, Rasul and Vollgraf 2017, MIT license.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synaug.errors import DataError
from synaug.runtime.files import directories

CLASS_NAMES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
TINTS = {
    "grey": (1.0, 1.0, 1.0),
    "red": (1.0, 0.28, 0.25),
    "green": (0.35, 0.95, 0.35),
    "blue": (0.35, 0.5, 1.0),
}
BACKGROUNDS = ("plain", "land", "water")
GENERATOR_IMAGES_PER_CLASS = 3000
ARCHIVE_FOLDERS = (
    Path("/usr/share/datasets/fashion-mnist"),
    Path("~/.cache/synaug/fashion-mnist"),
)
_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


@dataclass(frozen=True)
class FashionMnist:
    """Gray images, uint8 of shape ``(N, 28, 28)``, and labels, int64 of shape ``(N,)`` in 0..9."""

    images: np.ndarray
    labels: np.ndarray


def archive_folder(folder: str | Path | None = None) -> Path:
    """Return the folder with the four Fashion-MNIST archives.

    Raises:
        DataError: no known folder has them.
    """
    candidates = [Path(folder)] if folder else [place.expanduser() for place in ARCHIVE_FOLDERS]
    names = [name for pair in _FILES.values() for name in pair]
    for candidate in candidates:
        if all((candidate / name).is_file() for name in names):
            return candidate
    raise DataError(
        f"Fashion-MNIST was not found in {', '.join(map(str, candidates))}. Install it with "
        "'apt-get install dataset-fashion-mnist', or put the four idx .gz files "
        f"({', '.join(names)}) into {candidates[-1]}."
    )


def read_archive(split: str, folder: str | Path | None = None) -> FashionMnist:
    """Return the ``"train"`` (60,000) or ``"test"`` (10,000) images, in file order."""
    place = archive_folder(folder)
    images_file, labels_file = (place / name for name in _FILES[split])
    images, labels = _read_idx(images_file, (28, 28)), _read_idx(labels_file, ())
    if len(images) != len(labels):
        raise DataError(f"{place}: {len(images)} {split} images but {len(labels)} labels.")
    return FashionMnist(images=images, labels=labels.astype(np.int64))


def _read_idx(path: Path, item_shape: tuple[int, ...]) -> np.ndarray:
    data = gzip.decompress(directories.read_bytes(path))
    num_dims = 1 + len(item_shape)
    shape = tuple(np.frombuffer(data, ">u4", num_dims, offset=4).tolist())
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * num_dims)
    if data[2:4] != bytes([8, num_dims]) or shape[1:] != item_shape or values.size != np.prod(shape):
        raise DataError(f"{path} is not the Fashion-MNIST file of that name (header says {shape}).")
    return values.reshape(shape)


@dataclass(frozen=True)
class Split:
    """Positions in the training archive: images seen by the generator, and images left for training sets."""

    generator: np.ndarray
    held_out: np.ndarray


def split_positions(train: FashionMnist, test: FashionMnist) -> Split:
    """Split the training archive: the first 3,000 per class for the generator, the others held out.

    Generator images whose pixels also occur in the held-out part or the test set are removed, so that the parts are
    disjoint by content and not only by position.
    """
    first = np.zeros(len(train.labels), dtype=bool)
    for label in range(len(CLASS_NAMES)):
        first[np.flatnonzero(train.labels == label)[:GENERATOR_IMAGES_PER_CLASS]] = True
    held_out = np.flatnonzero(~first)
    measured = {image.tobytes() for image in train.images[held_out]}
    measured |= {image.tobytes() for image in test.images}
    generator = np.array(
        [i for i in np.flatnonzero(first) if train.images[i].tobytes() not in measured], dtype=np.int64
    )
    return Split(generator=generator, held_out=held_out)


def render(
    images: np.ndarray,
    *,
    tints: np.ndarray,
    backgrounds: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return gray items tinted and placed on procedural backgrounds.

    Args:
        images: uint8 of shape ``(N, H, W)``; 0 means no item at this pixel.
        tints: positions in ``TINTS``, shape ``(N,)``; 0 leaves the item gray.
        backgrounds: positions in ``BACKGROUNDS``, shape ``(N,)``; 0 leaves it black.
        rng: source of the textures.

    Returns:
        uint8 of shape ``(N, H, W, 3)``. With tint 0 and background 0, the gray image repeated three times, except that
            values below 39, where the background shows through, are darker.
    """
    gray = images.astype(np.float32)[..., None] / 255
    item = gray * np.array(list(TINTS.values()), np.float32)[tints][:, None, None, :]
    scene = np.zeros_like(item)
    for number, texture in ((1, land_texture), (2, water_texture)):
        chosen = backgrounds == number
        scene[chosen] = texture(int(chosen.sum()), size=images.shape[1:], rng=rng)
    cover = np.clip(gray / 0.15, 0, 1)
    return np.round(255 * (cover * item + (1 - cover) * scene)).astype(np.uint8)


def land_texture(num: int, *, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return brown-green patches, float32 of shape ``(num, H, W, 3)`` in [0, 1]."""
    patches = _smooth_noise(num, size, cells=6, rng=rng)[..., None]
    grain = rng.normal(0, 0.03, (num, *size, 1)).astype(np.float32)
    brown, green = np.array([[0.52, 0.38, 0.22], [0.36, 0.52, 0.22]], np.float32)
    return np.clip(patches * brown + (1 - patches) * green + grain, 0, 1)


def water_texture(num: int, *, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return blue waves, float32 of shape ``(num, H, W, 3)`` in [0, 1]."""
    rows = np.arange(size[0], dtype=np.float32)[None, :, None]
    period = rng.uniform(5, 9, (num, 1, 1)).astype(np.float32)
    bend = 4 * _smooth_noise(num, size, cells=4, rng=rng)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (rows + bend) / period + rng.uniform(0, 6.28, (num, 1, 1)))
    wave = wave.astype(np.float32)[..., None]
    deep, foam = np.array([[0.12, 0.34, 0.58], [0.42, 0.66, 0.80]], np.float32)
    return np.clip(wave * foam + (1 - wave) * deep, 0, 1)


def _smooth_noise(num: int, size: tuple[int, ...], *, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return bilinearly enlarged uniform noise, float32 of shape ``(num, H, W)`` in [0, 1]."""
    coarse = rng.random((num, cells + 1, cells + 1), dtype=np.float32)
    rows, row_part = _grid(size[0], cells)
    columns, column_part = _grid(size[1], cells)
    upper = coarse[:, rows] * (1 - row_part)[:, None] + coarse[:, rows + 1] * row_part[:, None]
    left, right = upper[:, :, columns], upper[:, :, columns + 1]
    return left * (1 - column_part) + right * column_part


def _grid(length: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    position = np.linspace(0, cells, length, endpoint=False, dtype=np.float32)
    whole = position.astype(np.int64)
    return whole, position - whole
