"""Compare a run's synthetic images with its real ones, on features that were not trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from synaug.config import Recipe
from synaug.data import Manifest, cells_of, groups, read_image
from synaug.data.images import BANDS, SpectralSide, amplitude_ratio, contrasts, noise_limit, spectral_flatness
from synaug.data.images.image_statistics import image_statistics
from synaug.data.similarity import has_twin
from synaug.run_directory import RunPaths
from synaug.runtime import Progress, signals, silent
from synaug.runtime.records import read_form, write_sealed
from synaug.runtime.security import shell_word
from synaug.schemas import Gap, MeasuredGap
from synaug.synthesis.execution import REVIEW
from synaug.synthesis.quality import LEAST_IMAGES, Embed, fit_features

if TYPE_CHECKING:
    from synaug.evaluation.gap import Looks

REVISION = 3  # of the measurement: 1 ignored groups, 2 lacked fine detail; a gap of an older one is measured again
IMAGES = 1000  # at most, per side, spread over the classes
STATISTICS = "statistics of color, layout and spectrum"
_FLAT = 0.02  # contrast below which an image counts as one color, unless real images are as flat
_LARGEST_SIDE = 224  # pixels, to which larger images are resized, as a rule also for training
_STAGE = "comparing real and synthetic images"


@dataclass(frozen=True)
class _Side:
    """The real or the synthetic images of the comparison, in memory.

    ``cells`` combines class and attribute in one number; None if the attribute of a synthetic image is unknown, so that
    the groups cannot be compared with each other.
    """

    images: list[Image.Image]
    labels: np.ndarray
    cells: np.ndarray | None


@dataclass(frozen=True)
class _Kind:
    """A kind of features, and how many real images per class a classifier on them needs."""

    name: str
    embed: Embed
    least_images: int


def write_gap(
    run: RunPaths,
    recipe: Recipe,
    *,
    real: Manifest,
    synthetic: Manifest,
    digest: str,
    rejected: Mapping[str, int],
    progress: Progress = silent,
) -> None:
    """Measure the gap, judge the synthetic images, and write both for the report; skipped for unchanged images.

    Args:
        run: the run.
        recipe: its options.
        real: the real training images.
        synthetic: the accepted synthetic images; without any, only the rejected attempts are judged.
        digest: digest of the synthetic images.
        rejected: number of rejected attempts by reason.
        progress: called while images are read.
    """
    if not is_measured(run, digest, rejected):
        found = measured_gap(real, synthetic, recipe, progress=progress) if len(synthetic) else {}
        found = _with_rejections(found, rejected, accepted=len(synthetic))
        write_sealed(run.gap, {"revision": REVISION, "images": digest, "rejected": dict(rejected)} | found)


def read_gap(run: RunPaths) -> MeasuredGap:
    """Return the content that ``write_gap`` wrote; empty if nothing was measured yet.

    Raises:
        DataError: the file is damaged.
    """
    way_out = f"Remove it and run: synaug retrain {shell_word(run.path)}"
    found = read_form(run.gap, MeasuredGap, needs=("images",), way_out=way_out)
    audit = found.get("audit") or {}
    for light in filter(None, (audit.get("overall"), *audit.get("per_class", {}).values())):
        if light.get("color") == "grey":  # the earlier spelling
            light["color"] = "gray"
    return found


def is_measured(run: RunPaths, digest: str, rejected: Mapping[str, int]) -> bool:
    """Return whether the gap was measured as today, for the images with this digest and for as many rejections."""
    found = read_gap(run)
    is_current = found.get("revision") == REVISION
    return is_current and found.get("images") == digest and found.get("rejected", {}) == dict(rejected)


def unusable(run: RunPaths) -> str:
    """Return why the run's synthetic images are unusable for training; empty if they are usable or were not judged."""
    found = read_gap(run).get("audit")
    return "" if not found or found["usable"] else str(found["sentence"])


def _with_rejections(found: MeasuredGap, rejected: Mapping[str, int], *, accepted: int) -> MeasuredGap:
    """Return the content of the gap file with the verdict of the gates in its audit.

    Rejections in manual review do not count, since the images left by a person may be good.
    """
    from synaug.evaluation.gap import audit_with_rejections

    by_gates = {reason: number for reason, number in rejected.items() if reason != REVIEW}
    judged = audit_with_rejections(
        found.get("audit") or {},
        rejected=sum(by_gates.values()),
        accepted=accepted,
        reason=max(by_gates, key=by_gates.__getitem__, default="").replace("_", "-"),
    )
    return {**found, "audit": judged} if judged else found


def measured_gap(real: Manifest, synthetic: Manifest, recipe: Recipe, *, progress: Progress = silent) -> MeasuredGap:
    """Return ``gap`` and ``audit`` of the report, from at most ``IMAGES`` images per side."""
    from synaug.evaluation.gap import audit_section, gap_report, gap_section
    from synaug.evaluation.gap.audit import audit

    names, rng = real.class_names, np.random.default_rng([recipe.seed, 3])
    by_group = bool((synthetic.attributes >= 0).all())
    sides = [_read(side, by_group, rng, progress) for side in (real, synthetic)]
    gaps = []
    for kind in (kinds := _kinds(recipe)):
        features = _comparable(*(kind.embed(side.images) for side in sides), is_statistics=kind.name == STATISTICS)
        gaps.append(
            gap_report(
                real=features[0],
                synthetic=features[1],
                real_labels=sides[0].labels,
                synthetic_labels=sides[1].labels,
                real_cells=sides[0].cells,
                synthetic_cells=sides[1].cells,
                class_names=names,
                seed=recipe.seed,
            )
        )
    best = kinds[-1]
    recalls, taken_for = _judged(features, sides, len(names), least=best.least_images, seed=recipe.seed)
    found = audit(gaps, _looks(sides, taken_for, recipe), real_recalls=recalls, class_names=names)
    about: Gap = {"features": best.name, "fine_detail": _fine_detail(sides)}
    return {"gap": about | gap_section(gaps[-1], names), "audit": audit_section(found, names)}


