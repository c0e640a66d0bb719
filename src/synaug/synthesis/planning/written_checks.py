"""Check that the prompts of a file fit a plan: known classes and attributes, and one for each image to generate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synaug.config import PlanOptions
from synaug.errors import OptionError, unknown

if TYPE_CHECKING:
    from synaug.synthesis.planning.plan import Plan

_OF_TEMPLATE = ("template", "modifiers", "attribute_phrases", "spread")


def check_written(plan: Plan) -> None:
    """Check that the prompts of a file are of known classes and attributes, and that no image lacks one.

    Raises:
        OptionError: a class or attribute is unknown, a class or group that needs images has no prompt, or an option of
            the template is set, which would have no effect.
    """
    if plan.options.prompts is None:
        return
    given = [name for name in _OF_TEMPLATE if name in _changed(plan.options)]
    if given:
        raise OptionError(f"plan.{given[0]} has no effect with plan.prompts, whose prompts are complete. Remove one.")
    for each in plan.written:
        if each.class_name not in plan.class_names:
            raise unknown(f"class in {plan.options.prompts}", each.class_name, plan.class_names)
        if each.attribute and plan.attribute_names and each.attribute not in plan.attribute_names:
            raise unknown(f"attribute in {plan.options.prompts}", each.attribute, plan.attribute_names)
    empty = [cell.name for i, cell in enumerate(plan.cells) if cell.num_to_generate and not plan.written_of(i)]
    if empty:
        more = f" and {len(empty) - 1:,} more" if len(empty) > 1 else ""
        raise OptionError(
            f"{plan.options.prompts} has no prompt for {empty[0]!r}{more}, which needs images. Add rows, or write the "
            "built-in prompts to start from: synaug prompts RUN --export"
        )


def _changed(options: PlanOptions) -> set[str]:
    """Return the options that differ from their default."""
    usual = PlanOptions()
    return {name for name in PlanOptions.model_fields if getattr(options, name) != getattr(usual, name)}
