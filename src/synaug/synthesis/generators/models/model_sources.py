"""Find the folder of a model: in the package, on this machine, or on the Hub at a fixed commit."""

from __future__ import annotations

import importlib.resources
import stat
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict, cast

import yaml

from synaug.config import EMBEDDED
from synaug.errors import DataError, EnvironmentFault, first_line
from synaug.runtime import JsonObject, storage
from synaug.runtime.files import directories
from synaug.runtime.records import current_digest
from synaug.synthesis.generators.models.model_code import foreign_code
from synaug.synthesis.generators.models.weight_files import chosen_variant, decides, wanted_files

_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_SINGLE_FILES = (".safetensors", ".ckpt", ".gguf", ".pt", ".pth", ".bin")
_LARGEST_CARD = 10_000_000  # bytes
_PATIENCE = 10.0  # seconds
SERVICES = ("openai", "api", "comfyui")
_GET_IT = "allow the network and, for a gated model, accept its license and set HF_TOKEN"


@dataclass(frozen=True)
class Layout:
    """How a library saves a model: the index file, its key with the class name, and the location of the weights.

    ``ways`` are the ways out in an error about a folder; ``embedded`` is the folder of the model of this kind that
    ships with synaug.
    """

    library: str
    index: str
    key: str
    weights_at_top: bool
    ways: tuple[str, ...]
    embedded: str | None = None

    @property
    def ways_out(self) -> str:
        """The sentence that ends an error about a model of the Hub."""
        return f"Ways out: {'; '.join([_GET_IT, *self.ways[:-1]])}; or {self.ways[-1]}."

    @property
    def ways_out_of_a_folder(self) -> str:
        """The sentence that ends an error about a folder, to which the network does not matter."""
        return f"Ways out: {'; '.join(self.ways[:-1])}; or {self.ways[-1]}."


DIFFUSERS = Layout(
    "diffusers pipeline", "model_index.json", "_class_name", False,
    (
        "name a folder in the diffusers layout with --model PATH",
        "train on the real images alone: run or plan with --target none",
        "try synaug with --model embedded",
    ),
    embedded="tiny-diffusion",
)  # fmt: skip
TRANSFORMERS = Layout(
    "transformers model", "config.json", "model_type", True,
    ("name a folder with quality.scorer_model", "set quality.scorer: classifier"),
)  # fmt: skip
CLIP = replace(TRANSFORMERS, library="CLIP model", embedded="tiny-clip")


class ModelDefaults(TypedDict, total=False):
    """The settings that a model's folder recommends in ``synaug.json``."""

    steps: int
    guidance: float
    size: int
    batch_size: int


@dataclass(frozen=True)
class ModelFolder:
    """The folder of a model; ``variant`` is the infix of its weight files, such as ``"fp16"``."""

    path: Path
    name: str
    revision: str | None
    license: str | None
    variant: str | None = None

    @property
    def index(self) -> JsonObject:
        """The content of ``model_index.json``."""
        return dict(storage.read_json(self.path / "model_index.json"))

    @property
    def defaults(self) -> ModelDefaults:
        """The steps, guidance, size and batch size in the folder's own ``synaug.json``."""
        path = self.path / "synaug.json"
        if not path.exists():
            return {}
        own = storage.read_json(path)
        if not isinstance(own, dict):
            raise EnvironmentFault(f"{path} is damaged: it is not an object. Get the model's folder again.")
        for name in ("steps", "guidance", "size", "batch_size"):
            value = own.get(name, 0)
            if not isinstance(value, int | float) or value < 0 or (name != "guidance" and value != int(value)):
                raise EnvironmentFault(f"{path} is damaged: {name!r} is {value!r}. Get the model's folder again.")
        return cast("ModelDefaults", own)

    @property
    def facts(self) -> dict[str, str | None]:
        """The facts recorded in the lock file, available before the weights are loaded."""
        return {"model": self.name, "revision": self.revision, "license": self.license} | place_of(self.name)

    @cached_property
    def weights(self) -> str:
        """SHA-256 over names and contents of all files that affect the model's output, 64 hexadecimal digits.

        Raises:
            DataError: a file cannot be read.
        """
        files = {path.relative_to(self.path).as_posix(): path for path in sorted(self.path.rglob("*"))}
        deciding = {name: path for name, path in files.items() if path.is_file() and decides(name)}
        lines = [f"{current_digest(path)}  {name}" for name, path in sorted(deciding.items())]
        return storage.digest("\n".join(lines).encode())


