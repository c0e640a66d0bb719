"""Test that image-to-image starts from the right real images, with a fixed one per slot."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from synaug.config import GenerateOptions
from synaug.data.manifest import from_arrays
from synaug.errors import OptionError
from synaug.synthesis.execution.provenance import provenance
from synaug.synthesis.execution.worker import synthesize
from synaug.synthesis.generators.init_images import make_guides, many_shot_class, same_class
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.planning.slots import slots


def variant_of(plan, variant):
    return replace(plan, options=plan.options.model_copy(update={"variant": variant}))


def counted(*counts, attributes=None):
    labels = np.repeat(np.arange(len(counts)), counts)
    return from_arrays(
        np.zeros((len(labels), 2, 2), np.uint8), labels, class_names=[f"c{k}" for k in range(len(counts))],
        attributes=attributes, attribute_names=("x", "y") if attributes is not None else (),
    )  # fmt: skip


def test_text_needs_no_guides(plan, real):
    assert make_guides(plan, real) is None
    assert make_guides(variant_of(plan, "fitted"), real) is None


def test_intra_starts_from_the_slots_own_class(plan, real):
    plan = variant_of(plan, "intra")
    guides, labels = make_guides(plan, real), dict(zip(real.frame["id"], real.labels, strict=True))
    chosen = [(slot.cell.label, guides(slot).ids[0]) for slot in slots(plan)]
    assert all(labels[name] == label for label, name in chosen)
    assert len({name for _, name in chosen}) == 10  # every real image of both classes is used


def test_inter_starts_from_the_largest_class_if_none_is_many_shot(plan, real):
    guides = make_guides(variant_of(plan, "inter"), real)
    assert all(int(guides(slot).ids[0].split("-")[1]) < 20 for slot in slots(plan))


def test_inter_takes_all_other_many_shot_classes():
    rows = many_shot_class(counted(101, 150, 100, 5), 1, -1)
    assert rows.tolist() == list(range(101))


def test_intra_prefers_the_group_and_falls_back_to_the_class():
    real = counted(2, 2, attributes=[0, 1, 0, 0])
    assert same_class(real, 0, 1).tolist() == [1]
    assert same_class(real, 1, 1).tolist() == [2, 3]
    assert same_class(real, 1, -1).tolist() == [2, 3]


def test_a_slot_keeps_its_guide(plan, real):
    first, second = (make_guides(variant_of(plan, "intra"), real) for _ in range(2))
    assert [first(slot).ids for slot in slots(plan)] == [second(slot).ids for slot in slots(plan)]


def test_a_single_class_has_no_other_to_start_from(plan, real):
    alone = real.rows(real.labels == 1)
    with pytest.raises(OptionError, match=r"variant 'inter'.*'middle'"):
        make_guides(variant_of(plan, "inter"), alone)


@pytest.mark.parametrize("variant", ["intra", "inter"])
def test_an_interrupted_variant_ends_as_the_uninterrupted_one(plan, real, stable_diffusion, tmp_path, variant):
    few = tuple(replace(cell, num_to_generate=min(cell.num_to_generate, 4)) for cell in plan.cells)
    plan = replace(variant_of(plan, variant), cells=few)
    options = GenerateOptions(device="cpu", steps=2, batch_size=4, strength=0.5)
    generator, guides = load_generator(str(stable_diffusion), options, variant=variant), make_guides(plan, real)
    digests = []
    for name, calls in (("whole", 99), ("cut", 1)):
        left = [calls]

        def limited(prompts, *, seeds, images, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return generator(prompts, seeds=seeds, images=images)

        limited.batch_size = 4
        if name == "cut":
            with pytest.raises(KeyboardInterrupt):
                synthesize(plan, limited, folder=tmp_path / name, guides=guides)
        synthesize(plan, generator, folder=tmp_path / name, guides=guides)
        files = sorted((tmp_path / name / "synthetic").rglob("*.png"))
        digests.append([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files])
        assert provenance(plan, tmp_path / name)["guide"].notna().all()
    assert digests[0] == digests[1]
    assert len(digests[0]) == 8
