"""Resolve a method under a recipe: its entry in the table, its options, and whether a result matches them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NotRequired, TypedDict

from synaug.config import MethodOptions, Recipe, RetrainOptions, StageOptions, TrainOptions
from synaug.data import Manifest
from synaug.errors import OptionError, unknown
from synaug.methods.method import OWN, Changes, Method
from synaug.methods.registry import METHODS
from synaug.run_directory import TRAINING_ENVIRONMENT

REVISED = {
    ("loss", "ldam_drw"): 1,  # divided by the sum of weights
    ("loss", "cross_entropy_drw"): 1,
    ("schedule", "glmc"): 1,  # exponent, consistency and factor as published
    ("mixing", "cmo"): 1,  # partners by class counts in the set
}
"""Revision numbers of formulas that changed: results of older revisions are trained again."""

_DECIDING = ("data", "stage1", "schedule", "starts_from", "retrain", "groups_from", "judged_from", "judged_by")


def method_named(name: str, recipe: Recipe) -> Method:
    """Return the method of that name, or the variant that the recipe defines under it.

    Raises:
        OptionError: the name is unknown.
    """
    own = recipe.methods.get(name, MethodOptions())
    kind = own.method or name
    if kind not in METHODS:
        raise unknown("method", kind, METHODS)
    method = METHODS[kind]
    if own.starts_from is not None and method.starts_from is None:
        raise OptionError(
            f"methods.{name}.starts_from: {kind} trains its own features and does not start from another method."
        )
    if own.groups_from is not None and method.groups_from is None:
        raise OptionError(f"methods.{name}.groups_from: {kind} does not need groups; remove it.")
    return replace(
        method,
        starts_from=own.starts_from or method.starts_from,
        groups_from=own.groups_from or method.groups_from,
    )


def network_of(name: str, recipe: Recipe) -> str:
    """Return the network that a method trains, or whose last layer it retrains."""
    start = method_named(name, recipe).starts_from
    if start is not None:
        return network_of(start, recipe)
    return recipe.methods.get(name, MethodOptions()).network or recipe.train.network


def network_file(name: str, recipe: Recipe) -> dict[str, str]:
    """Return the digest of the file or folder that defines the network of a method; empty if there is none."""
    network = network_of(name, recipe)
    if ":" not in network:  # avoids heavy imports
        return {}
    from synaug.training.networks import network_digest

    return {"network_digest": network_digest(network)}


def check_methods(methods: Sequence[str], recipe: Recipe, *, data: Manifest | None = None) -> None:
    """Check that each method is known and, if ``data`` are given, that they have the groups and the split it needs.

    Raises:
        OptionError: a method is unknown, or lacks groups or a validation split.
    """
    for name in methods:
        method = method_named(name, recipe)
        if method.starts_from is not None:
            check_methods([method.starts_from], recipe, data=data)
        if method.groups_from not in (None, OWN):
            check_methods([str(method.groups_from)], recipe, data=data)
        if method.judged_from is not None:
            check_methods([method.judged_from], recipe, data=data)
        _check_last_layer(name, recipe)
        if method.needs_pretrained and recipe.train.pretrained is False:
            raise OptionError(
                f"The method {name} uses pretrained features as they are, but train.pretrained is false. Set it to "
                "true with a network that has weights, or remove the method."
            )
        if data is not None and data.num_attributes < 2 and needs_groups(name, recipe):
            raise OptionError(
                f"The method {name} needs groups, but the images have no attribute with two values. "
                "Name its column with --attribute, or remove the method."
            )
        if data is not None and learns_from_validation(name, recipe) and not len(data.split("validation")):
            raise OptionError(
                f"The method {name} retrains the last layer on a validation split (retrain.data: validation), and the "
                "data have none. Add images of the split 'validation', choose all_real, or remove the method."
            )


def needs_groups(name: str, recipe: Recipe) -> bool:
    """Return whether a method requires an attribute, by the registry or the recipe."""
    own = recipe.methods.get(name, MethodOptions()).retrain
    return method_named(name, recipe).needs_groups or own.get("data") == "group_balanced_real"


def _check_last_layer(name: str, recipe: Recipe) -> None:
    """Raise an OptionError for a regularization strength that the last layer's method would ignore."""
    own = recipe.methods.get(name, MethodOptions()).retrain
    if "regularization" not in own:
        return
    from synaug.training.last_layer import WITHOUT_REGULARIZATION

    head = str((dict(method_named(name, recipe).retrain) | own).get("method"))
    if head in WITHOUT_REGULARIZATION:
        raise OptionError(
            f"methods.{name}.retrain.regularization: {head} has no such strength or chooses it from a grid of its own; "
            "remove it."
        )


def uses_autoencoder(names: Sequence[str], recipe: Recipe) -> bool:
    """Return whether a method, or one whose features it needs, trains on autoencoded real images."""
    for name in names:
        method = method_named(name, recipe)
        others = [other for other in (method.starts_from, method.judged_from, method.groups_from) if other]
        if uses_autoencoder([other for other in others if other != OWN], recipe):
            return True
        if method.starts_from is None and stage_options(name, recipe, 1).autoencoded > 0:
            return True
    return False


class _Entry(TypedDict):
    data: str
    stage1: Changes
    schedule: str
    starts_from: str | None
    retrain: Changes
    groups_from: str | None
    judged_from: str | None
    judged_by: str


