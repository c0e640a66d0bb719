"""Hold a training set: one uint8 tensor if it fits into memory, with labels, groups and normalization."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synaug.data import Manifest, naming_changed_files, read_image
from synaug.data.color_mode import color_mode
from synaug.errors import DataError
from synaug.runtime import Progress, signals, silent, to_device
from synaug.training.lazy_images import ImageFiles, pixels

_PROBED = 256
_MEASURED = 20_000  # images for mean and deviation, approximately
_MAX_MIXED_SIDE = 224

Normalization = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Images in memory with everything that training needs.

    Attributes:
        images: uint8, shape ``(N, C, H, W)``; files that are decoded on access if memory is too small.
        labels: int64, shape ``(N,)``.
        is_synthetic: bool, shape ``(N,)``.
        groups: ``label * num_attributes + attribute``, int64 of shape ``(N,)``; -1: unknown.
        mean: mean of each channel of the real images in [0, 1], shape ``(C,)``; ``std`` likewise.
        side: side of the network's square input, if images are stored larger: a random part of them in training, the
            center otherwise. None: the whole image.
        weights: weight of each image in the loss, from 0 to 1, float32 of shape ``(N,)``; None: all 1.
        autoencoded: the real images as the generator's autoencoder returns them, shaped like ``images`` except for
            their number; ``twins`` has each image's position in it, and stays on the CPU.
        twins: position of each image in ``autoencoded``, int64 of shape ``(N,)``; -1: none.
    """

    images: Tensor | ImageFiles
    labels: Tensor
    is_synthetic: Tensor
    groups: Tensor
    num_classes: int
    num_groups: int
    mean: Tensor
    std: Tensor
    side: int | None = None
    weights: Tensor | None = None
    autoencoded: Tensor | ImageFiles | None = None
    twins: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_counts(self) -> Tensor:
        """Real images per class, int64 of shape ``(num_classes,)``."""
        return torch.bincount(self.labels[~self.is_synthetic], minlength=self.num_classes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a network's input."""
        height, width = self.images.shape[2:]
        return (height, width) if self.side is None else (self.side, self.side)

    def rows(self, chosen: Tensor | np.ndarray) -> TrainingSet:
        """Return the images at these positions or under this mask."""
        index = torch.as_tensor(chosen, device=self.labels.device)
        return replace(
            self,
            images=self.images.rows(index) if isinstance(self.images, ImageFiles) else self.images[index],
            labels=self.labels[index],
            is_synthetic=self.is_synthetic[index],
            groups=self.groups[index],
            weights=None if self.weights is None else self.weights[index],
            twins=None if self.twins is None else self.twins[index.cpu()],
        )

    def to(self, device: torch.device | str) -> TrainingSet:
        """Return the set on a device; images that would take over half of its free memory stay where they are."""
        images = self.images
        if isinstance(images, Tensor) and images.nbytes <= _free_memory(torch.device(device)) / 2:
            images = images.to(device)
        return replace(
            self,
            images=images,
            labels=self.labels.to(device),
            is_synthetic=self.is_synthetic.to(device),
            groups=self.groups.to(device),
            mean=self.mean.to(device),
            std=self.std.to(device),
            weights=None if self.weights is None else self.weights.to(device),
        )

    def batch(self, positions: Tensor) -> Tensor:
        """Return the stored images at these positions, uint8, on the device of the labels."""
        return to_device(_taken(self.images, positions), self.labels.device)

    def centers(self, positions: Tensor) -> Tensor:
        """Return the images at these positions in the form a network gets outside training, uint8."""
        images = self.batch(positions)
        if self.side is None:
            return images
        top, left = ((length - self.side) // 2 for length in images.shape[2:])
        return images[:, :, top : top + self.side, left : left + self.side]

    def with_twins(self, positions: Tensor, wanted: Tensor) -> Tensor:
        """Return the images, with those under the mask ``wanted`` replaced by their autoencoded twins, if any.

        Args:
            positions: positions of the images, shape ``(B,)``, on the CPU.
            wanted: bool, shape ``(B,)``, on the CPU.
        """
        images = self.batch(positions)
        if self.twins is None or self.autoencoded is None:
            return images
        twins = self.twins[positions]
        chosen = torch.nonzero(wanted & (twins >= 0))[:, 0]
        others = to_device(_taken(self.autoencoded, twins[chosen]), images.device)
        return images.index_copy(0, to_device(chosen, images.device), others)

    def normalized(self, images: Tensor) -> Tensor:
        """Return uint8 images as float32 with the set's mean 0 and standard deviation 1 in each channel."""
        return normalized(images, mean=self.mean, std=self.std)


def _taken(images: Tensor | ImageFiles, positions: Tensor) -> Tensor:
    """Return the images at these positions, wherever they are kept."""
    return images[to_device(positions, images.device) if isinstance(images, Tensor) else positions.cpu()]


def make_training_set(
    images: Tensor | ImageFiles,
    labels: Tensor,
    *,
    num_classes: int,
    is_synthetic: Tensor | None = None,
    groups: Tensor | None = None,
    num_groups: int = 0,
    like: TrainingSet | None = None,
    normalization: Normalization | None = None,
) -> TrainingSet:
    """Make a training set from tensors, with the mean and deviation of its real images or those of ``like``.

    >>> gray = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    >>> make_training_set(gray, torch.tensor([0, 1]), num_classes=3).class_counts.tolist()
    [1, 1, 0]
    """
    dtype = images.dtype if isinstance(images, Tensor) else torch.uint8
    if dtype != torch.uint8 or len(images.shape) != 4 or len(images) != len(labels):
        raise DataError(
            f"A training set needs uint8 images of shape (N, C, H, W) and N labels, but got "
            f"{dtype} of shape {tuple(images.shape)} and {len(labels)} labels."
        )
    if is_synthetic is None:
        is_synthetic = torch.zeros(len(labels), dtype=torch.bool)
    if normalization is not None:
        mean, std = (torch.tensor(values).expand(images.shape[1]).clone() for values in normalization)
    elif like is None:
        real = torch.arange(len(labels)) if is_synthetic.all() else torch.nonzero(~is_synthetic).flatten()
        mean, std = channel_statistics(images[real[:: max(1, len(real) // _MEASURED)]])
    else:
        mean, std = like.mean, like.std
    return TrainingSet(
        images=images,
        labels=labels.long(),
        is_synthetic=is_synthetic,
        groups=torch.full((len(labels),), -1) if groups is None else groups.long(),
        num_classes=num_classes,
        num_groups=num_groups,
        mean=mean,
        std=std,
    )


def joined(first: TrainingSet, second: TrainingSet) -> TrainingSet:
    """Return the images of both sets, with the normalization of the first.

    Raises:
        DataError: one of them is not in memory; join the manifests instead.
    """
    if isinstance(first.images, ImageFiles) or isinstance(second.images, ImageFiles):
        raise DataError("Sets that are not in memory cannot be joined; join their manifests and load those.")
    return replace(
        first,
        images=torch.cat([first.images, second.images]),
        labels=torch.cat([first.labels, second.labels]),
        is_synthetic=torch.cat([first.is_synthetic, second.is_synthetic]),
        groups=torch.cat([first.groups, second.groups]),
        weights=None,
        autoencoded=None,
        twins=None,
    )


def load_training_set(
    manifest: Manifest,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    like: TrainingSet | None = None,
    normalization: Normalization | None = None,
    in_memory: bool | None = None,
    progress: Progress = silent,
) -> TrainingSet:
    """Read the images of a manifest as one set.

    Args:
        manifest: the images.
        image_size: side in pixels; images are resized and cropped to a centered square. Default: their common size or,
            if they differ, the median shorter side, at most 224.
        channels: 1 or 3. Default: 1 if the images are gray.
        like: take size, channels and normalization from this set, as a test set must from its training set.
        normalization: mean and deviation per channel, as a pretrained network needs them; default: those of
            the real images. See ``timm_networks.pretrained_normalization``.
        in_memory: whether to decode all images now, or each on access. Default: now, if they take at most half of
            the free memory.
        progress: called with the number of decoded images.

    Raises:
        DataError: the manifest is empty, or an image cannot be read.
        ChangedFileError: files do not match the digests in the manifest; the message names the first.
    """
    if not len(manifest):
        raise DataError("There are no images to load: the manifest is empty.")
    with naming_changed_files(manifest):
        return _loaded(manifest, image_size, channels, like, normalization, in_memory, progress)


def _loaded(
    manifest: Manifest,
    image_size: int | None,
    channels: int | None,
    like: TrainingSet | None,
    normalization: Normalization | None,
    in_memory: bool | None,
    progress: Progress,
) -> TrainingSet:
    if like is not None:
        channels, height, width = like.images.shape[1:]
    else:
        height, width = _probed_shape(manifest, image_size)
        channels = channels or (1 if color_mode(_real_or_all(manifest)) == "L" else 3)
    num_bytes = len(manifest) * channels * height * width
    if in_memory is None:
        in_memory = num_bytes <= _free_memory(torch.device("cpu")) / 2
    files = ImageFiles(manifest, channels=channels, size=(width, height))
    images = _decoded(manifest, tuple(files.shape), progress) if in_memory else files
    attributes = torch.from_numpy(manifest.attributes.copy())
    labels = torch.from_numpy(manifest.labels.copy())
    return make_training_set(
        images,
        labels,
        num_classes=manifest.num_classes,
        is_synthetic=torch.from_numpy(manifest.is_synthetic.copy()),
        groups=torch.where(attributes < 0, -1, labels * manifest.num_attributes + attributes),
        num_groups=manifest.num_classes * manifest.num_attributes,
        like=like,
        normalization=normalization,
    )


def _decoded(manifest: Manifest, shape: tuple[int, ...], progress: Progress) -> Tensor:
    images = np.empty(shape, np.uint8)
    _, channels, height, width = shape

    def decode(row: int) -> None:
        images[row] = pixels(read_image(manifest, row), channels=channels, size=(width, height))

    with ThreadPoolExecutor() as threads:
        for done, _ in enumerate(threads.map(decode, range(len(manifest))), 1):
            progress("reading images", done, len(manifest), "")
            if done % 256 == 0:
                signals.stop_here()
    return torch.from_numpy(images)


def _free_memory(device: torch.device) -> int:
    """Return the free bytes of a device."""
    import psutil  # type: ignore[import-untyped]

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def _probed_shape(manifest: Manifest, image_size: int | None) -> tuple[int, int]:
    if image_size is not None:
        return image_size, image_size
    rows = np.unique(np.linspace(0, len(manifest) - 1, _PROBED).astype(int))
    probes = [read_image(manifest, int(row)) for row in rows]
    sizes = {image.size for image in probes}
    if len(sizes) == 1:
        width, height = sizes.pop()
        return height, width
    side = min(_MAX_MIXED_SIDE, int(np.median([min(image.size) for image in probes])))
    return side, side


def _real_or_all(manifest: Manifest) -> Manifest:
    """Return the real images, which decide between gray and color, or all images if none is real."""
    is_real = ~manifest.is_synthetic
    return manifest.rows(is_real) if is_real.any() else manifest


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel of uint8 images, in [0, 1]; the deviation is at least 1/255."""
    counts = torch.stack(
        [torch.bincount(images[:, c].reshape(-1), minlength=256) for c in range(images.shape[1])]
    ).double()
    values = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ values
    std = (share @ values**2 - mean**2).clamp(min=0).sqrt().clamp(min=1 / 255)
    return mean.float(), std.float()


def normalized(images: Tensor, *, mean: Tensor, std: Tensor) -> Tensor:
    """Return ``(images / 255 - mean) / std`` in float32."""
    scale = 1 / (255 * std)
    return images.float().mul_(scale[:, None, None]).sub_((mean / std)[:, None, None])
