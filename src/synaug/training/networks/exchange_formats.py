"""Convert a finished classifier for programs other than synaug, and check that the copy computes the same."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synaug.errors import EnvironmentFault, OptionError, unknown
from synaug.runtime import missing_library, storage, without_warnings
from synaug.training.networks.custom import is_own
from synaug.training.networks.saving import SavedClassifier
from synaug.training.networks.timm_networks import WEIGHTS

TOLERANCE = 1e-4  # of a probability
OPSET = 18  # read by onnxruntime since 1.15
INPUT, OUTPUT = "images", "probabilities"
NOTE = (
    f"float32 of shape (N, channels, height, width), values from 0 to 1, not normalized; {OUTPUT} has shape "
    "(N, classes). Scale and crop images to a centered square first."
)

Runner = Callable[[np.ndarray], np.ndarray]
"""Returns probabilities ``(N, C)`` of float32 images ``(N, channels, H, W)`` from 0 to 1."""


@dataclass(frozen=True)
class Converted:
    """One file in another format; ``max_difference`` is the largest from the probabilities of the original."""

    file: str
    data: bytes
    max_difference: float


class Prepared(nn.Module):
    """A network from images with values from 0 to 1 to probabilities: normalization and softmax are part of it."""

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: SavedClassifier) -> None:
        super().__init__()
        self.model = copy.deepcopy(classifier.model).cpu().float().eval()
        self.register_buffer("mean", classifier.mean.float()[:, None, None].clone())
        self.register_buffer("std", classifier.std.float()[:, None, None].clone())
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities, shape ``(N, num_classes)``."""
        return self.model((images - self.mean) / self.std).softmax(1)


def convert(classifier: SavedClassifier, formats: Sequence[str], images: np.ndarray) -> dict[str, Converted]:
    """Return the classifier in each of the formats, after comparing the output of each with the original's.

    Args:
        classifier: the original.
        formats: names of ``FORMATS``.
        images: images to compare on, uint8 of shape ``(N, channels, H, W)`` in the size of the classifier, N > 1.

    Raises:
        OptionError: a format is unknown, or does not exist for this network.
        EnvironmentFault: a package is missing, or a probability differs by more than ``TOLERANCE``.
    """
    check_formats(formats)
    values = images.astype(np.float32) / 255
    network = Prepared(classifier)
    with torch.inference_mode():
        expected = network(torch.from_numpy(values)).numpy()
    found = {}
    for name in formats:
        file, make = FORMATS[name]
        with without_warnings():
            data, run = make(classifier, network, torch.from_numpy(values[:2]))
            parts = [run(values[:1]), run(values[1:])]  # two sizes of batch
        difference = float(np.abs(np.concatenate(parts) - expected).max())
        if not difference <= TOLERANCE:
            raise EnvironmentFault(
                f"The {name} file computes different probabilities: they differ by up to "
                f"{difference:.2g} (allowed: {TOLERANCE}). Nothing was written; leave {name} out, or report it."
            )
        found[name] = Converted(file, data, difference)
    return found


def check_formats(formats: Sequence[str]) -> None:
    """Raise an OptionError for an unknown format."""
    for name in formats:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)


def timm_config(classifier: SavedClassifier) -> dict[str, object]:
    """Return the content that timm expects in the ``config.json`` of a folder of weights."""
    channels, height, width = classifier.image_shape
    name = _timm_name(classifier)
    return {
        "architecture": name,
        "num_classes": len(classifier.class_names),
        "num_features": classifier.model.classifier.in_features,
        "label_names": list(classifier.class_names),
        "model_args": {"in_chans": channels} | ({"img_size": [height, width]} if _is_fixed(name) else {}),
        "pretrained_cfg": {
            "num_classes": len(classifier.class_names),
            "input_size": [channels, height, width],
            "mean": classifier.mean.tolist(),
            "std": classifier.std.tolist(),
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "center",
        },
    }


