"""The networks that methods train: whether they can be made, and which files of the user's own they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from synaug.config import Recipe, TrainOptions
from synaug.errors import OptionError
from synaug.methods.datasets import input_of
from synaug.methods.options import network_file, network_of
from synaug.runtime.trust import check_trusted
from synaug.synthesis.planning.plan import Plan


def check_code(networks: Iterable[str]) -> None:
    """Make sure that the person named or confirmed the code of the networks; none of it is run here.

    Raises:
        OptionError: code is neither named nor confirmed, or cannot be found.
    """
    own = [network for network in networks if ":" in network]  # so that nothing heavy is loaded for others
    if not own:
        return
    from synaug.training.networks.custom import is_own, source_digest

    for network in filter(is_own, own):
        check_trusted(network, source_digest(network))


def check_networks(methods: Sequence[str], recipe: Recipe, plan: Plan) -> None:
    """Make the networks of the user's own once, and see that all take the same images, before hours go into others.

    Raises:
        OptionError: a network cannot be made, wants other images, or is code that nobody confirmed.
    """
    from synaug.training.networks.classifiers import make_model
    from synaug.training.networks.custom import is_own

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
    """Make sure that all networks of a run take the images as ``train.network`` does.

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
    """Return the networks of the methods that a file or folder decides, with its digest."""
    files = {network_of(name, recipe): network_file(name, recipe) for name in methods}
    return {network: file["network_digest"] for network, file in files.items() if file}
