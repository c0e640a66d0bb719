"""Test that each gate finds its planted faults and accepts real images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from synaug.config import QualityOptions
from synaug.data.manifest import from_arrays
from synaug.synthesis.execution.provenance import accepted_records
from synaug.synthesis.execution.worker import synthesize
from synaug.synthesis.quality.gates import (
    GATES,
    Candidate,
    References,
    class_thresholds,
    make_gates,
    margins,
    nearest_distances,
)

NUM_TRAIN = 700


@pytest.fixture(scope="module")
def digits():
    """Images (1797, 16, 16) and labels of scikit-learn's digits, shuffled: 700 to train, then 300 to test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))  # they are sorted by writer
    return np.kron(images[order].reshape(-1, 8, 8) * 15.9, np.ones((2, 2))).astype(np.uint8), labels[order]


@pytest.fixture(scope="module")
def manifest(digits):
    images, labels = digits
    split = ["train"] * NUM_TRAIN + ["test"] * 300
    return from_arrays(images[:1000], labels[:1000], class_names=[f"digit {k}" for k in range(10)], split=split)


@pytest.fixture(scope="module")
def planted(digits):
    """A hundred images with each fault, and 500 without one."""
    images, labels = digits
    rng = np.random.default_rng(1)

    def candidates(rows, wanted=None, noise=0):
        found = images[rows].astype(int) + rng.integers(-noise, noise + 1, (len(rows), 16, 16))
        pixels = np.clip(found, 0, 255).astype(np.uint8)
        wanted = labels[rows] if wanted is None else wanted
        return [
            Candidate(Image.fromarray(p), f"x-{i}", int(w)) for i, (p, w) in enumerate(zip(pixels, wanted, strict=True))
        ]

    some = rng.permutation(np.arange(1000, 1797))
    sound = candidates(some[:500])
    return {
        "sound": sound,
        "noise": [
            Candidate(Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)), f"n-{i}", i % 10)
            for i in range(100)
        ],
        "broken": [Candidate(Image.new("L", (16, 16), int(v)), "x", 3) for v in rng.integers(0, 256, 100)],
        "off_class": candidates(some[500:600], (labels[some[500:600]] + rng.integers(1, 10, 100)) % 10),
        "copy": candidates(rng.integers(0, NUM_TRAIN, 100), noise=3),
        "leak": candidates(rng.integers(NUM_TRAIN, 1000, 100), noise=3),
        "collapse": [Candidate(sound[0].image, f"again-{i}", sound[0].label) for i in range(100)],
    }


@pytest.mark.parametrize(
    ("name", "recall", "precision"),
    [
        ("broken", 1.0, 1.0),
        ("noise", 0.99, 0.99),
        ("off_class", 0.9, 0.85),
        ("copy", 0.99, 0.99),
        ("leak", 0.99, 0.99),
        ("collapse", 0.99, 0.98),
    ],
)
def test_a_gate_finds_the_images_planted_for_it(manifest, planted, name, recall, precision):
    gate = GATES[name](References(manifest, QualityOptions()))
    wrongly = sum(not verdict.ok for verdict in gate(planted["sound"]))
    verdicts = gate(planted[name])
    found = [verdict for verdict in verdicts if not verdict.ok]
    assert {verdict.reason for verdict in found} == {name}
    assert len(found) / len(verdicts) >= recall
    assert len(found) / (len(found) + wrongly) >= precision


def test_of_alike_images_one_is_accepted(manifest, planted):
    gate = GATES["collapse"](References(manifest, QualityOptions()))
    assert sum(verdict.ok for verdict in gate(planted["collapse"])) == 1


def test_collapse_compares_with_images_of_earlier_runs(manifest, digits):
    images, labels = digits
    gate = GATES["collapse"](References(manifest, QualityOptions(), accepted=manifest.rows(np.arange(5))))
    again = Candidate(Image.fromarray(images[2]), "x", int(labels[2]))
    assert not gate([again])[0].ok


