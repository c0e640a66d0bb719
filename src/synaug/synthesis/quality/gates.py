"""Check generated images: reject broken, noisy, off-class, copied, leaked or collapsed ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from PIL import Image

from synaug.config import QualityOptions
from synaug.data import Manifest, cells_of, read_image
from synaug.data.color_mode import color_mode
from synaug.data.images import SIDE, noise_limit, spectral_flatness
from synaug.data.images.thumbnails import thumbnails
from synaug.data.similarity import EQUAL, Prints, alike_distances, make_prints, make_views
from synaug.errors import unknown
from synaug.runtime import Progress, signals, silent
from synaug.synthesis.quality.class_scorers import Embed, Scorer, fit_pixel_scorer, fit_scorer
from synaug.synthesis.quality.thresholds import class_thresholds, margins

_CHUNK = 8192
_LOWEST_CONTRAST = 0.5  # times the contrast of the flattest real images
_SAMPLE = 300  # real images whose spectrum is measured
_PER_CLASS = 200  # real images per class used to calibrate a scorer that was not fitted on them


@dataclass(frozen=True)
class Candidate:
    """An image to be judged, with its class ``label`` and, if the plan is by group, its ``attribute``."""

    image: Image.Image
    id: str
    label: int
    attribute: int = -1


@dataclass(frozen=True)
class Verdict:
    """Whether an image is accepted, the reason if not, and the measured scores."""

    ok: bool
    reason: str | None = None
    scores: dict[str, float] = field(default_factory=dict)


Gate = Callable[[Sequence[Candidate]], list[Verdict]]
"""Judges a batch; the scores go into the journal and the reason into the report."""


def judged(gates: Sequence[Gate], candidates: Sequence[Candidate]) -> list[Verdict]:
    """Apply the gates in order to the images still accepted; the first gate that fails an image gives the reason."""
    verdicts = [Verdict(True)] * len(candidates)
    for gate in gates:
        open_ones = [i for i, verdict in enumerate(verdicts) if verdict.ok]
        asked = [candidates[i] for i in open_ones]
        for i, verdict in zip(open_ones, gate(asked) if asked else [], strict=True):
            verdicts[i] = Verdict(verdict.ok, verdict.reason, verdicts[i].scores | verdict.scores)
    return verdicts


@dataclass(frozen=True)
class References:
    """The real images for the gates to compare with; each is read once, when a gate first needs it."""

    manifest: Manifest
    quality: QualityOptions
    seed: int = 0
    scorer: Scorer | None = None
    accepted: Manifest | None = None
    progress: Progress = silent
    embed: Embed | None = None

    @cached_property
    def train(self) -> Manifest:
        real = self.manifest.split("train")
        return real.rows(~real.is_synthetic)

    @cached_property
    def mode(self) -> str:
        """``"L"`` if all real training images are gray, else ``"RGB"``."""
        return color_mode(self.train)

    @cached_property
    def train_pixels(self) -> np.ndarray:
        return self.pixels(self.train, "reading real images")

    def pixels(self, manifest: Manifest, stage: str) -> np.ndarray:
        """Return the thumbnails of a manifest's images, read in chunks."""
        parts = [np.zeros((0, thumbnails([], mode=self.mode).shape[1]), np.uint8)]
        for start in range(0, len(manifest), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(manifest)))
            parts.append(thumbnails([read_image(manifest, row) for row in rows], mode=self.mode))
            self.progress(stage, rows.stop, len(manifest), "")
            signals.stop_here()
        return np.concatenate(parts)


def broken(references: References) -> Gate:
    """Reject images much flatter than the flattest real ones, such as all black or a single color."""
    contrasts = _contrasts(references.train_pixels)
    lowest = _LOWEST_CONTRAST * float(np.quantile(contrasts, 0.002)) if len(contrasts) else 0.0

    def judge(candidates: Sequence[Candidate]) -> list[Verdict]:
        found = _contrasts(thumbnails([each.image for each in candidates], mode=references.mode))
        return [_verdict(value > lowest, "broken", contrast=value) for value in found]

    return judge


