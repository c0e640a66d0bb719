"""Load the images for training and testing once for all methods."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from synaug.config import ImagesOptions, TrainOptions
from synaug.data import Manifest, balanced_positions, group_balanced_positions, joined
from synaug.errors import OptionError, unknown
from synaug.methods.spectrum_matching import with_matched_spectrum
from synaug.run_directory import Run
from synaug.runtime import Progress, silent, storage
from synaug.synthesis.execution import synthetic_manifest
from synaug.synthesis.generators import autoencoded_manifest
from synaug.synthesis.planning import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from synaug.training import Normalization, TrainingSet

LARGEST_SIDE = 224  # pixels; the largest input of a network without pretrained weights
NUM_DRAWS = 10  # of balanced images; with one, chance moves the worst group of fashion-spurious by 3 points (deviation)


@dataclass(frozen=True)
class Sets:
    """The images in memory for training and evaluation, and features that several methods share.

    ``num_planned``: images of the balanced set once it is complete, which determines the number of steps; None: the
    existing ones.
    ``validation`` are the images of the data's validation split, None if it has none: options, checkpoints and last
    layers may be chosen on them.
    """

    real: TrainingSet
    evened_out: TrainingSet
    test: TrainingSet
    validation: TrainingSet | None = None
    class_names: tuple[str, ...] = ()
    num_planned: int | None = None
    features: dict[tuple[str, str, str], Tensor] = field(default_factory=dict)

    @property
    def num_counted(self) -> int:
        """Images per epoch, for every method: those of the complete balanced set."""
        return len(self.evened_out) if self.num_planned is None else self.num_planned


def load_sets(
    run: Run,
    options: TrainOptions,
    *,
    real: Manifest | None = None,
    autoencoded: bool = False,
    progress: Progress = silent,
) -> Sets:
    """Load real, synthetic, validation and test images at one size, normalized alike.

    The images that were loaded last stay in memory as long as the ``Run`` lives, or until ``forget_sets``: the stages
    of one command read them once.

    Args:
        run: the run whose images are loaded.
        options: size and normalization.
        real: images that replace the run's training images.
        autoencoded: also load the real images as the generator's autoencoder returns them.
        progress: called with the progress so far.
    """
    manifest, plan = run.manifest, run.plan
    synthetic = synthetic_manifest(plan, run.path)
    form = input_of(options.network, options, plan)
    numbers = tuple((cell.target, cell.num_to_generate) for cell in plan.cells)
    ids = storage.digest("\n".join(synthetic.frame["id"]).encode())
    given = (options.load_size, options.match_spectrum, options.in_memory, autoencoded)
    key = (ids, images_digest(synthetic), numbers, form, given)
    kept = _KEPT.pop(run, None)  # gone before others are loaded, so that memory holds one set
    if kept is not None and kept.manifest is manifest and kept.key == key and real is None:
        sets = replace(kept.sets, features={})
    else:
        sets = _loaded(run, options, form, synthetic, real=real, autoencoded=autoencoded, progress=progress)
    if real is None:
        _KEPT[run] = _Kept(manifest, key, sets)
    return sets


@dataclass(frozen=True)
class _Kept:
    """Images in memory, and everything that they depend on."""

    manifest: Manifest
    key: tuple[object, ...]
    sets: Sets


_KEPT: WeakKeyDictionary[Run, _Kept] = WeakKeyDictionary()


def forget_sets(run: Run) -> None:
    """Free the memory of the images that ``load_sets`` loaded last."""
    _KEPT.pop(run, None)


def _loaded(
    run: Run,
    options: TrainOptions,
    form: tuple[int, int, Normalization | None],
    synthetic: Manifest,
    *,
    real: Manifest | None,
    autoencoded: bool,
    progress: Progress,
) -> Sets:
    import torch

    from synaug.training import load_training_set

    manifest, plan = run.manifest, run.plan
    real = manifest.split("train") if real is None else real
    channels, side, normalization = form
    load = partial(load_training_set, in_memory=options.in_memory, progress=progress)
    stored = stored_side(side, options)
    rows, twin_rows = joined(real, synthetic), autoencoded_manifest(plan, real, run.path) if autoencoded else None
    both = load(rows, image_size=stored, channels=channels, normalization=normalization)
    if stored != side:
        both = replace(both, side=side)
    if twin_rows is not None:
        twins = load(twin_rows, like=both)
        rows_of_twins = torch.arange(len(both)) < len(real)  # some may be synthetic images that came with the data
        places = torch.where(rows_of_twins & ~both.is_synthetic, torch.arange(len(both)), -1)
        both = replace(both, autoencoded=twins.images, twins=places)
    real_only = both.rows(~both.is_synthetic)
    if options.match_spectrum:
        both = with_matched_spectrum(both, rows, twins=twin_rows, progress=progress)
    test, held_out = manifest.split("test"), manifest.split("validation")
    return Sets(
        real=real_only,
        evened_out=both,
        test=load(test, like=both),
        validation=load(held_out, like=both) if len(held_out) else None,
        class_names=manifest.class_names,
        num_planned=max(len(both), sum(max(cell.target, cell.have + cell.num_to_generate) for cell in plan.cells)),
    )


def stored_side(side: int, options: TrainOptions) -> int:
    """Return the side of stored images, at least that of a network's input.

    Raises:
        OptionError: ``train.load_size`` is smaller.
    """
    if options.load_size is None:
        return side
    if options.load_size < side:
        raise OptionError(
            f"train.load_size is {options.load_size}, but networks receive images of {side} pixels. Make it at least "
            f"{side}, or lower train.image_size."
        )
    return options.load_size


def input_of(network: str, options: TrainOptions, plan: Plan) -> tuple[int, int, Normalization | None]:
    """Return channels, side and normalization of a network's input images.

    Side and normalization come from the options, else from the network's pretrained weights, else from the data;
    None stands for the normalization of the data.

    Raises:
        OptionError: the network has no such weights, or the options do not fit the channels.
    """
    from synaug.training.networks import check_pretrained, network_named, pretrained_normalization

    channels = 1 if plan.encoding.mode == "L" else 3
    side = options.image_size or min(max(plan.image_size), LARGEST_SIDE)
    given = None if options.mean is None or options.std is None else (options.mean, options.std)
    if given and len(given[0]) not in (1, channels):
        raise OptionError(f"train.mean has {len(given[0])} numbers, but the images have {channels} channels.")
    network = network_named(network, side)
    if options.pretrained is not True:
        return channels, side, given
    check_pretrained(network)
    mean, std, usual = pretrained_normalization(network, in_channels=channels)
    return channels, options.image_size or usual, given or (mean, std)


def images_digest(synthetic: Manifest) -> str:
    """Return a digest of the existing synthetic images."""
    return storage.digest("\n".join(sorted(synthetic.frame["sha256"])).encode())


def selected(sets: Sets, images: ImagesOptions) -> Sets:
    """Return the sets with the images that a study selects; every study removes the same real images."""
    if images == ImagesOptions():
        return sets
    names, both = sets.class_names, sets.evened_out
    keep = np.ones(len(both), bool)
    labels, is_synthetic = both.labels.cpu().numpy(), both.is_synthetic.cpu().numpy()
    for name in images.replaced_classes:
        if name not in names:
            raise unknown("class in images.replaced_classes", name, names)
    for label, name in enumerate(names):
        real, synthetic = (np.flatnonzero((labels == label) & (is_synthetic == kind)) for kind in (False, True))
        wanted = len(synthetic) if images.synthetic_per_class is None else images.synthetic_per_class
        if images.replaced is not None or images.replaced_classes:
            leaving = len(real) if name in images.replaced_classes else round(len(real) * (images.replaced or 0.0))
            keep[np.random.default_rng([label, 5]).permutation(real)[:leaving]] = False
            wanted = min(wanted, leaving)
        keep[synthetic[wanted:]] = False
    chosen, real_only = both.rows(keep), sets.real.rows(keep[~is_synthetic])
    return replace(sets, evened_out=chosen, real=real_only, num_planned=len(chosen), features={})


def retraining_data(data: str, real: TrainingSet, *, uses_synthetic: bool) -> str:
    """Return the images for retraining a last layer, with ``auto`` resolved from the known data.

    If an attribute is known, equally many real images per group: class-balanced or all images would contain the very
    correlation of class and attribute that retraining should remove. Else the balanced set or, for a method without
    synthetic images, all real ones.
    """
    if data != "auto":
        return data
    if _knows_groups(real):
        return "group_balanced_real"
    return "evened_out" if uses_synthetic else "all_real"


def _knows_groups(real: TrainingSet) -> bool:
    num_attributes = real.num_groups // max(real.num_classes, 1)
    return num_attributes > 1 and len(np.unique(real.groups[real.groups >= 0].numpy() % num_attributes)) > 1


def retraining_set(sets: Sets, data: str, *, seed: int) -> tuple[TrainingSet, list[np.ndarray] | None]:
    """Return the images for retraining the last layer, and the subsets of them that it is fitted to, one after another.

    Subsets are arrays of positions, ``NUM_DRAWS`` random ones of balanced images; None: one fit, to all images.

    Raises:
        OptionError: group balance is required but no attribute is known, or there is no validation split.
    """
    data = retraining_data(data, sets.real, uses_synthetic=True)
    if data == "validation":
        if sets.validation is None:
            raise OptionError(
                "train.retrain.data validation needs a validation split, and the data have none. Add rows of the split "
                "'validation', or choose all_real."
            )
        return sets.validation, None
    if data == "evened_out":
        return sets.evened_out, None
    if data == "all_real":
        return sets.real, None
    if data == "group_weighted_real":
        return _of_known_groups(sets.real), None
    by_group = data == "group_balanced_real"
    images = _of_known_groups(sets.real) if by_group else sets.real
    rng = np.random.default_rng([seed, 2])
    draws = [(_group_balanced if by_group else _class_balanced)(images, rng) for _ in range(NUM_DRAWS)]
    used = np.unique(draws)
    if len(used) == len(draws[0]):
        return images.rows(used), None  # balanced as they are: all draws are the same
    return images.rows(used), [np.searchsorted(used, draw) for draw in draws]


def _of_known_groups(real: TrainingSet) -> TrainingSet:
    num_attributes = real.num_groups // real.num_classes
    known = real.rows(real.groups >= 0)
    if num_attributes < 2 or not len(known):
        raise OptionError(
            "train.retrain.data group_balanced_real needs images whose attribute is known. Name its column with "
            "--attribute, or use balanced_real."
        )
    return known


def _class_balanced(images: TrainingSet, rng: np.random.Generator) -> np.ndarray:
    return balanced_positions(images.labels.numpy(), images.num_classes, rng)


def _group_balanced(images: TrainingSet, rng: np.random.Generator) -> np.ndarray:
    num_attributes = images.num_groups // images.num_classes
    return group_balanced_positions(
        labels=images.labels.numpy(),
        attributes=images.groups.numpy() % num_attributes,
        num_classes=images.num_classes,
        num_attributes=num_attributes,
        rng=rng,
    )
