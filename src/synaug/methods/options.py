"""What a method is under a recipe: which entry of the table, with which options, and whether a result is of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from synaug.config import MethodOptions, Recipe, RetrainOptions, StageOptions, TrainOptions
from synaug.errors import OptionError, unknown
from synaug.methods.registry import METHODS, OWN, Method

if TYPE_CHECKING:
    pass


def method_named(name: str, recipe: Recipe) -> Method:
    """Return the method of that name, or another version of one that the recipe names.

    Raises:
        OptionError: nothing has this name.
    """
    own = recipe.methods.get(name, MethodOptions())
    kind = own.method or name
    if kind not in METHODS:
        raise unknown("method", kind, METHODS)
    method = METHODS[kind]
    if own.starts_from is not None and method.starts_from is None:
        raise OptionError(f"methods.{name}.starts_from: {kind} trains its features itself and starts from none.")
    if own.groups_from is not None and method.groups_from is None:
        raise OptionError(f"methods.{name}.groups_from: {kind} does not need groups; leave it out.")
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
    """Return the digest of the file or folder that decides the network of a method, where there is one."""
    network = network_of(name, recipe)
    if ":" not in network:  # so that nothing heavy is loaded
        return {}
    from synaug.training.networks.classifiers import network_digest

    return {"network_digest": network_digest(network)}


def check_methods(methods: Sequence[str], recipe: Recipe, *, num_attributes: int | None = None) -> None:
    """Make sure that each method is known and, if ``num_attributes`` is given, has the groups that it needs.

    Raises:
        OptionError: one is not or has not.
    """
    for name in methods:
        method = method_named(name, recipe)
        if method.starts_from is not None:
            check_methods([method.starts_from], recipe)
        if method.groups_from not in (None, OWN):
            check_methods([str(method.groups_from)], recipe)
        if num_attributes is not None and num_attributes < 2 and method.groups_from is not None:
            raise OptionError(
                f"The method {name} needs groups, but the images have no attribute with two values. "
                "Name its column with --attribute, or leave the method out."
            )


def options_of(name: str, recipe: Recipe) -> dict[str, Any]:
    """Return all that decides the result of a method, apart from images and seed, as JSON keeps it."""
    method, own = method_named(name, recipe), recipe.methods.get(name, MethodOptions())
    start = {"starts_from": options_of(method.starts_from, recipe)} if method.starts_from is not None else {}
    changed = {"own": own.model_dump(mode="json", exclude_defaults=True)}
    return _deciding(method, recipe.train) | changed | start | network_file(name, recipe)


def _deciding(method: Method, train: TrainOptions) -> dict[str, Any]:
    changes = {key: value for key, value in asdict(method).items() if key != "description"}
    return {
        "method": json.loads(json.dumps(changes)),
        "train": train.model_dump(mode="json", exclude={"device", "track", "in_memory"}),
    }


def is_of_options(result: dict[str, Any], recipe: Recipe) -> bool:
    """Return whether a result is of these options; one that came into being later counts as its default then."""
    try:
        return _completed(result["options"]) == options_of(result["method"], recipe)
    except (KeyError, TypeError, ValueError):  # an option of then is there no more
        return False


def _completed(options: dict[str, Any]) -> dict[str, Any]:
    method, train = Method(description="", **options["method"]), TrainOptions.model_validate(options["train"])
    start = {"starts_from": _completed(options["starts_from"])} if "starts_from" in options else {}
    kept = {key: options[key] for key in ("own", "network_digest") if key in options}
    return _deciding(method, train) | kept | start


def stage_options(name: str, recipe: Recipe, num_images: int) -> StageOptions:
    """Return the stage-1 options of a method: the recipe's, the method's own, then the recipe's for it.

    The number of steps follows from the ``num_images`` of the evened-out set, so that every method takes equally many.
    """
    from synaug.training.optimization import num_steps

    stage = recipe.train.stage1
    steps = num_steps(stage, num_images)
    own = recipe.methods[name].stage1 if name in recipe.methods else {}
    return StageOptions.model_validate(
        stage.model_dump() | {"steps": steps} | dict(method_named(name, recipe).stage1) | own
    )


def retrain_options(name: str, recipe: Recipe) -> RetrainOptions:
    """Return the stage-2 options of a method: the recipe's, the method's own, then the recipe's for it.

    Where the recipe names the evened-out set, a method without synthetic images takes all real ones.
    """
    shared = recipe.train.retrain.model_dump()
    method = method_named(name, recipe)
    if method.data == "real" and shared["data"] == "evened_out":
        shared["data"] = "all_real"
    own = recipe.methods[name].retrain if name in recipe.methods else {}
    return RetrainOptions.model_validate(shared | dict(method.retrain) | own)