def place_of(model: str) -> dict[str, str]:
    """Return the absolute path of a model that is a folder on this machine; empty for others."""
    folder = Path(model).expanduser()
    return {"path": str(folder.resolve())} if model != EMBEDDED and folder.is_dir() else {}


def find_model(
    model: str, *, layout: Layout = DIFFUSERS, offline: bool | None = None, half: bool = False
) -> ModelFolder:
    """Return the folder of a model, downloading it if necessary.

    Args:
        model: ``"embedded"``, a folder, or a Hub id ``ID`` or ``ID@REVISION``.
        layout: the library of the model.
        offline: use only downloaded files; None follows ``HF_HUB_OFFLINE``.
        half: prefer the float16 weight files of a Hub model.

    Raises:
        EnvironmentFault: the model is not available, or has no safetensors weights.
    """
    if model == EMBEDDED and layout.embedded is not None:
        folder = Path(str(importlib.resources.files("synaug") / "assets" / layout.embedded))
        return _checked(ModelFolder(folder, EMBEDDED, None, _license(folder)), layout)
    if Path(model).expanduser().is_dir():
        folder = Path(model).expanduser()
        found = _checked(ModelFolder(folder, model, None, _license(folder)), layout)
        files = [path.relative_to(folder).as_posix() for path in directories.entries_below(folder)]
        return replace(found, variant=chosen_variant(files, half=half, at_top=layout.weights_at_top))
    if Path(model).expanduser().is_file() or model.lower().endswith(_SINGLE_FILES):
        raise _single_file(Path(model).expanduser(), layout)
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise EnvironmentFault(f"The model folder {model} does not exist. {layout.ways_out_of_a_folder}")
    return _checked(_from_hub(model, layout, offline=offline, half=half), layout)


def is_service(model: str) -> bool:
    """Return whether ``plan.model`` refers to a service.

    >>> is_service("openai:gpt-image-1"), is_service("stabilityai/sd-turbo"), is_service("C:model")
    (True, False, False)
    """
    kind, colon, name = model.partition(":")
    return bool(colon and name) and kind in SERVICES


def check_no_single_file(model: str) -> None:
    """Check that the name of a model is not a checkpoint in a single file, which can be detected before any work.

    Raises:
        EnvironmentFault: it is; the message has the command that converts it.
    """
    if Path(model).expanduser().is_file():
        raise _single_file(Path(model).expanduser(), DIFFUSERS)


def model_facts(model: str) -> dict[str, str | None]:
    """Return model, revision and license, as far as available without the weights.

    For a Hub model this sends one short query; offline, earlier downloads are used.

    Raises:
        EnvironmentFault: the model is a checkpoint in a single file.
    """
    check_no_single_file(model)
    if is_service(model):
        return {"model": model, "revision": None, "license": None}
    if model != EMBEDDED and not Path(model).expanduser().is_dir() and model.count("/") == 1:
        found = _asked_hub(model)
        if found is not None:
            return found
    try:
        folder = find_model(model, offline=True)
    except EnvironmentFault:
        return {"model": model, "revision": None, "license": None}
    return folder.facts


def _asked_hub(model: str) -> dict[str, str | None] | None:
    """Return the Hub's facts about a model, or None if the Hub does not respond."""
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None
    name, _, revision = model.partition("@")
    try:
        info = huggingface_hub.HfApi().model_info(name, revision=revision or None, timeout=_PATIENCE)
    except Exception:  # the Hub client passes on errors of its HTTP library, which has changed over time
        return None
    license = next((tag.removeprefix("license:") for tag in info.tags or [] if tag.startswith("license:")), None)
    return {"model": name, "revision": info.sha, "license": license}


def _checked(model: ModelFolder, layout: Layout) -> ModelFolder:
    """Reject a folder of the wrong kind, one that needs custom code, or one with only pickled weights."""
    index, ways_out = model.path / layout.index, layout.ways_out if model.revision else layout.ways_out_of_a_folder
    if not index.is_file():
        raise EnvironmentFault(f"{model.path} has no {layout.index}, so it is not a {layout.library}. {ways_out}")
    try:
        content = dict(storage.read_json(index))
        name = content.get(layout.key)
        code = "" if layout.weights_at_top else foreign_code(model.path, content)
        if isinstance(name, list):  # a library of its own and a class
            code = str(name)
    except (DataError, TypeError, ValueError) as error:
        raise EnvironmentFault(f"{index} is damaged: {error} {ways_out}") from error
    _check_regular(model, ways_out)
    if not code and not isinstance(name, str):
        raise EnvironmentFault(f"{index} is damaged, or not of a {layout.library}: no {layout.key}. {ways_out}")
    if code:
        raise EnvironmentFault(f"{model.name} needs custom code ({code}), which synaug never runs. {ways_out}")
    suffixes = {path.suffix: path.name for path in directories.entries_below(model.path)}
    if ".safetensors" not in suffixes:
        pickles = [suffixes[suffix] for suffix in _PICKLES if suffix in suffixes]
        found = f"only {pickles[0]}, which may execute code" if pickles else "no weights at all"
        raise EnvironmentFault(
            f"{model.path} has {found}; synaug loads safetensors only. Save it again with "
            f"save_pretrained(folder, safe_serialization=True). {ways_out}"
        )
    return model