def test_the_default_gates_accept_most_sound_images(manifest, planted):
    left = planted["sound"]
    for gate in make_gates(manifest, QualityOptions()):
        left = [each for each, verdict in zip(left, gate(left), strict=True) if verdict.ok]
    assert len(left) > 0.93 * len(planted["sound"])


def test_gates_come_in_the_order_of_the_options(manifest, planted):
    assert make_gates(manifest, QualityOptions(gates=())) == []
    first, second = make_gates(manifest, QualityOptions(gates=("copy", "flagged", "broken")))
    assert list(first(planted["copy"][:1])[0].scores) == ["copy_distance", "copy_alike"]
    assert list(second(planted["copy"][:1])[0].scores) == ["contrast"]


def test_gates_read_nothing_before_their_first_use(manifest, monkeypatch):
    monkeypatch.setattr("synaug.synthesis.quality.gates.read_image", lambda *_: pytest.fail("an image was read"))
    assert len(make_gates(manifest, QualityOptions())) == 5


def test_with_gates_off_nothing_is_read_or_scored(real, plan, tmp_path, monkeypatch):
    def generator(prompts, *, seeds):
        noise = (np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8) for seed in seeds)
        return [Image.fromarray(pixels) for pixels in noise]

    for name in ("read_image", "thumbnails", "fit_pixel_scorer", "make_views"):
        monkeypatch.setattr(f"synaug.synthesis.quality.gates.{name}", lambda *_, **__: pytest.fail("a gate was asked"))
    gates = make_gates(real, QualityOptions(gates=()))
    synthesize(plan, generator, folder=tmp_path, gates=gates, quality=QualityOptions(gates=()))
    records = list(accepted_records(plan, tmp_path))
    assert len(records) == plan.num_to_generate
    assert all(record["scores"] == {} for record in records)


def test_a_custom_scorer_replaces_the_default(manifest, planted):
    def only_zero(images):
        return np.tile(np.eye(10)[0] * 0.9 + 0.01, (len(images), 1))

    gate = GATES["off_class"](References(manifest, QualityOptions(), scorer=only_zero))
    sound = planted["sound"]
    assert all(verdict.ok for verdict in gate(sound))  # its verdict on real images of each class is the same


def test_margins_by_hand():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    assert np.allclose(np.exp(margins(probabilities=probabilities, labels=np.array([0, 2]))), [2, 1 / 8])


def test_a_class_with_few_images_takes_the_lower_threshold():
    probabilities = np.vstack([np.tile([0.4, 0.6], (100, 1)), np.tile([0.01, 0.99], (3, 1))])
    labels = np.array([0] * 100 + [1] * 3)
    low = class_thresholds(probabilities=probabilities, labels=labels, quantile=0.02)
    assert np.allclose(np.exp(low), [4 / 6, 4 / 6])


def test_a_quantile_of_zero_rejects_nothing():
    low = class_thresholds(probabilities=np.array([[0.9, 0.1]]), labels=np.array([0]), quantile=0.0)
    assert (low == -np.inf).all()


@given(st.integers(1, 20), st.integers(1, 30))
def test_nearest_distance_of_members_is_zero_and_else_the_brute_force_one(num, others):
    rng = np.random.default_rng(num * 100 + others)
    known = rng.integers(0, 256, (others, 9)).astype(np.uint8)
    mine = rng.integers(0, 256, (num, 9)).astype(np.uint8)
    assert (nearest_distances(known, known) == 0).all()
    differences = mine[:, None].astype(float) - known[None]
    nearest = (differences**2).sum(2).argmin(1)
    expected = np.abs(differences[np.arange(num), nearest]).mean(1) / 255
    assert np.allclose(nearest_distances(mine, known), expected, atol=1e-6)


def test_without_others_nothing_is_near():
    assert np.isinf(nearest_distances(np.zeros((2, 4), np.uint8), np.zeros((0, 4), np.uint8))).all()
