"""Estimate how long the training of some methods will take on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from synaug.config import Recipe
from synaug.methods.datasets import input_of
from synaug.methods.options import method_named, network_of, stage_options
from synaug.synthesis.planning.plan import Plan

_PASSES = {"glmc": 2.0, "simclr_start": 1.5, "balanced_contrastive_start": 1.5}  # passes over each image per step


def training_seconds(methods: Sequence[str], recipe: Recipe, plan: Plan) -> float | None:
    """Return the approximate duration of stage 1 of the methods for one seed, by timing each network on a few images.

    Work shared by several methods counts once. Reading, testing and last layers are left out. None if a network is the
    user's own, since a preview does not run such code.
    """
    from synaug.training.networks.classifiers import make_model
    from synaug.training.networks.custom import is_own
    from synaug.training.timing import seconds_per_image

    names = list(dict.fromkeys(_trained(name, recipe) for name in methods))
    networks = dict.fromkeys(network_of(name, recipe) for name in names)
    if any(map(is_own, networks)):
        return None
    paces = {}
    for network in networks:
        channels, side, _ = input_of(network, recipe.train, plan)
        model = make_model(network, num_classes=len(plan.class_names), in_channels=channels, image_size=side)
        paces[network] = seconds_per_image(
            model,
            in_channels=channels,
            image_size=side,
            device=recipe.train.device,
            precision=recipe.train.precision,
        )
    num_images = sum(cell.have + cell.num_to_generate for cell in plan.cells)
    total = 0.0
    for name in names:
        options = stage_options(name, recipe, num_images)
        passes = _PASSES.get(method_named(name, recipe).schedule, 1.0)
        total += (options.steps or 0) * options.batch_size * passes * paces[network_of(name, recipe)]
    return total


def _trained(name: str, recipe: Recipe) -> str:
    """Return the method that trains a method's features."""
    start = method_named(name, recipe).starts_from
    return name if start is None else _trained(start, recipe)