def _contrasts(pixels: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each image's brightness on a 0 to 1 scale, shape ``(N,)``."""
    return pixels.std(1, dtype=np.float32) / 255


def noise(references: References) -> Gate:
    """Reject images with a spectrum as flat as white noise; the limit rises if real images are that flat too."""
    train = references.train
    rows = np.unique(np.linspace(0, len(train) - 1, min(_SAMPLE, len(train)), dtype=int))
    limit = noise_limit(spectral_flatness([read_image(train, int(row)) for row in rows]))

    def judge(candidates: Sequence[Candidate]) -> list[Verdict]:
        found = spectral_flatness([each.image for each in candidates])
        return [_verdict(not value > limit, "noise", flatness=value) for value in found]

    return judge


def off_class(references: References) -> Gate:
    """Reject images that resemble another class more than real images of their own class do.

    The score is the log probability of the image's class minus that of the likeliest other class. The threshold of a
    class lets all but ``off_class_quantile`` of its own real images pass, judged by a scorer that has not seen them; a
    class with too few images uses the lower of its own threshold and that of all classes. If attributes are known, the
    scorer is fitted to all groups of a class equally; otherwise it would reject what goes against a spurious attribute.
    """
    train = references.train
    cells = cells_of(train)
    rows = _some_of_each(train.labels, train.labels if cells is None else cells)
    if references.embed is not None and references.scorer is None:
        features = references.embed([read_image(train, int(row)) for row in rows])
        labels, embed, seed = train.labels[rows], references.embed, references.seed
        fitted = fit_scorer(
            features,
            labels,
            embed=embed,
            num_classes=train.num_classes,
            cells=None if cells is None else cells[rows],
            seed=seed,
        )
        scorer, probabilities = fitted.scorer, fitted.out_of_fold
    elif references.scorer is None:
        fitted = fit_pixel_scorer(
            references.train_pixels,
            train.labels,
            num_classes=train.num_classes,
            cells=cells,
            mode=references.mode,
            seed=references.seed,
        )
        scorer, labels, probabilities = fitted.scorer, train.labels, fitted.out_of_fold
    else:
        scorer = references.scorer
        labels, probabilities = train.labels[rows], np.zeros((0, train.num_classes))
        if len(rows):  # a user's own scorer need not accept an empty batch
            probabilities = scorer([read_image(train, int(row)) for row in rows])
    thresholds = class_thresholds(
        probabilities=probabilities, labels=labels, quantile=references.quality.off_class_quantile
    )

    def judge(candidates: Sequence[Candidate]) -> list[Verdict]:
        wanted = np.array([each.label for each in candidates], np.int64)
        scores = margins(probabilities=scorer([each.image for each in candidates]), labels=wanted)
        passed = scores >= thresholds[wanted]
        return [_verdict(ok, "off_class", margin=score) for ok, score in zip(passed, scores, strict=True)]

    return judge


def _some_of_each(labels: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the rows of up to ``_PER_CLASS`` images per class, from its cells in turn."""
    turns = np.zeros(len(cells), np.int64)
    for cell in np.unique(cells):
        turns[cells == cell] = np.arange((cells == cell).sum())
    order = np.argsort(turns, kind="stable")
    rows = [np.sort(order[labels[order] == label][:_PER_CLASS]) for label in np.unique(labels)]
    return np.concatenate([np.zeros(0, np.int64), *rows])


def copy(references: References) -> Gate:
    """Reject images that are a real training image, even a shifted, mirrored or brightened one."""
    return _too_near(references.train_pixels, references, "copy")


def leak(references: References) -> Gate:
    """Reject images that are a validation or test image, even an altered one: training on it would bias the results."""
    parts = [
        references.pixels(references.manifest.split(name), f"reading {name} images") for name in ("test", "validation")
    ]
    return _too_near(np.concatenate(parts), references, "leak")


def _too_near(pixels: np.ndarray, references: References, reason: str) -> Gate:
    quality, known = references.quality, make_prints(pixels)

    def judge(candidates: Sequence[Candidate]) -> list[Verdict]:
        images = [each.image for each in candidates]
        distances = nearest_distances(thumbnails(images, mode=references.mode), pixels)
        alike = alike_distances(make_views(images), known)
        passed = (distances > quality.copy_distance) & (alike > quality.alike_distance)
        return [
            _verdict(ok, reason, **{f"{reason}_distance": distance, f"{reason}_alike": like})
            for ok, distance, like in zip(passed, distances, alike, strict=True)
        ]

    return judge


def nearest_distances(pixels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference (0 to 1) of each image to its nearest other image, shape ``(N,)``.

    The nearest is by Euclidean distance, found by matrix products over chunks of the others; infinite if there are
    none.
    """
    if not len(others):
        return np.full(len(pixels), np.inf)
    mine = pixels.astype(np.float32)
    best, nearest = np.full(len(mine), np.inf, np.float32), np.zeros(len(mine), np.int64)
    for start in range(0, len(others), _CHUNK):
        part = others[start : start + _CHUNK].astype(np.float32)
        squared = (part * part).sum(1) - 2 * mine @ part.T
        closest = squared.argmin(1)
        values = squared[np.arange(len(mine)), closest]
        better = values < best
        best[better], nearest[better] = values[better], start + closest[better]
    return np.abs(mine - others[nearest]).mean(1) / 255


def collapse(references: References) -> Gate:
    """Reject near-duplicates of images of the same class that were accepted before; always the last gate.

    Which of two duplicates is accepted depends on their order; images accepted by earlier runs are passed in as
    ``References.accepted``.
    """
    limit = references.quality.alike_distance
    kept: dict[int, list[Prints]] = {}
    if references.accepted is not None:
        accepted = references.accepted
        known = make_prints(references.pixels(accepted, "reading accepted images"))
        for label in np.unique(accepted.labels).tolist():
            mine = accepted.labels == label
            kept[label] = [Prints(known.thumbnails[mine], known.spectra[mine])]

    def judge(candidates: Sequence[Candidate]) -> list[Verdict]:
        verdicts = []
        images = [each.image for each in candidates]
        views, prints = make_views(images), make_prints(thumbnails(images, mode=references.mode))
        for i, candidate in enumerate(candidates):
            others = kept.setdefault(candidate.label, [])
            known = _joined(others)
            distance = alike_distances(views.only(i), known)[0]
            if nearest_distances(prints.thumbnails[i : i + 1], known.thumbnails)[0] <= EQUAL:
                distance = 0.0  # views and thumbnails of finely patterned images round differently
            verdicts.append(_verdict(distance > limit, "collapse", collapse_alike=distance))
            if verdicts[-1].ok:
                kept[candidate.label] = [known, Prints(prints.thumbnails[i : i + 1], prints.spectra[i : i + 1])]
        return verdicts

    return judge


def _joined(parts: Sequence[Prints]) -> Prints:
    if not parts:
        return make_prints(np.zeros((0, SIDE * SIDE), np.uint8))
    return Prints(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("thumbnails", "spectra")))


def _verdict(ok: bool | np.bool_, reason: str, **scores: float | np.floating) -> Verdict:
    return Verdict(bool(ok), None if ok else reason, {name: float(value) for name, value in scores.items()})


GATES: dict[str, Callable[[References], Gate]] = {
    "broken": broken,
    "noise": noise,
    "off_class": off_class,
    "copy": copy,
    "leak": leak,
    "collapse": collapse,
}
ALWAYS = ("flagged",)  # images flagged by the pipeline itself, which may be blackened, are never accepted


def check_gates(names: Sequence[str]) -> None:
    """Raise an OptionError for an unknown gate."""
    for name in names:
        if name not in GATES and name not in ALWAYS:
            raise unknown("gate", name, [*GATES, *ALWAYS])


def make_gates(
    manifest: Manifest,
    quality: QualityOptions,
    *,
    seed: int = 0,
    scorer: Scorer | None = None,
    accepted: Manifest | None = None,
    progress: Progress = silent,
    embed: Embed | None = None,
) -> list[Gate]:
    """Return the gates named in ``quality.gates``; each is calibrated at its first batch.

    Args:
        manifest: the real images, both training and test.
        quality: which gates to use, and how strict they are.
        seed: seed of the cross-validation folds of the default scorer.
        scorer: class probabilities for ``off_class``; default: fitted on thumbnails of the training images.
        accepted: images accepted by earlier runs, for ``collapse``.
        progress: called while images are read.
        embed: features on which ``off_class`` fits its classifier instead of thumbnails; ``scorer`` overrides it.

    Raises:
        OptionError: a gate is unknown.
    """
    references = References(manifest, quality, seed, scorer, accepted, progress, embed)
    check_gates(quality.gates)
    names = sorted(quality.gates, key=lambda name: name == "collapse")  # last: it remembers passed images as accepted
    return [_when_asked(GATES[name], references) for name in names if name in GATES]


def _when_asked(build: Callable[[References], Gate], references: References) -> Gate:
    """Return a gate that is built at its first batch, so that nothing is read if nothing is judged."""
    built = cache(lambda: build(references))
    return lambda candidates: built()(candidates)
