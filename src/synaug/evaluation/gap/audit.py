"""Judge by absolute limits whether synthetic images can be trained on: a traffic light, overall and per class.

The gates compare single images with thresholds derived from the real ones. A set can pass them and still be useless as
a whole: noise, one picture many times, or pictures of something else. These checks look at the set. Their limits were
chosen on planted sets; ``benchmarks/planted_sets.py`` measures them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np

from synaug.evaluation.gap.domain_gap import Gap, GapReport
from synaug.schemas import Audit as AuditSection
from synaug.schemas import Light as LightSection

MIN_JUDGED = 10  # images per side; classes with fewer are not judged
MIN_COMPARED = 20  # images per side; with fewer, the sets as a whole are not compared
_MOST_REJECTED = 0.9  # share of all attempts; the accepted rest passed by chance
_MOST = 0.5  # share of a fault that makes the images unusable
_SOME = 0.1  # share of a fault that deserves a warning
_APART, _FOREIGN_COVERAGE = 0.97, 0.05  # minimum real-vs-synthetic accuracy, maximum coverage: another kind of picture
_NEARLY, _LITTLE_COVERAGE = 0.95, 0.15  # the same if the images also show no trace of their classes
_ADVANTAGE = 0.2  # advantage over chance, on real images, that a trusted classifier needs
_LOST_SKILL = 0.25  # maximum share of a classifier's advantage over chance if classes are unrecognizable
_CLOSE, _CLOSE_COVERAGE = 0.85, 0.4  # maximum accuracy, minimum coverage: close to the real images
_KNOWN, _LOST = (
    0.6,
    0.2,
)  # recall on real images that a trusted judge needs; share of it below which a class is lost
_FAULTS = {
    "noise": "noise",
    "constant": "images of one color",
    "duplicates": "near-duplicates of one another",
}


@dataclass(frozen=True)
class Looks:
    """Measurements of the synthetic images, one value per image.

    ``noise``, ``constant`` and ``duplicates`` mark images with the fault; ``labels`` are the requested classes, and
    ``taken_for`` those that a classifier of real images chose.
    """

    labels: np.ndarray
    noise: np.ndarray
    constant: np.ndarray
    duplicates: np.ndarray
    taken_for: np.ndarray

    def of_class(self, label: int) -> Looks:
        """Return the values of the images of one class."""
        mine = self.labels == label
        names = ("labels", "noise", "constant", "duplicates", "taken_for")
        return Looks(**{name: getattr(self, name)[mine] for name in names})


@dataclass(frozen=True)
class Light:
    """A traffic light and its reasons: ``green``, ``amber``, ``red``, or ``gray`` if there are too few images to judge.

    Shares are fractions of the synthetic images. ``recognized`` is the share that a classifier of real images assigns
    to their class, ``real_recognized`` the same for held-out real images; NaN if undefined. ``findings`` are the names
    of the faults.
    """

    color: str
    findings: tuple[str, ...]
    noise: float
    constant: float
    duplicates: float
    recognized: float
    real_recognized: float


@dataclass(frozen=True)
class Audit:
    """The light of all images with one plain sentence, and the light of each class."""

    overall: Light
    sentence: str
    per_class: tuple[Light, ...]

    @property
    def is_unusable(self) -> bool:
        """Whether a model must not be trained on these images."""
        return self.overall.color == "red"


def audit(gaps: Sequence[GapReport], looks: Looks, *, real_recalls: np.ndarray, class_names: Sequence[str]) -> Audit:
    """Judge a set of synthetic images.

    Args:
        gaps: the gap to the real images on each kind of features; a set is called foreign only if it is foreign on all.
        looks: measurements of the synthetic images.
        real_recalls: share of held-out real images per class that the classifier recognizes, shape ``(C,)``; NaN for a
            class with too few images.
        class_names: one name per class.
    """
    classes = tuple(
        _class_light([report.per_class[label] for report in gaps], looks.of_class(label), float(real_recalls[label]))
        for label in range(len(class_names))
    )
    known = [label for label in np.unique(looks.labels).tolist() if np.isfinite(real_recalls[label])]
    skill = _Skill(
        float(np.mean([classes[label].recognized for label in known])) if known else math.nan,
        float(np.mean(real_recalls[known])) if known else math.nan,
        chance=1 / len(class_names) if len(class_names) > 1 else math.nan,
    )
    overall = _light([report.overall for report in gaps], looks, skill, MIN_COMPARED)
    counts = np.bincount(looks.labels, minlength=len(class_names))
    red = [label for label, light in enumerate(classes) if light.color == "red"]
    if overall.color != "red" and red:
        # Whether the set is foreign was measured on all of it, with more images than a single class has.
        sure = [label for label in red if classes[label].findings != ("foreign",)]
        most = 2 * counts[sure].sum() >= counts.sum()
        # Gray: too few real images to compare the set as a whole, which does not make its red classes any better.
        overall = _with_color(overall, "red" if most else "gray" if overall.color == "gray" else "amber")
    return Audit(overall, _sentence(overall, gaps, [class_names[label] for label in red]), classes)


def audit_section(found: Audit, class_names: Sequence[str]) -> AuditSection:
    """Return the audit as the ``audit`` of ``report.json``."""
    overall, *lights = (cast("LightSection", asdict(light)) for light in (found.overall, *found.per_class))
    return {
        "sentence": found.sentence,
        "usable": not found.is_unusable,
        "overall": overall,
        "per_class": dict(zip(class_names, lights, strict=True)),
    }


def audit_with_rejections(found: AuditSection, *, rejected: int, accepted: int, reason: str) -> AuditSection:
    """Return the audit, or one that finds the images unusable because the gates rejected nearly all attempts.

    The few that pass such a generator passed by chance, and are too few to be judged by themselves.

    Args:
        found: the audit of the accepted images; empty without any.
        rejected: attempts that the gates rejected, at least 0.
        accepted: images that they accepted.
        reason: the most frequent reason, in words.
    """
    attempted = rejected + accepted
    if attempted < MIN_COMPARED or rejected < _MOST_REJECTED * attempted or not found.get("usable", True):
        return found
    overall = found.get("overall") or cast("LightSection", {})
    red = cast("LightSection", {**overall, "color": "red", "findings": [*overall.get("findings", ()), "rejected"]})
    sentence = (
        f"The synthetic images are unusable: the gates rejected {rejected:,} of {attempted:,} generated images, "
        f"most often as {reason}."
    )
    return {**found, "sentence": sentence, "usable": False, "overall": red}


@dataclass(frozen=True)
class _Skill:
    """Shares of synthetic and of held-out real images whose class is recognized, and the share by chance."""

    synthetic: float
    real: float
    chance: float = math.nan

    @property
    def is_lost(self) -> bool:
        """Whether synthetic images are recognized hardly better than by chance although real ones are recognized."""
        is_known = self.real - self.chance >= _ADVANTAGE
        return is_known and self.synthetic - self.chance <= _LOST_SKILL * (self.real - self.chance)


def _class_light(gaps: Sequence[Gap], looks: Looks, real_recall: float) -> Light:
    """Return the light of one class; skill is not used, since chance alone may recognize one class always or never."""
    return _light(gaps, looks, _Skill(_share(looks.taken_for == looks.labels), real_recall), MIN_JUDGED)


def _light(gaps: Sequence[Gap], looks: Looks, skill: _Skill, least: int) -> Light:
    shares = {name: _share(getattr(looks, name)) for name in _FAULTS}
    findings = [name for name, share in shares.items() if share >= _MOST]
    enough = len(looks.labels) >= least
    compared = [gap for gap in gaps if min(gap.num_real, gap.num_synthetic) >= least]
    many = [gap for gap in compared if min(gap.num_real, gap.num_synthetic) >= MIN_COMPARED]
    if many and all(_is_foreign(gap, skill) for gap in many):
        findings.append("foreign")
    if enough and skill.real >= _KNOWN and skill.synthetic <= _LOST * skill.real:
        findings.append("wrong_class")
    color = _color(findings, shares, compared) if enough else "gray"
    return Light(color, tuple(findings), **shares, recognized=skill.synthetic, real_recognized=skill.real)


def _color(findings: Sequence[str], shares: dict[str, float], compared: Sequence[Gap]) -> str:
    if findings:
        return "red"
    if max(shares.values()) >= _SOME:
        return "amber"
    if not compared:
        return "gray"
    return "green" if all(_is_close(gap) for gap in compared) else "amber"


def _is_foreign(gap: Gap, skill: _Skill) -> bool:
    """Return whether the images are of another kind: clearly, or nearly so and without a trace of their classes."""
    is_far = gap.probe_accuracy >= _APART and gap.manifold.coverage <= _FOREIGN_COVERAGE
    return is_far or (gap.probe_accuracy >= _NEARLY and gap.manifold.coverage <= _LITTLE_COVERAGE and skill.is_lost)


def _is_close(gap: Gap) -> bool:
    return gap.probe_accuracy <= _CLOSE and gap.manifold.coverage >= _CLOSE_COVERAGE


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _with_color(light: Light, color: str) -> Light:
    return replace(light, color=color)


def _sentence(light: Light, gaps: Sequence[GapReport], red_classes: Sequence[str]) -> str:
    """Return the meaning of the light, in one or two plain sentences."""
    faults = [f"{_percent(getattr(light, name))} are {_FAULTS[name]}" for name in _FAULTS if name in light.findings]
    if faults:
        return f"The synthetic images are unusable: {', '.join(faults)}."
    numbers = _numbers([report.overall for report in gaps])
    if "foreign" in light.findings:
        return f"The synthetic images are unusable: they show something other than the real images. {numbers}"
    if "wrong_class" in light.findings:
        return (
            "The synthetic images are unusable: a classifier of the real images recognizes the class of "
            f"{_percent(light.recognized)} of them, and of {_percent(light.real_recognized)} of real images."
        )
    classes = f" The images of {', '.join(red_classes[:5])} are unusable." if red_classes else ""
    if light.color == "red":
        return f"Most synthetic images are unusable.{classes}"
    if light.color == "gray":
        return f"There are too few images to compare the synthetic ones with the real ones.{classes}"
    if light.color == "green":
        return f"The synthetic images are close to the real ones. {numbers}{classes}"
    some = [
        f"{_percent(getattr(light, name))} are {_FAULTS[name]}" for name in _FAULTS if getattr(light, name) >= _SOME
    ]
    mixed = f" Of the synthetic images, {', '.join(some)}." if some else ""
    return f"The synthetic images differ visibly from the real ones, but can help. {numbers}{mixed}{classes}"


def _numbers(gaps: Sequence[Gap]) -> str:
    gap = next((gap for gap in gaps if not math.isnan(gap.probe_accuracy)), None)
    if gap is None:
        return ""
    coverage = gap.manifold.coverage
    near = "" if math.isnan(coverage) else f", and {_percent(coverage)} of the real images have a synthetic one nearby"
    accuracy = _percent(gap.probe_accuracy)
    return f"A simple classifier distinguishes the two in {accuracy} of cases (50 % is chance){near}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
