"""List the parts of a whole run and the work of each, for one progress line over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from synaug.config import Recipe
from synaug.data import Manifest
from synaug.methods import method_named, network_of
from synaug.methods.options import stage_options
from synaug.methods.training_time import trained_from
from synaug.pipeline.choosing import uses_synthetic
from synaug.pipeline.choosing.candidates import candidates
from synaug.pipeline.part_names import CHOICE, IMAGES, REPORT, training_part
from synaug.runtime import Part
from synaug.synthesis.planning import Plan


def run_parts(
    methods: Sequence[str], seeds: Sequence[int], recipe: Recipe, plan: Plan, manifest: Manifest, *, num_to_make: int
) -> list[Part]:
    """Return the parts of ``experiment.run`` in their order.

    Args:
        methods: methods to train; those of real images alone come before the images are generated.
        seeds: seeds of the trainings.
        recipe: all options.
        plan: how many images to generate.
        manifest: the real images.
        num_to_make: number of missing images.
    """
    num_images = len(manifest.split("train")) + plan.num_to_generate
    trained: set[tuple[str, int]] = set()

    def training(method: str, seed: int) -> Part:
        name = training_part(method, seed)
        if method_named(method, recipe).starts_from is not None and (trained_from(method, recipe), seed) in trained:
            return Part(name)  # a last layer: seconds
        base = trained_from(method, recipe)
        trained.add((base, seed))
        return Part(name, "training", f"training {network_of(base, recipe)}", _steps(base, recipe, num_images))

    ordered = [(method, seed) for seed in seeds for method in methods]
    real = [training(method, seed) for method, seed in ordered if not uses_synthetic(method, recipe)]
    synthetic = [training(method, seed) for method, seed in ordered if uses_synthetic(method, recipe)]
    images = Part(IMAGES, "making images", IMAGES, float(num_to_make))
    return [*real, images, *synthetic, _choice(methods, recipe, manifest, num_images), Part(REPORT)]


def _choice(methods: Sequence[str], recipe: Recipe, manifest: Manifest, num_images: int) -> Part:
    """Return the part that chooses the classifier: one shorter training per fold and network that is trained."""
    if len(manifest.split("validation")):
        return Part(CHOICE)  # the candidates are trained already
    names = candidates(methods, recipe, with_groups=manifest.num_attributes > 1, with_synthetic=True)
    bases = sorted({trained_from(name, recipe) for name in names})
    if not bases:
        return Part(CHOICE)
    work = recipe.choose.effort * recipe.choose.folds * sum(_steps(base, recipe, num_images) for base in bases)
    kind = f"training {network_of(bases[0], recipe)}"
    return Part(CHOICE, "choosing", kind, work, stages=recipe.choose.folds * len(bases))


def _steps(method: str, recipe: Recipe, num_images: int) -> float:
    options = stage_options(method, recipe, num_images)
    steps = options.steps or math.ceil(options.epochs * num_images / options.batch_size)
    return float(steps * options.batch_size)
