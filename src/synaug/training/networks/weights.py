"""Find pretrained weights that are available offline: a folder, the caches of Hub and torch, an installed package."""

from __future__ import annotations

import os
from pathlib import Path

from synaug.errors import OptionError
from synaug.training.networks.embedding import network_at_hand
from synaug.training.networks.timm_networks import LOCAL, WEIGHTS

FOLDER_VARIABLE = "SYNAUG_WEIGHTS"
SMALLEST_SIDE = 64  # pixels; features of photographs help from this size on
SMALL_NETWORKS = (
    "efficientnet_lite0.ra_in1k",
    "resnet18.a1_in1k",
    "mobilenetv3_large_100.ra_in1k",
    "resnet34.a1_in1k",
    "resnet50.a1_in1k",
    "resnet18.tv_in1k",
    "resnet50.tv_in1k",
)
"""Backbones that ``auto`` looks for, in order: the ones fit for a CPU first."""


def small_network_at_hand() -> str | None:
    """Return the name of a small pretrained network whose weights need no download, or None.

    The folder in the variable ``SYNAUG_WEIGHTS``, as written by timm's ``save_for_hf``, comes first, then the caches,
    then an installed package.

    Raises:
        OptionError: the variable is not such a folder.
    """
    if folder := os.environ.get(FOLDER_VARIABLE):
        if not (Path(folder) / WEIGHTS).is_file():
            raise OptionError(
                f"{FOLDER_VARIABLE} is {folder}, but there is no {WEIGHTS} in it. Name a folder that timm's "
                "save_for_hf wrote, or unset the variable."
            )
        return f"timm/{LOCAL}{folder}"
    cached = next((f"timm/{name}" for name in SMALL_NETWORKS if is_at_hand(name)), None)
    return cached or network_at_hand()


def is_at_hand(network: str) -> bool:
    """Return whether the pretrained weights of a timm network can be loaded without a download."""
    name = network.removeprefix("timm/")
    if name.startswith(LOCAL):
        return (Path(name.removeprefix(LOCAL)) / WEIGHTS).is_file()
    import timm

    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None:
        return False
    return _in_hub_cache(config.hf_hub_id) or _in_torch_cache(config.url)


def _in_hub_cache(repository: str | None) -> bool:
    if not repository:
        return False
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository.partition("@")[0], WEIGHTS)
    return isinstance(found, str)


def _in_torch_cache(address: str | None) -> bool:
    """Return whether torch's cache has the file of an address; only files without pickle count."""
    if not address or not address.endswith(".safetensors"):
        return False
    import torch

    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(address).name).is_file()
