"""Test that the audit is red for useless images of every planted kind, and green for realistic images."""

import math

import numpy as np
import pytest

from synaug.evaluation.gap.audit import Looks, audit, audit_section, audit_with_rejections
from synaug.evaluation.gap.domain_gap import gap_report

NAMES = ("cat", "coffee")
PER_CLASS = 40


def features(*, shift=0.0, seed=0, spread=1.0):
    """Two classes, four standard deviations apart along the first of eight axes."""
    rng = np.random.default_rng(seed)
    found = rng.normal(0, spread, (2 * PER_CLASS, 8)) + shift
    found[PER_CLASS:, 0] += 4
    return found


LABELS = np.repeat([0, 1], PER_CLASS)


def gap_of(synthetic):
    return gap_report(
        real=features(), synthetic=synthetic, real_labels=LABELS, synthetic_labels=LABELS, class_names=NAMES
    ).overall


def judged(synthetic, *, taken_for=LABELS, recalls=(0.9, 0.9), labels=LABELS, **faults):
    none = np.zeros(len(labels), bool)
    looks = Looks(
        **{"labels": labels, "noise": none, "constant": none, "duplicates": none, "taken_for": taken_for} | faults
    )
    report = gap_report(
        real=features(), synthetic=synthetic, real_labels=LABELS, synthetic_labels=labels, class_names=NAMES
    )
    return audit([report], looks, real_recalls=np.array(recalls), class_names=NAMES)


def test_images_like_the_real_ones_are_green():
    found = judged(features(seed=1))
    assert found.overall.color == "green"
    assert [light.color for light in found.per_class] == ["green", "green"]
    assert not found.is_unusable
    assert "50 % is chance" in found.sentence


def test_images_that_differ_but_reach_the_real_ones_are_amber():
    assert judged(features(seed=1, shift=1.2)).overall.color == "amber"


@pytest.mark.parametrize("fault", ["noise", "constant", "duplicates"])
def test_a_fault_of_most_images_is_red_and_of_some_amber(fault):
    most = judged(features(seed=1), **{fault: np.arange(80) % 10 < 6})
    some = judged(features(seed=1), **{fault: np.arange(80) % 10 < 2})
    assert (most.overall.color, most.overall.findings) == ("red", (fault,))
    assert most.is_unusable
    assert "60 %" in most.sentence
    assert some.overall.color == "amber"
    assert not some.is_unusable


def test_images_of_something_else_are_red():
    found = judged(features(seed=1, shift=30))
    assert found.overall.findings == ("foreign",)
    assert found.is_unusable


def test_images_are_foreign_only_if_they_are_on_all_kinds_of_features():
    sides = {"real_labels": LABELS, "synthetic_labels": LABELS, "class_names": NAMES}
    reports = [gap_report(real=features(), synthetic=features(seed=1, shift=s), **sides) for s in (30, 0)]
    none = np.zeros(80, bool)
    looks = Looks(labels=LABELS, noise=none, constant=none, duplicates=none, taken_for=LABELS)
    assert audit(reports, looks, real_recalls=np.ones(2), class_names=NAMES).overall.color == "amber"


def test_images_nearly_foreign_are_red_only_without_a_trace_of_their_classes():
    almost = features(seed=1, shift=1.8)
    lost = judged(almost, taken_for=np.zeros(80, int))
    assert gap_of(almost).probe_accuracy >= 0.95
    assert 0.05 < gap_of(almost).manifold.coverage <= 0.15
    assert lost.overall.findings == ("foreign",)
    assert judged(almost).overall.color == "amber"


def test_images_of_another_class_are_red():
    found = judged(features(seed=1), taken_for=1 - LABELS)
    assert found.overall.findings == ("wrong_class",)
    assert found.is_unusable


def test_a_judge_that_cannot_recognize_a_class_does_not_condemn_it():
    found = judged(features(seed=1), taken_for=np.zeros(80, int), recalls=(0.9, math.nan))
    assert [light.color for light in found.per_class] == ["green", "green"]
    unsure = judged(features(seed=1), taken_for=1 - LABELS, recalls=(0.5, 0.5))
    assert not unsure.is_unusable


def test_one_class_of_noise_is_named_and_does_not_condemn_the_others():
    found = judged(
        features(seed=1)[np.r_[0:40, 0:20, 40:60]],
        labels=np.repeat([0, 1], [60, 20]),
        taken_for=np.repeat([0, 1], [60, 20]),
        noise=np.repeat([False, True], [60, 20]),
    )
    assert found.per_class[1].color == "red"
    assert found.overall.color == "amber"
    assert "coffee" in found.sentence


def test_few_images_are_not_judged():
    few = np.array([0, 1, 1])
    found = judged(features(seed=1, shift=30)[:3], labels=few, taken_for=few)
    assert found.overall.color == "gray"
    assert not found.is_unusable


def test_a_set_of_mostly_another_class_is_red_even_if_it_is_too_small_to_be_compared():
    labels = np.repeat([0, 1], [12, 30])
    none = np.zeros(42, bool)
    looks = Looks(labels, none, none, none, taken_for=np.zeros(42, int))  # all are taken for the first class
    synthetic = features()[:42]
    small = gap_report(
        real=features()[::8],
        synthetic=synthetic,
        real_labels=LABELS[::8],
        synthetic_labels=labels,
        class_names=NAMES,
    )
    found = audit([small], looks, real_recalls=np.array([0.9, 0.9]), class_names=NAMES)
    assert (found.overall.color, found.is_unusable) == ("red", True)
    assert found.sentence == "Most synthetic images are unusable. The images of coffee are unusable."
    few = Looks(labels[:22], none[:22], none[:22], none[:22], taken_for=np.r_[np.zeros(12, int), np.ones(10, int)])
    assert audit([small], few, real_recalls=np.array([0.9, 0.9]), class_names=NAMES).overall.color == "gray"


def test_the_section_has_a_light_per_class():
    section = audit_section(judged(features(seed=1)), NAMES)
    assert section["usable"]
    assert {name: light["color"] for name, light in section["per_class"].items()} == dict.fromkeys(NAMES, "green")


@pytest.mark.parametrize(
    ("rejected", "accepted", "is_usable"),
    [(90, 10, False), (89, 11, True), (18, 1, True), (20, 0, False), (0, 0, True)],
)
def test_a_generator_of_which_nine_in_ten_attempts_fail_is_unusable(rejected, accepted, is_usable):
    """Below 20 attempts, there is no verdict."""
    found = audit_with_rejections({}, rejected=rejected, accepted=accepted, reason="off-class")
    assert found.get("usable", True) is is_usable
    if not is_usable:
        assert found["overall"] == {"color": "red", "findings": ["rejected"]}
        assert f"rejected {rejected} of {rejected + accepted}" in found["sentence"]


def test_rejections_keep_the_findings_about_accepted_images():
    before = {"sentence": "unusable", "usable": False, "overall": {"color": "red", "findings": ["noise"], "noise": 0.9}}
    assert audit_with_rejections(before, rejected=99, accepted=1, reason="noise") is before
    gray = {
        "sentence": "few",
        "usable": True,
        "overall": {"color": "gray", "findings": [], "noise": 0.0},
        "per_class": {},
    }
    found = audit_with_rejections(gray, rejected=99, accepted=1, reason="noise")
    assert (found["overall"]["noise"], found["overall"]["color"], gray["overall"]["color"]) == (0.0, "red", "gray")