def _read(manifest: Manifest, by_group: bool, rng: np.random.Generator, progress: Progress) -> _Side:
    """Read up to ``IMAGES`` images, spread over the classes, or over the groups."""
    cells = cells_of(manifest) if by_group else None
    num_cells = manifest.num_classes * (1 if cells is None else manifest.num_attributes)
    chosen = manifest.rows(
        at_most_of_each(manifest.labels if cells is None else cells, max(1, IMAGES // num_cells), rng)
    )
    images = []
    for row in range(len(chosen)):
        signals.stop_here()
        progress(_STAGE, row, len(chosen), "")
        images.append(read_image(chosen, row))
    progress(_STAGE, len(chosen), len(chosen), "")
    return _Side(images, chosen.labels, cells_of(chosen) if by_group else None)


def _kinds(recipe: Recipe) -> list[_Kind]:
    """Return the kinds of features to compare on, most informative last."""
    kinds = [_Kind(STATISTICS, image_statistics, LEAST_IMAGES["classifier"])]
    network = recipe.quality.scorer_network
    if network is not None:
        from synaug.training.networks import architecture, make_embedder

        name = f"pretrained features of {architecture(network).removeprefix('timm/')}"
        kinds.append(_Kind(name, make_embedder(network, device=recipe.generate.device), LEAST_IMAGES["pretrained"]))
    return kinds


def _comparable(real: np.ndarray, synthetic: np.ndarray, *, is_statistics: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return features with meaningful distances: statistics in standard deviations, others at one length."""
    from synaug.evaluation.gap import normalized

    if not is_statistics:
        return normalized(real), normalized(synthetic)
    mean, deviation = real.mean(0), real.std(0)
    deviation = np.where(deviation > 1e-6, deviation, 1)
    return (real - mean) / deviation, (synthetic - mean) / deviation


def _fine_detail(sides: Sequence[_Side]) -> float | None:
    """Return the amplitude of synthetic over that of real images in the finer half of their spectrum, at one size."""
    length = min(_LARGEST_SIDE, int(np.median([min(image.size) for image in sides[0].images])))

    def of(side: _Side) -> SpectralSide:
        images = [ImageOps.fit(image.convert("L"), (length, length), Image.Resampling.BICUBIC) for image in side.images]
        pixels = np.stack([np.asarray(image) for image in images])[:, None]
        return SpectralSide(side.labels if side.cells is None else side.cells, lambda rows: pixels[rows])

    ratio = amplitude_ratio(of(sides[0]), of(sides[1]))
    return None if ratio is None else float(np.exp(-np.log(ratio[:, BANDS // 2 :]).mean()))


def _judged(
    features: Sequence[np.ndarray], sides: Sequence[_Side], num_classes: int, *, least: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the recall per class on held-out real images, NaN below ``least``, and classes of synthetic images."""
    labels, cells = sides[0].labels, sides[0].cells
    fitted = fit_features(features[0], labels, num_classes=num_classes, cells=cells, seed=seed)
    right, counts = fitted.out_of_fold.argmax(1) == labels, np.bincount(labels, minlength=num_classes)
    recalls = [right[labels == k].mean() if counts[k] >= least else np.nan for k in range(num_classes)]
    return np.array(recalls), fitted.of_features(features[1]).argmax(1)


def _looks(sides: Sequence[_Side], taken_for: np.ndarray, recipe: Recipe) -> Looks:
    from synaug.evaluation.gap import Looks

    real, synthetic = sides
    limit = noise_limit(spectral_flatness(real.images))
    flat = min(_FLAT, 0.5 * float(np.quantile(contrasts(real.images), 0.02))) if real.images else _FLAT
    twins = np.zeros(len(synthetic.images), bool)
    for label in np.unique(synthetic.labels):
        mine = np.flatnonzero(synthetic.labels == label)
        twins[mine] = has_twin([synthetic.images[row] for row in mine], recipe.quality.alike_distance)
        signals.stop_here()
    return Looks(
        labels=synthetic.labels,
        noise=spectral_flatness(synthetic.images) > limit,
        constant=contrasts(synthetic.images) < flat,
        duplicates=twins,
        taken_for=taken_for,
    )


def at_most_of_each(cells: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of up to ``number`` entries of each value, drawn at random, in ascending order."""
    chosen = [rng.permutation(np.flatnonzero(cells == cell))[:number] for cell in np.unique(cells)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))


def shortcuts(training: Manifest) -> list[str]:
    """Return warnings if being synthetic reveals the class or the group."""
    from synaug.evaluation.gap import shortcut_warnings

    said = shortcut_warnings(cells=training.labels, is_synthetic=training.is_synthetic, cell_names=training.class_names)
    known = training.rows(training.attributes >= 0)
    if not len(known):
        return said
    names = [f"{name} x {attribute}" for name in known.class_names for attribute in known.attribute_names]
    cells = groups.group_ids(labels=known.labels, attributes=known.attributes, num_attributes=known.num_attributes)
    return said + shortcut_warnings(cells=cells, is_synthetic=known.is_synthetic, cell_names=names, kind="group")