class DecidingOptions(TypedDict):
    """The options that determine the result of a method: its entry in the table, the recipe's, and those of its own.

    ``starts_from`` has those of the method whose features it uses; ``formulas`` the revisions of ``REVISED``.
    """

    method: _Entry
    train: dict[str, object]
    own: NotRequired[dict[str, object]]
    starts_from: NotRequired[DecidingOptions]
    network_digest: NotRequired[str]
    formulas: NotRequired[dict[str, int]]


def options_of(name: str, recipe: Recipe) -> DecidingOptions:
    """Return the options that determine the result of a method, apart from images and seed, as plain JSON values."""
    method, own = method_named(name, recipe), recipe.methods.get(name, MethodOptions())
    entry: _Entry = json.loads(json.dumps({key: getattr(method, key) for key in _DECIDING}))
    train = recipe.train.model_dump(mode="json", exclude={*TRAINING_ENVIRONMENT})
    train["pretrained"] = recipe.train.pretrained is True  # an undecided auto starts from scratch
    found: DecidingOptions = {
        "method": entry,
        "train": train,
        "own": own.model_dump(mode="json", exclude_defaults=True),
    }
    if method.starts_from is not None:
        found["starts_from"] = options_of(method.starts_from, recipe)
    if file := network_file(name, recipe):
        found["network_digest"] = file["network_digest"]
    if method.starts_from is None and (revised := formulas(_stage(found), method)):
        found["formulas"] = revised
    return found


def formulas(stage: StageOptions, method: Method) -> dict[str, int]:
    """Return the revisions of the formulas in stage 1, so that results of older ones become outdated."""
    used = {"loss": stage.loss, "schedule": method.schedule}
    if method.uses_synthetic:
        used["mixing"] = stage.mixing
    return {name: REVISED[kind, name] for kind, name in used.items() if (kind, name) in REVISED}


def is_of_options(result: Mapping[str, Any], recipe: Recipe) -> bool:
    """Return whether a result has these options, compared by resolved values.

    It does not matter whether the registry or the recipe sets a value, and options of a stage that the method lacks do
    not count. An option that was added later counts as its default.
    """
    try:
        return _resolved(result["options"]) == _resolved(options_of(result["method"], recipe))
    except (KeyError, TypeError, ValueError):  # an option of an older version that no longer exists
        return False


def _resolved(options: DecidingOptions) -> dict[str, object]:
    """Return the resolved values of a result's options."""
    method = Method(description="", **options["method"])
    own = MethodOptions.model_validate(options.get("own", {}))
    found: dict[str, object] = {
        "learns_from": [method.data, method.groups_from, method.judged_from, method.judged_from and method.judged_by],
        "images": own.images.model_dump(mode="json"),
        "network": [own.network, options.get("network_digest")],
        "train": _shared(options, method),
    }
    if method.starts_from is None:
        stage = {"schedule": method.schedule, "formulas": options.get("formulas", {})}
        return found | stage | {"stage1": _stage(options).model_dump(mode="json")}
    retrain = _retrain(method, TrainOptions.model_validate(options["train"]).retrain, own)
    return found | {"starts_from": _resolved(options["starts_from"]), "retrain": retrain.model_dump(mode="json")}


def _shared(options: DecidingOptions, method: Method) -> dict[str, object]:
    """Return the options of ``train`` outside its stages that matter to a method."""
    # a result of an older version, which did not match spectra
    given = {"match_spectrum": False} | options["train"]
    left_out = {*TRAINING_ENVIRONMENT, "stage1", "retrain", *(() if method.uses_synthetic else ("match_spectrum",))}
    return TrainOptions.model_validate(given).model_dump(mode="json", exclude=left_out)


def _stage(options: DecidingOptions) -> StageOptions:
    """Return the stage-1 options of a result, without the number of steps, which follows from epochs."""
    own = MethodOptions.model_validate(options.get("own", {}))
    shared = TrainOptions.model_validate(options["train"]).stage1.model_dump()
    return StageOptions.model_validate(shared | dict(options["method"]["stage1"]) | own.stage1)


def stage_options(name: str, recipe: Recipe, num_images: int) -> StageOptions:
    """Return the stage-1 options of a method: the recipe's, the method's own, then the recipe's for this method.

    The number of steps follows from the ``num_images`` of the balanced set, so that all methods take equally many.
    """
    from synaug.training import num_steps

    stage = recipe.train.stage1
    changes = dict(method_named(name, recipe).stage1)
    changes |= recipe.methods[name].stage1 if name in recipe.methods else {}
    own_length = "epochs" in changes  # fine-tuning takes a few epochs of smaller batches
    if stage.epochs != StageOptions().epochs:  # set by the user, so it applies to all
        changes.pop("epochs", None)
    steps = num_steps(stage.model_copy(update=changes) if own_length else stage, num_images)
    return StageOptions.model_validate(stage.model_dump() | {"steps": steps} | changes)


def retrain_options(name: str, recipe: Recipe) -> RetrainOptions:
    """Return the stage-2 options of a method: the recipe's, the method's own, then the recipe's for this method.

    If the recipe names the balanced set, a method without synthetic images uses all real ones.
    """
    return _retrain(method_named(name, recipe), recipe.train.retrain, recipe.methods.get(name, MethodOptions()))


def learns_from_validation(name: str, recipe: Recipe) -> bool:
    """Return whether the last layer is fitted to the validation images, which biases their score."""
    return method_named(name, recipe).starts_from is not None and retrain_options(name, recipe).data == "validation"


def _retrain(method: Method, options: RetrainOptions, own: MethodOptions) -> RetrainOptions:
    shared = options.model_dump()
    if not method.uses_synthetic and shared["data"] == "evened_out":
        shared["data"] = "all_real"
    return RetrainOptions.model_validate(shared | dict(method.retrain) | own.retrain)
