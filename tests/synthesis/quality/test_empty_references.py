"""Test that every gate works with any reference set: empty, gray or color, with one class or many."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import synaug
from synaug.config import QualityOptions
from synaug.data.manifest import from_arrays
from synaug.synthesis.quality.gates import GATES, Candidate, References

COLORS = ("L", "RGB", "both")


def noise(num, color, *, seed=0, flat=False):
    """Return ``num`` random arrays: gray, color, or gray and color in turn."""
    rng = np.random.default_rng(seed)
    shapes = [(16, 16) if color == "L" or (color == "both" and i % 2) else (16, 16, 3) for i in range(num)]
    return [np.full(shape, 90, np.uint8) if flat else rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def manifest(images, *, num_classes, num_test=0):
    return from_arrays(
        images,
        [i % num_classes for i in range(len(images))],
        class_names=[f"class {k}" for k in range(num_classes)],
        split=["train"] * (len(images) - num_test) + ["test"] * num_test,
    )


@settings(max_examples=150)
@given(
    name=st.sampled_from(sorted(GATES)),
    colors=st.tuples(*[st.sampled_from(COLORS)] * 3),
    sizes=st.tuples(*[st.sampled_from([0, 1, 2, 7])] * 3),
    candidates=st.integers(0, 3),
    num_classes=st.integers(1, 3),
    earlier=st.booleans(),
    own_scorer=st.booleans(),
    flat=st.booleans(),
)
def test_a_gate_judges_with_any_reference_set(name, colors, sizes, candidates, num_classes, earlier, own_scorer, flat):
    def even(images):
        assert len(images), "a user's scorer is not called without images"
        return np.full((len(images), num_classes), 1 / num_classes)

    real = noise(sizes[0], colors[0], flat=flat) + noise(sizes[1], colors[0], seed=1)
    accepted = manifest(noise(sizes[2], colors[1], seed=2), num_classes=num_classes) if earlier else None
    references = References(
        manifest(real, num_classes=num_classes, num_test=sizes[1]),
        QualityOptions(off_class_quantile=0.0),
        scorer=even if own_scorer else None,
        accepted=accepted,
    )
    asked = [
        Candidate(Image.fromarray(pixels), f"x-{i}", i % num_classes)
        for i, pixels in enumerate(noise(candidates, colors[2], seed=3))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdicts = GATES[name](references)(asked) if asked or not own_scorer else []
    if name == "noise":  # it needs no reference, and real noise images raise its limit
        assert all(verdict.ok == (verdict.reason != "noise") for verdict in verdicts)
    else:
        assert [verdict.ok for verdict in verdicts] == [True] * len(verdicts)  # noise is not a copy and has contrast


@pytest.mark.parametrize("num_train", [0, 1, 3])
def test_off_class_accepts_everything_if_there_is_one_class(num_train):
    data = manifest(noise(num_train, "RGB"), num_classes=1)
    judge = GATES["off_class"](References(data, QualityOptions()))
    assert all(verdict.ok for verdict in judge([Candidate(Image.new("RGB", (16, 16)), "x", 0)]))


@pytest.mark.parametrize("color", ["L", "RGB"])
def test_every_gate_at_once_without_a_test_split(color):
    images = noise(20, color)
    labels = ["cat"] * 14 + ["dog"] * 6

    def generator(prompts, *, seeds):
        return [Image.fromarray(noise(1, color, seed=seed + 10)[0]) for seed in seeds]

    options = {
        "quality.gates": ["broken", "flagged", "off_class", "copy", "leak", "collapse"],
        "quality.max_missing": 1,
    }
    both = synaug.balance((images, labels), generator=generator, options=options)
    assert both.is_synthetic.sum() > 0
    sampler = synaug.SyntheticOverSampler(generator=generator, class_names=["cat", "dog"], options=options)
    assert len(sampler.fit_resample(np.stack(images), np.array([0] * 14 + [1] * 6))[0]) > 20
