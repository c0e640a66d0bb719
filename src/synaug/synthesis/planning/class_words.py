"""The names of a plan's classes in its prompts, and which of them are doubtful."""

from __future__ import annotations

from collections.abc import Mapping

from synaug.synthesis.planning.names import name_warnings, names_in_prompts, synsets
from synaug.synthesis.planning.plan import Plan
from synaug.synthesis.planning.prompting import CLASS_SPREAD, prompt


def called(plan: Plan) -> dict[str, str]:
    """Return the prompt name of each class."""
    return names_in_prompts(plan.class_names, plan.options.aliases)


def doubtful_names(plan: Plan, decided: Mapping[str, str]) -> list[str]:
    """Return a sentence per class whose prompt name is ambiguous.

    Args:
        plan: the plan whose prompts are checked.
        decided: aliases given by the user.
    """
    if plan.written:  # written prompts need no class names
        return []
    definitions = {name: synset.definition for name, synset in synsets(plan.class_names).items()}
    numbers = [name for name in called(plan).values() if name.isdecimal()]
    if numbers:
        return [
            f"{len(numbers):,} class names are numbers, such as {numbers[0]!r}, which mean nothing "
            "to a model. Name the classes with --aliases."
        ]
    return name_warnings(called(plan), aliases=decided, definitions=definitions)


def class_prompts(plan: Plan) -> list[list[str]]:
    """Return all prompts of each class, over its cells."""
    prompts: list[list[str]] = [[] for _ in plan.class_names]
    for position, cell in enumerate(plan.cells):
        prompts[cell.label] += [each.text for each in plan.prompts(position)]
    return prompts


def class_captions(plan: Plan) -> list[str]:
    """Return the prompt of each class without modifier and attribute, for scorers that compare images with text."""
    nothing = {name: "" for name in plan.options.spread if name != CLASS_SPREAD}
    return [prompt(plan.options.template, class_name=name, phrases=nothing) for name in called(plan).values()]
