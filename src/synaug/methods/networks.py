"""Check that the networks of methods can be made, and compute digests of the user's files behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from synaug.config import Recipe, TrainOptions
from synaug.errors import OptionError
from synaug.methods.datasets import input_of
from synaug.methods.options import network_file, network_of
from synaug.runtime.security import own_code
from synaug.synthesis.planning import Plan


def check_code(networks: Iterable[str]) -> None:
    """Check that the user named or confirmed the code of the networks, without running any of it.

    Raises:
        OptionError: code is neither named nor confirmed, or cannot be found.
    """
    own = [network for network in networks if ":" in network]  # avoids heavy imports for the others
    if not own:
        return
    from synaug.training.networks import KIND, is_own

    own_code.check_code([network for network in own if is_own(network)], KIND)


def check_networks(methods: Sequence[str], recipe: Recipe, plan: Plan) -> None:
    """Make custom networks once, and check that all take the same images, before hours go into training others.

    Raises:
        OptionError: a network cannot be made, takes other images, or is code that nobody confirmed.
    """
    from synaug.training.networks import is_own, make_model

    networks = {network_of(name, recipe) for name in methods}
    check_code(networks)
    if recipe.train.pretrained is True:
        check_inputs(networks, recipe.train, plan)
    for network in filter(is_own, networks):
        channels, side, _ = input_of(network, recipe.train, plan)
        make_model(
            network,
            num_classes=len(plan.class_names),
            in_channels=channels,
            image_size=side,
            pretrained=recipe.train.pretrained is True,
        )


def check_inputs(networks: Iterable[str], options: TrainOptions, plan: Plan) -> None:
    """Check that all networks of a run take the same images as ``train.network``.

    Raises:
        OptionError: one does not.
    """
    shared = input_of(options.network, options, plan)
    for network in networks:
        own = input_of(network, options, plan)
        if own != shared:
            raise OptionError(
                f"The weights of {network} expect images of {own[1]} pixels, mean and deviation {own[2]}, but those of "
                f"{options.network} {shared[1]} and {shared[2]}. All methods of a run use the same images: set "
                "train.image_size, train.mean and train.std, or train them in runs of their own."
            )


def network_digests(methods: Sequence[str], recipe: Recipe) -> dict[str, str]:
    """Return the digests of the files or folders that define networks of the methods, by network."""
    files = {network_of(name, recipe): network_file(name, recipe) for name in methods}
    return {network: file["network_digest"] for network, file in files.items() if file}
