"""List the candidate classifiers of a run, simplest first."""

from __future__ import annotations

from collections.abc import Sequence

from synaug.config import Recipe
from synaug.methods import DEFAULT_METHODS, METHODS, method_named

REAL = ("cross_entropy", "balanced_mixup", "cross_entropy_retrained", "balanced_mixup_retrained")
REAL_GROUPS = ("group_balanced", "group_retrained")
SYNTHETIC = ("classifier_only", "synaug_tenth", "synaug_tenth_retrained", "synaug_stage1", "synaug")


def uses_synthetic(name: str, recipe: Recipe) -> bool:
    """Return whether a method, or one whose features it starts from, is trained on synthetic images."""
    method = method_named(name, recipe)
    return method.uses_synthetic or (method.starts_from is not None and uses_synthetic(method.starts_from, recipe))


def candidates(methods: Sequence[str], recipe: Recipe, *, with_groups: bool, with_synthetic: bool) -> list[str]:
    """Return the candidate methods: those of the recipe, else the default ones, else the requested ones.

    Args:
        methods: the methods of the run. If they are not the default ones, they are the candidates.
        recipe: the options.
        with_groups: whether the attribute of the training images is known.
        with_synthetic: whether there are synthetic images.
    """
    if recipe.choose.candidates is not None:
        names = recipe.choose.candidates
    elif set(methods) >= {name for name in DEFAULT_METHODS if not uses_synthetic(name, recipe)}:
        made = SYNTHETIC if set(methods) >= set(DEFAULT_METHODS) else ()  # else with plan.target: none
        names = tuple(dict.fromkeys((*REAL, *(REAL_GROUPS if with_groups else ()), *made, *methods)))
    else:
        names = tuple(methods)
    known = [name for name in names if name in recipe.methods or name in METHODS]
    rivals = [name for name in known if not method_named(name, recipe).is_bound]
    useful = [name for name in rivals if with_synthetic or not uses_synthetic(name, recipe)]
    return sorted(useful or rivals, key=lambda name: uses_synthetic(name, recipe))
