"""Test that the judges of images do not take an attribute for the class: they would reject what a set lacks."""

import numpy as np
import pytest
import torch
from PIL import Image

from synaug.config import QualityOptions, Recipe
from synaug.data import cell_weights
from synaug.data.manifest import from_arrays, read_image
from synaug.methods.judging import judged
from synaug.pipeline.measure_gap import measured_gap
from synaug.synthesis.quality.gates import GATES, Candidate, References
from synaug.training.training_set import make_training_set

NAMES, PLACES = ("dress", "coat"), ("land", "water")
COLORS = np.array([(90, 130, 60), (60, 90, 160)])


@pytest.fixture(scope="module")
def scenes(fashion):
    """Images of 600 dresses and coats on land and water, their labels and their places."""
    rng, images = np.random.default_rng(0), []
    labels, places = np.repeat([0, 1], 300), rng.integers(0, 2, 600)
    rows = [np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:300] for name in NAMES]
    for row, place in zip(np.concatenate(rows), places, strict=True):
        item = np.asarray(read_image(fashion, int(row)).convert("L"), float)[..., None]
        ground = COLORS[place] + rng.normal(0, 8, (*item.shape[:2], 3))
        images.append(np.where(item < 25, ground, item).clip(0, 255).astype(np.uint8))
    return np.stack(images), labels, places


@pytest.fixture(scope="module")
def rows(scenes):
    """Training rows, in which the place nearly gives the class away, and further rows of the two rare groups."""
    _, labels, places = scenes
    rare = np.flatnonzero(labels != places)
    few = np.concatenate([rare[labels[rare] == label][:15] for label in (0, 1)])
    return np.concatenate([np.flatnonzero(labels == places), few]), np.setdiff1d(rare, few)


def manifest_of(scenes, rows, *, with_places):
    images, labels, places = scenes
    known = {"attributes": places[rows], "attribute_names": PLACES} if with_places else {}
    return from_arrays(images[rows], labels[rows], class_names=NAMES, **known)


def accepted(scenes, rows, *, with_places, as_other_class=False):
    """Return the share of further images of the rare groups that the gate ``off_class`` accepts."""
    images, labels, places = scenes
    train, more = rows
    gate = GATES["off_class"](References(manifest_of(scenes, train, with_places=with_places), QualityOptions()))
    wanted = 1 - labels if as_other_class else labels
    asked = [Candidate(Image.fromarray(images[r]), f"x-{r}", int(wanted[r]), int(places[r])) for r in more]
    return np.mean([verdict.ok for verdict in gate(asked)])


def test_the_gate_accepts_good_images_of_rare_groups_if_it_knows_the_groups(scenes, rows):
    share = accepted(scenes, rows, with_places=True)
    assert share > 0.9
    assert share > accepted(scenes, rows, with_places=False) + 0.1


def test_it_still_rejects_images_of_the_other_class(scenes, rows):
    wrong = accepted(scenes, rows, with_places=True, as_other_class=True)
    assert wrong < 0.6
    assert wrong < accepted(scenes, rows, with_places=False, as_other_class=True)


def test_good_images_of_rare_groups_are_no_gap_to_the_images_of_their_groups(scenes, rows):
    train, more = rows

    def found(*, with_places):
        sides = [manifest_of(scenes, part, with_places=with_places) for part in (train, more)]
        return measured_gap(*sides, Recipe())

    by_group, by_class = found(with_places=True), found(with_places=False)
    assert by_group["audit"]["usable"]
    assert by_group["audit"]["overall"]["color"] != "red"
    for name in NAMES:
        assert by_group["gap"]["per_class"][name]["probe_accuracy"] < 0.75
        assert by_class["gap"]["per_class"][name]["probe_accuracy"] > 0.9


def test_images_of_the_wrong_class_are_found_in_rare_groups_too(scenes, rows):
    images, labels, places = scenes
    train, more = rows
    wrong = from_arrays(
        images[more], 1 - labels[more], class_names=NAMES, attributes=places[more], attribute_names=PLACES
    )
    audit = measured_gap(manifest_of(scenes, train, with_places=True), wrong, Recipe())["audit"]
    assert not audit["usable"]
    assert "wrong_class" in audit["overall"]["findings"]


def test_a_filter_of_a_method_keeps_good_images_of_rare_groups(scenes, rows):
    _, labels, places = scenes
    train, more = rows
    order = np.concatenate([train, more])
    rng = np.random.default_rng(0)
    features = torch.from_numpy(
        np.stack([2 * labels[order], 6 * places[order]], 1) + rng.normal(0, 0.5, (len(order), 2))
    )

    def kept(groups):
        data = make_training_set(
            torch.zeros(len(order), 1, 4, 4, dtype=torch.uint8),
            torch.from_numpy(labels[order]),
            num_classes=2,
            groups=groups,
            num_groups=4,
            is_synthetic=torch.arange(len(order)) >= len(train),
        )
        return judged(data, features, by="filter", quantile=0.02).is_synthetic.float().sum() / len(more)

    assert kept(torch.from_numpy(2 * labels + places)[order]) > 0.9
    assert kept(None) < 0.8


def test_a_cell_of_one_image_does_not_stand_for_a_whole_group():
    weights = cell_weights(np.zeros(101, int), np.repeat([0, 1], [100, 1]))
    assert weights[-1] < 25
    assert weights.mean() == pytest.approx(1)
