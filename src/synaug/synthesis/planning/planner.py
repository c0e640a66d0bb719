"""Decide how many images each class or group lacks, without a model or reading images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synaug.config import AUTO, GenerateOptions, PlanOptions
from synaug.data import Manifest
from synaug.data.images import Encoding
from synaug.data.labels import BETWEEN
from synaug.errors import OptionError, unknown
from synaug.runtime import WHOLES, Kind, check_arguments, instance_of
from synaug.synthesis.planning.names import check_all_named, synsets
from synaug.synthesis.planning.plan import FROM_CLASS, Cell, Plan, check_distinct, phrases_in_turn, with_shares
from synaug.synthesis.planning.prompting import WrittenPrompt, check_spread, combinations
from synaug.synthesis.planning.targets import ROUNDS, named_targets, target_counts
from synaug.synthesis.planning.written_checks import check_written

EQUAL_PROMPTS = (
    "The classes {first!r} and {second!r} have the same prompt, {prompt!r}, so their images would be alike. "
    "Give them different names with --aliases, and keep {{class}} in plan.template."
)
EQUAL_WRITTEN = (
    "The classes {first!r} and {second!r} have the same prompt in {file}, {prompt!r}, so their images would be alike. "
    "Change one of the two rows."
)


_SIZE = Kind(
    "a pair (width, height) in pixels",
    lambda value: isinstance(value, list | tuple) and WHOLES.accepts(value) and len(value) == 2 and min(value) > 0,
)
_WRITTEN = Kind(
    "a list of prompts, as read_prompts returns it",
    lambda value: isinstance(value, list | tuple) and all(isinstance(each, WrittenPrompt) for each in value),
)


def make_plan(
    manifest: Manifest,
    *,
    options: PlanOptions,
    generate: GenerateOptions,
    encoding: Encoding,
    image_size: tuple[int, int],
    written: Sequence[WrittenPrompt] = (),
) -> Plan:
    """Plan how the training images are balanced.

    Args:
        manifest: the real training images.
        options: target, prompts and model. With target ``auto``, the plan is that of the first round.
        generate: how the model is run.
        encoding: encoding of the real images, to be used for synthetic ones too.
        image_size: (width, height) in which synthetic images are stored.
        written: the prompts of the file ``options.prompts``.

    Raises:
        OptionError: groups are requested but attributes are unknown, an option refers to something that does not exist,
            two classes have the same prompt, or a class or group that needs images has none in the file.
    """
    check_arguments(
        "make_plan",
        manifest=(manifest, instance_of(Manifest, words="a manifest, as read_data returns it")),
        options=(options, instance_of(PlanOptions, words="PlanOptions")),
        generate=(generate, instance_of(GenerateOptions, words="GenerateOptions")),
        encoding=(encoding, instance_of(Encoding, words="an Encoding")),
        image_size=(image_size, _SIZE),
        written=(written, _WRITTEN),
    )
    identities = _identities(manifest, options)
    counts = np.array([_count(manifest, label, attribute) for label, attribute in identities], np.int64)
    if isinstance(options.target, dict):
        targets = named_targets(counts, options.target, [_cell_name(manifest, *each) for each in identities])
    else:
        targets = target_counts(counts, options.target)
    missing = targets - counts
    if options.cap is not None:
        missing = np.minimum(missing, options.cap)
    if options.variant in FROM_CLASS and ((missing > 0) & (counts == 0)).any():
        empty = _cell_name(manifest, *identities[int(np.argmax((missing > 0) & (counts == 0)))])
        raise OptionError(
            f"variant {options.variant!r} starts from real images, and {empty!r} has none; use variant 'text'."
        )
    cells = tuple(
        Cell(label, attribute, _cell_name(manifest, label, attribute), int(have), int(have + lack), int(lack))
        for (label, attribute), have, lack in zip(identities, counts, missing, strict=True)
    )
    check_distinct(cells)
    plan = Plan(
        cells, manifest.class_names, manifest.attribute_names, options, generate, encoding, image_size, tuple(written)
    )
    if options.target == AUTO:
        plan = with_shares(plan, [ROUNDS[0]] * len(cells))
    _check_names(plan)
    plan = replace(plan, options=_with_synset_names(plan))
    _check_distinct_prompts(plan)
    return plan


def _check_distinct_prompts(plan: Plan) -> None:
    """Reject equal prompts of two classes: their images would look alike, and one of the labels be wrong.

    For the template, only prompts without a modifier are compared: with modifiers, a few prompts of "boat" would equal
    those of a class "small boat".
    """
    owners: dict[str, Cell] = {}
    for position, cell in enumerate(plan.cells):
        written = plan.written_of(position)
        told = [] if written else combinations(phrases_in_turn(plan, cell))
        texts = [each.prompt for each in written] or [plan.prompt(position, "", phrases) for phrases in told]
        for text in texts:
            other = owners.setdefault(text.casefold(), cell)
            if other.label != cell.label and (cell.num_to_generate or other.num_to_generate):
                first, second = (plan.class_names[each.label] for each in (other, cell))
                message = EQUAL_WRITTEN if written else EQUAL_PROMPTS
                raise OptionError(message.format(first=first, second=second, prompt=text, file=plan.options.prompts))


def _identities(manifest: Manifest, options: PlanOptions) -> list[tuple[int, int]]:
    if options.by == "class":
        return [(label, -1) for label in range(manifest.num_classes)]
    if not manifest.num_attributes or (manifest.attributes < 0).all():
        raise OptionError(
            "by 'group' needs an attribute, but the images have none; name its column with --attribute, or plan "
            "by 'class'."
        )
    return [(label, a) for label in range(manifest.num_classes) for a in range(manifest.num_attributes)]


def _count(manifest: Manifest, label: int, attribute: int) -> int:
    chosen = manifest.labels == label
    if attribute >= 0:
        chosen &= manifest.attributes == attribute
    return int(chosen.sum())


def _cell_name(manifest: Manifest, label: int, attribute: int) -> str:
    name = manifest.class_names[label]
    return name if attribute < 0 else f"{_without_bars(name)} | {_without_bars(manifest.attribute_names[attribute])}"


def _without_bars(name: str) -> str:
    r"""Return the name with every bar escaped, so that a lone bar always separates class and attribute.

    >>> _without_bars("a | b")
    'a \\| b'
    """
    return name.replace("\\", "\\\\").replace("|", "\\|")


def _check_names(plan: Plan) -> None:
    """Reject aliases and phrases of nonexistent classes and attributes, which would have no effect."""
    check_spread(plan.options, plan.class_names)
    check_written(plan)
    known = {*plan.class_names, *plan.attribute_names}
    for name in plan.options.aliases:
        if name not in known:
            raise unknown("class in aliases", name, known)
    for name in plan.options.attribute_phrases if plan.options.by == "group" else ():
        parts = {part for value in plan.attribute_names for part in value.split(BETWEEN)}
        if name not in plan.attribute_names and name not in parts:
            raise unknown("attribute in attribute_phrases", name, {*plan.attribute_names, *parts})


def _with_synset_names(plan: Plan) -> PlanOptions:
    """Return the options with an alias for each class that is a WordNet id, so that no table is needed later."""
    found = {name: synset.name for name, synset in synsets(plan.class_names).items()}
    aliases = found | plan.options.aliases
    check_all_named(plan.class_names, aliases)
    return plan.options.model_copy(update={"aliases": aliases})
