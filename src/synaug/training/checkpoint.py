"""Store the state of a training in one file, so that a killed training resumes as if nothing had happened.

The file is written completely or not at all (``storage``). It holds tensors (safetensors, no pickle) and, as JSON in
its header, plain values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import Tensor, nn

from synaug.config import StageOptions
from synaug.errors import DataError, OutdatedCheckpointError
from synaug.runtime import storage
from synaug.runtime.records import required
from synaug.training.lazy_images import ImageFiles
from synaug.training.tensor_files import pack, unpack
from synaug.training.tensor_files import read_about as read_header
from synaug.training.training_set import TrainingSet

FILE = "training.safetensors"


@dataclass(frozen=True, eq=False)
class Parts:
    """The state that training changes: modules by name, and the optimizer."""

    modules: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer


class TrainingRecord(TypedDict):
    """The plain values of a checkpoint; a loss that was not finite is None."""

    digest: str
    steps: int
    losses: list[float | None]
    skipped: int
    seconds: float
    scaler: dict[str, object]


def write_checkpoint(folder: Path, parts: Parts, about: TrainingRecord) -> None:
    """Write the state of all parts and ``about``, plain values, replacing the previous checkpoint."""
    storage.make_folder(folder)
    storage.write_bytes(folder / FILE, pack(_tensors(parts), about))


def read_checkpoint(folder: Path, parts: Parts, *, digest: str) -> TrainingRecord | None:
    """Load the state into all parts and return the stored plain values; None if there is no checkpoint.

    Raises:
        OutdatedCheckpointError: the checkpoint belongs to other options, data or another network.
        DataError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    tensors, content = unpack(path, way_out=f"Remove {path} to train it again.")
    if content.get("digest") != digest:
        raise OutdatedCheckpointError(
            f"The checkpoint in {folder} belongs to a training with other options, data or network. "
            "Remove that folder to train from the start, or use the original options."
        )
    try:
        _load(parts, tensors)
    except (RuntimeError, KeyError, ValueError, IndexError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}. Remove it to train it again.") from error
    return cast("TrainingRecord", content)


def read_about(path: Path) -> TrainingRecord:
    """Return the progress of a training without loading tensors: ``losses``, ``steps`` and ``seconds`` among others.

    Raises:
        DataError: the file is damaged.
    """
    way_out = f"Remove {path} to train it again."
    content = read_header(path, way_out=way_out)
    required(content, path, way_out=way_out, losses=list, steps=int, seconds=(int, float))
    return cast("TrainingRecord", content)


def _tensors(parts: Parts) -> dict[str, Tensor]:
    tensors = {
        f"{kind}/{name}": value.clone()
        for kind, module in parts.modules.items()
        for name, value in module.state_dict().items()
    }
    for number, state in parts.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": value for name, value in state.items() if value is not None}
    return tensors


def _load(parts: Parts, tensors: dict[str, Tensor]) -> None:
    for kind, module in parts.modules.items():
        prefix = f"{kind}/"
        module.load_state_dict(
            {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        )
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimizer":
            number, _, key = rest.partition("/")
            states.setdefault(int(number), {})[key] = value
    parts.optimizer.load_state_dict({**parts.optimizer.state_dict(), "state": states})


def training_digest(model: nn.Module, data: TrainingSet, options: StageOptions, *, seed: int, steps: int) -> str:
    """Return a digest of the inputs of a training: options, seed, labels, some images, shapes of the weights.

    If a file of the user's defines the network, that file is included; see ``networks.classifiers.network_digest``.
    """
    shapes = [(name, tuple(value.shape)) for name, value in model.state_dict().items()]
    facts = [options.model_dump_json(exclude_defaults=True), str((seed, steps, tuple(data.images.shape), shapes))]
    sources = (getattr(part, "source", "") for part in model.modules())
    facts += [source for source in sources if isinstance(source, str) and source]
    content = [fact.encode() for fact in facts]
    tensors = [data.labels, data.is_synthetic, data.groups, data.mean, data.std]
    if isinstance(data.images, ImageFiles):
        content.append(data.images.digest().encode())
    else:
        tensors.append(data.images[:: max(1, len(data) // 4096)])
    if data.autoencoded is not None and options.autoencoded:
        tensors.append(data.twins if data.twins is not None else data.labels)
    tensors += [] if data.weights is None else [data.weights]
    for tensor in tensors:
        content.append(storage.digest(tensor.cpu().contiguous().numpy().tobytes()).encode())
    return storage.digest(b"\n".join(content))
