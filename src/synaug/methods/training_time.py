"""Estimate how long the training of some methods will take on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from synaug.config import Recipe
from synaug.methods.datasets import input_of
from synaug.methods.options import method_named, network_of, stage_options
from synaug.synthesis.planning import Plan

_FORWARD = 1 / 3  # of a training step, for features of a frozen network
_PASSES = {"glmc": 2.0, "simclr_start": 1.5, "balanced_contrastive_start": 1.5}  # passes over each image per step


def training_seconds(methods: Sequence[str], recipe: Recipe, plan: Plan) -> float | None:
    """Return the approximate seconds of stage 1 of the methods for one seed; see ``seconds_of_features``."""
    seconds = seconds_of_features(methods, recipe, plan)
    return None if seconds is None else sum(seconds.values())


def seconds_of_features(methods: Sequence[str], recipe: Recipe, plan: Plan) -> dict[str, float] | None:
    """Return the approximate seconds of stage 1 for one seed, by the methods whose features the given ones use.

    Each network is timed on a few images. Reading, testing and last layers are left out. None if a network is custom
    code, which a preview does not run.
    """
    from synaug.training import seconds_per_image
    from synaug.training.networks import is_own, make_model

    names = list(dict.fromkeys(trained_from(name, recipe) for name in methods))
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
    num_images = sum(max(cell.target, cell.have + cell.num_to_generate) for cell in plan.cells)
    seconds = {}
    for name in names:
        options, schedule = stage_options(name, recipe, num_images), method_named(name, recipe).schedule
        passes = (options.steps or 0) * options.batch_size * _PASSES.get(schedule, 1.0)
        seconds[name] = paces[network_of(name, recipe)] * (num_images * _FORWARD if schedule == "frozen" else passes)
    return seconds


def trained_from(name: str, recipe: Recipe) -> str:
    """Return the method that trains a method's features."""
    start = method_named(name, recipe).starts_from
    return name if start is None else trained_from(start, recipe)
