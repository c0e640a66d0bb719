"""List the candidate classifiers of a run, simplest first."""

from __future__ import annotations

from collections.abc import Sequence

from synaug.config import NONE, Recipe
from synaug.methods import DEFAULT_METHODS, METHODS, method_named
from synaug.methods.registry import PRETRAINED_METHODS, PROBES

REAL = ("cross_entropy", "balanced_mixup", "cross_entropy_retrained", "balanced_mixup_retrained")
SYNTHETIC = ("classifier_only", "synaug_tenth", "synaug_tenth_retrained", "synaug_stage1", "synaug")
DEFAULTS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (DEFAULT_METHODS, (*REAL, *SYNTHETIC), ("group_balanced", "group_retrained")),
    (
        PRETRAINED_METHODS,
        PRETRAINED_METHODS,
        ("group_linear_probe", "fine_tuned_group_retrained", "synaug_fine_tuned_group_retrained"),
    ),
    (PROBES, PROBES, ("group_linear_probe",)),
)
"""Default methods of a run, its candidates, and more candidates if the attribute is known."""


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
    else:
        names = tuple(dict.fromkeys((*_of_defaults(methods, recipe, with_groups=with_groups), *methods)))
    known = [name for name in names if name in recipe.methods or name in METHODS]
    rivals = [name for name in known if not method_named(name, recipe).is_bound]
    useful = [name for name in rivals if with_synthetic or not uses_synthetic(name, recipe)]
    return sorted(useful or rivals, key=lambda name: uses_synthetic(name, recipe))


def _of_defaults(methods: Sequence[str], recipe: Recipe, *, with_groups: bool) -> tuple[str, ...]:
    """Return the candidates of a run with the default methods; empty if it has others."""
    for usual, names, of_groups in DEFAULTS:
        found = (*names, *(of_groups if with_groups else ()))
        if set(methods) >= set(usual):
            return found
        if recipe.plan.target == NONE and list(methods) == [each for each in usual if not uses_synthetic(each, recipe)]:
            return tuple(name for name in found if not uses_synthetic(name, recipe))
    return ()
