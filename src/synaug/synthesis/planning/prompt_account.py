"""Count the prompts of each class or group: how many there are, which are too long, and which are equal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from synaug.schemas.command_output import PromptCounts
from synaug.synthesis.planning.plan import Plan
from synaug.synthesis.planning.prompt_length import Shorten
from synaug.synthesis.planning.prompting import WrittenPrompt

SHOWN = 20  # prompts that are too long, or equal, of a class


def prompt_account(plan: Plan, limit: Shorten | None = None) -> dict[str, PromptCounts]:
    """Return, per class or group that needs images, ``prompts`` (how many), ``too_long`` and ``equal`` (which).

    Args:
        plan: the plan with the prompts; those that differ only by letter case count as equal.
        limit: shortens a prompt to the text encoder's limit; None: unknown, and ``too_long`` is None.
    """
    account: dict[str, PromptCounts] = {}
    for position, cell in enumerate(plan.cells):
        if not cell.num_to_generate:
            continue
        texts = Counter(each.text.casefold() for each in plan.prompts(position))
        first: dict[str, str] = {}
        for each in plan.prompts(position):
            first.setdefault(each.text.casefold(), each.text)
        too_long = None if limit is None else [text for text in first.values() if limit(text) != text]
        account[cell.name] = {
            "prompts": texts.total(),
            "too_long": too_long if too_long is None else too_long[:SHOWN],
            "num_too_long": None if too_long is None else len(too_long),
            "equal": [first[key] for key, number in texts.items() if number > 1][:SHOWN],
            "num_equal": sum(number - 1 for number in texts.values()),
        }
    return account


def prompts_origin(plan: Plan) -> str:
    """Return the origin of the prompts: the template, or the file with the models that wrote its rows."""
    if not plan.written:
        return plan.options.template
    authors = Counter(" ".join(each.author.to_dict().values()) for each in plan.written)
    by_models = [f"{number:,} by {author}" for author, number in authors.items() if author]
    return ", ".join([f"{len(plan.written):,} of {Path(plan.options.prompts or '').name}", *by_models])


def as_written(plan: Plan) -> list[WrittenPrompt]:
    """Return the prompts of a plan, one per distinct text of a class or group, as rows of a prompts file."""
    rows: dict[tuple[str, str, str], WrittenPrompt] = {}
    if plan.written:
        return list(plan.written)
    for position, cell in enumerate(plan.cells):
        attribute = plan.attribute_names[cell.attribute] if cell.attribute >= 0 else ""
        name = plan.class_names[cell.label]
        for each in plan.prompts(position):
            phrases = tuple((key, phrase) for key, phrase in each.phrases if key != "class" and phrase)
            row = WrittenPrompt(name, each.text, attribute, plan.options.negative_prompt, phrases=phrases)
            rows.setdefault((name, attribute, each.text), row)
    return list(rows.values())
