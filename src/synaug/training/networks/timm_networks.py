"""Load timm networks, by name or from a folder of weights, and the image properties that their weights expect."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import torch
from torch import nn

from synaug.errors import EnvironmentFault, OptionError, unknown
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.runtime.records import current_digest

LOCAL = "local-dir:"
WEIGHTS = "model.safetensors"  # not a pickle, which could run code
_LARGEST_CONFIG = 1_000_000  # bytes
_SET_HERE = ("num_classes", "in_chans", "img_size")  # network arguments that follow from the images


def check_timm(name: str, *, others: list[str]) -> None:
    """Raise an OptionError for a name that timm does not have; ``others`` are also allowed, for the hint."""
    import timm

    name = name.removeprefix("timm/")
    if name.startswith(LOCAL):
        _local_config(name)
    elif not timm.is_model(name):
        raise unknown("network", name, [*others, *timm.list_models()])


def timm_backbone(name: str, *, in_channels: int, image_size: int, pretrained: bool) -> nn.Module:
    """Make a timm network without its classifier.

    Raises:
        EnvironmentFault: the weights are not available.
    """
    import timm

    name = name.removeprefix("timm/")
    given: dict[str, object] = {}
    if name.startswith(LOCAL):
        name, config = _local_config(name)
        given["pretrained_cfg"] = config
        is_fixed = config.get("fixed_input_size", False)
    else:
        known = timm.get_pretrained_cfg(name)
        is_fixed = known is not None and known.fixed_input_size
    if is_fixed:
        given["img_size"] = image_size
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, in_chans=in_channels, **given)
    except Exception as error:
        if not pretrained:
            raise
        raise EnvironmentFault(
            f"The weights of {name!r} cannot be loaded: {error}. Set train.pretrained to false, or download them "
            "on a machine with a network connection."
        ) from error


def pretrained_normalization(name: str, *, in_channels: int = 3) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Return mean, standard deviation and image side with which a timm network was trained.

    For gray images these are the means over the channels, as timm sums the weights of the first layer.

    Raises:
        OptionError: timm has no weights of that name.
    """
    import timm
    from timm.data import resolve_data_config

    name = name.removeprefix("timm/")
    config = _local_config(name)[1] if name.startswith(LOCAL) else timm.get_pretrained_cfg(name)
    if config is None:
        raise OptionError(f"timm has no pretrained configuration for {name!r}.")
    found = resolve_data_config(pretrained_cfg=config if isinstance(config, dict) else config.to_dict())
    mean, std = tuple(found["mean"]), tuple(found["std"])
    if in_channels == 1:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    return mean, std, int(found["input_size"][-1])


def weights_digest(name: str) -> str:
    """Return a digest of a folder of weights and its description; empty for a network that timm makes by name."""
    name = name.removeprefix("timm/")
    if not name.startswith(LOCAL):
        return ""
    folder = Path(name.removeprefix(LOCAL))
    config = _local_config(name)[1]
    content = directories.read_bytes(folder / "config.json", limit=_LARGEST_CONFIG)
    return storage.digest(content + current_digest(Path(str(config["file"]))).encode())


def architecture(name: str) -> str:
    """Return timm's name of a network given as a folder; other names are returned unchanged."""
    local = name.removeprefix("timm/")
    return f"timm/{_local_config(local)[0]}" if local.startswith(LOCAL) else name


def network_title(name: str) -> str:
    """Return a network's name for people to read: for a folder, the architecture and the location.

    Raises:
        OptionError: the folder has no weights.
    """
    local = name.removeprefix("timm/")
    if not local.startswith(LOCAL):
        return name
    folder, home = Path(local.removeprefix(LOCAL)), Path.home()
    place = Path("~") / folder.relative_to(home) if folder.is_relative_to(home) else folder
    return f"{_local_config(local)[0]} ({place})"


@functools.lru_cache(maxsize=16)
def _pooling(architecture: str) -> str | None:
    """Return the default pooling of a timm network: ``avg``, ``token``, ...; None if unknown."""
    import timm

    with torch.device("meta"):  # no memory, no weights
        model = timm.create_model(architecture)
    head = getattr(model, "head", None)
    places = (getattr(head, "global_pool", None), getattr(head, "pool_type", None), getattr(model, "global_pool", None))
    named = [getattr(place, "pool_type", place) for place in places]
    return next((name for name in named if isinstance(name, str)), None)


def _local_config(name: str) -> tuple[str, dict[str, object]]:
    """Return the architecture and the pretrained configuration of a folder, including the file of weights.

    Raises:
        OptionError: the folder is not of this kind, or of a network that timm does not have.
    """
    import timm

    folder = Path(name.removeprefix(LOCAL))
    weights = folder / WEIGHTS
    try:
        content = json.loads(directories.read_bytes(folder / "config.json", limit=_LARGEST_CONFIG))
        architecture, config = str(content["architecture"]), dict(content["pretrained_cfg"])
        others = dict(content.get("model_args", {}))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OptionError(
            f"The folder {folder} has no config.json with 'architecture' and 'pretrained_cfg': {error}."
        ) from error
    if not weights.is_file():
        raise OptionError(f"The folder {folder} has no {WEIGHTS}.")
    if not timm.is_model(architecture):
        raise unknown(f"architecture in {folder}", str(architecture), timm.list_models())
    others = {key: value for key, value in others.items() if key not in _SET_HERE}
    if "global_pool" in others and others["global_pool"] == _pooling(architecture):
        del others["global_pool"]
    if others:
        raise OptionError(
            f"The network in {folder} differs from {architecture} by {others}, which a saved "
            "classifier would not contain. Define it in a file of your own instead: path/to/net.py:Net."
        )
    known = timm.models.PretrainedCfg.__dataclass_fields__
    config = {key: value for key, value in config.items() if key in known and key not in ("source", "hf_hub_id", "url")}
    if "num_classes" in content:
        config["num_classes"] = content["num_classes"]
    return architecture, config | {"file": str(weights)}