def _onnx(classifier: SavedClassifier, network: Prepared, example: Tensor) -> tuple[bytes, Runner]:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_library(error, "Writing and checking an ONNX file") or error from error
    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        network, (example,), dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT],
        dynamic_shapes=({0: batch},), verbose=False,
    )  # fmt: skip
    assert program is not None  # None is returned by the old exporter only
    program.model.metadata_props.update(
        class_names=json.dumps(list(classifier.class_names)), network=classifier.network, input=NOTE
    )
    with storage.scratch_folder("onnx") as folder:
        program.save(folder / "classifier.onnx", external_data=False)
        data = (folder / "classifier.onnx").read_bytes()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return data, lambda values: session.run([OUTPUT], {INPUT: values})[0]


def _torchscript(classifier: SavedClassifier, network: Prepared, example: Tensor) -> tuple[bytes, Runner]:
    with torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(network, example))  # type: ignore[no-untyped-call]
    about = {"class_names.json": json.dumps(list(classifier.class_names)), "input.txt": NOTE}
    data = traced.save_to_buffer(_extra_files=about)
    loaded = torch.jit.load(io.BytesIO(data))  # type: ignore[no-untyped-call]
    return data, _runner(loaded)


def _torch_export(classifier: SavedClassifier, network: Prepared, example: Tensor) -> tuple[bytes, Runner]:
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    about = {"class_names.json": json.dumps(list(classifier.class_names)), "input.txt": NOTE}
    torch.export.save(program, buffer, extra_files=about)
    return buffer.getvalue(), _runner(torch.export.load(io.BytesIO(buffer.getvalue())).module())


def _timm(classifier: SavedClassifier, network: Prepared, example: Tensor) -> tuple[bytes, Runner]:
    import timm
    from safetensors.torch import save

    name = _timm_name(classifier)
    channels, height, width = classifier.image_shape
    fixed = {"img_size": (height, width)} if _is_fixed(name) else {}
    whole = timm.create_model(name, num_classes=len(classifier.class_names), in_chans=channels, **fixed)
    layer = whole.get_classifier()
    if classifier.model.head != "linear" or not isinstance(layer, nn.Linear):
        raise OptionError(
            f"The timm format cannot hold this classifier: {classifier.network} has a {classifier.model.head} head. "
            "Choose another format, or another method."
        )
    tensors = dict(network.model.backbone.state_dict())
    prefix = next(name for name, part in whole.named_modules() if part is layer)
    tensors |= {f"{prefix}.{key}": value for key, value in network.model.classifier.state_dict().items()}
    whole.load_state_dict(tensors)
    data = save({key: value.contiguous() for key, value in tensors.items()})
    return data, _timm_runner(classifier, data)


def _timm_runner(classifier: SavedClassifier, data: bytes) -> Runner:
    """Load the folder as its users will, and return it as a function."""
    import timm

    config = timm_config(classifier)
    with storage.scratch_folder("timm") as folder:
        storage.write_bytes(folder / WEIGHTS, data)
        storage.write_json(folder / "config.json", config)
        loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    mean, std = (values.cpu()[:, None, None] for values in (classifier.mean, classifier.std))

    def run(values: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return loaded((torch.from_numpy(values) - mean) / std).softmax(1).numpy()

    return run


def _timm_name(classifier: SavedClassifier) -> str:
    import timm

    name = classifier.network.removeprefix("timm/")
    if is_own(classifier.network) or not (classifier.network.startswith("timm/") or timm.is_model(name)):
        raise OptionError(
            f"timm has no network {classifier.network!r}, so its format cannot hold this classifier. "
            f"Allowed here: {', '.join(name for name in FORMATS if name != 'timm')}."
        )
    return name


def _is_fixed(name: str) -> bool:
    import timm

    config = timm.get_pretrained_cfg(name)
    return config is not None and bool(config.fixed_input_size)


def _runner(network: Callable[[Tensor], Tensor]) -> Runner:
    def run(values: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(values)).numpy()

    return run


FORMATS: dict[str, tuple[str, Callable[[SavedClassifier, Prepared, Tensor], tuple[bytes, Runner]]]] = {
    "onnx": ("classifier.onnx", _onnx),
    "torchscript": ("classifier.torchscript.pt", _torchscript),
    "torch-export": ("classifier.pt2", _torch_export),
    "timm": (WEIGHTS, _timm),
}
"""The formats of a classifier: the name of the file, and the function that makes it."""