def _check_regular(model: ModelFolder, ways_out: str) -> None:
    """Reject a folder with a pipe, device or socket, on which a library would block; links are followed."""
    for path in directories.entries_below(model.path):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise EnvironmentFault(f"{path} cannot be read: {error.strerror}. {ways_out}") from error
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise EnvironmentFault(f"{path} is {directories.kind_of(mode)}, not a file of a model. {ways_out}")


def _license(folder: Path) -> str | None:
    """Return the license in the header of the model card."""
    try:
        parts = directories.read_bytes(folder / "README.md", limit=_LARGEST_CARD).decode().split("---", 2)
        header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else {}
        return str(header["license_name"] if header.get("license") == "other" else header["license"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError, yaml.YAMLError):
        return None


def _from_hub(model: str, layout: Layout, *, offline: bool | None, half: bool) -> ModelFolder:
    from huggingface_hub import constants

    cause = "it was never downloaded"
    if not (constants.HF_HUB_OFFLINE if offline is None else offline):
        try:
            return _downloaded(model, layout, half=half)
        except Exception as error:  # the Hub client passes on errors of its HTTP library, which has changed over time
            cause = first_line(error)
    found = _cached(model, layout, half=half)
    if found is None:
        raise EnvironmentFault(
            f"{model} is not a folder here, and the model {model} cannot be downloaded from the Hub: {cause}. "
            f"{layout.ways_out}"
        )
    return found


def _downloaded(model: str, layout: Layout, *, half: bool) -> ModelFolder:
    import huggingface_hub

    name, _, revision = model.partition("@")
    info = huggingface_hub.HfApi().model_info(name, revision=revision or None)
    files = [sibling.rfilename for sibling in info.siblings or []]
    variant = chosen_variant(files, half=half, at_top=layout.weights_at_top)
    wanted = wanted_files(files, variant=variant, at_top=layout.weights_at_top)
    folder = Path(huggingface_hub.snapshot_download(name, revision=info.sha, allow_patterns=wanted))
    return ModelFolder(folder, name, info.sha, _license(folder), variant)


def _cached(model: str, layout: Layout, *, half: bool) -> ModelFolder | None:
    """Return the snapshot that was downloaded before, or None."""
    import huggingface_hub
    from huggingface_hub import errors

    name, _, revision = model.partition("@")
    try:
        folder = Path(huggingface_hub.snapshot_download(name, revision=revision or None, local_files_only=True))
    except (errors.LocalEntryNotFoundError, errors.HFValidationError, OSError):
        return None
    files = [file.relative_to(folder).as_posix() for file in folder.rglob("*")]
    variant = chosen_variant(files, half=half, at_top=layout.weights_at_top)
    return ModelFolder(folder, name, folder.name, _license(folder), variant)


def _single_file(file: Path, layout: Layout) -> EnvironmentFault:
    """Return the error for a checkpoint in one file, with the way to convert it."""
    if not file.is_file():
        return EnvironmentFault(f"The model file {file} is missing. {layout.ways_out_of_a_folder}")
    if layout != DIFFUSERS or file.suffix.lower() == ".gguf":
        ways_out = layout.ways_out_of_a_folder
        return EnvironmentFault(f"{file} is a file; synaug loads a {layout.library} from a folder. {ways_out}")
    folder = file.with_suffix("")
    is_pickle = file.suffix.lower() != ".safetensors"
    caution = " Such a file can execute code: convert only one that you trust." if is_pickle else ""
    return EnvironmentFault(
        f"{file} is a checkpoint in a single file; synaug loads models from folders in the diffusers layout. Convert "
        "it once, which downloads the configuration of its family (for SDXL, take StableDiffusionXLPipeline):\n"
        f'  python -c "from diffusers import StableDiffusionPipeline as P; P.from_single_file({str(file)!r})'
        f'.save_pretrained({str(folder)!r})"\n'
        f"Then use --model {folder}.{caution}"
    )
