"""Prepare the images that an image is generated from: init image, mask, references, and edges for ControlNet."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault, OptionError, first_line
from synaug.runtime import storage
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models import Layout, find_model

if TYPE_CHECKING:
    import torch
    from diffusers import ControlNetModel, DiffusionPipeline

_WAYS_OUT = "Name a folder, or allow the network and name a Hub id."
NETWORK = Layout("diffusers model", "config.json", "_class_name", True, ("name a folder", "name a Hub id"))
_EDGES = 90  # percent of the pixels that are not edges
_FAINT = 8.0  # steps of 255 below which nothing is an edge


@dataclass(frozen=True)
class Start:
    """The images that one image starts from; see ``init_images.Guide``."""

    image: Image.Image | None = None
    mask: Image.Image | None = None
    references: tuple[Image.Image, ...] = ()
    control: Image.Image | None = None


def starts_of(
    number: int,
    images: Sequence[Image.Image] | None,
    masks: Sequence[Image.Image] | None,
    references: Sequence[Sequence[Image.Image]] | None,
    controls: Sequence[Image.Image] | None,
) -> list[Start]:
    """Return one start per image; an argument that is None is missing in all of them."""
    nothing = [None] * number
    rows = zip(images or nothing, masks or nothing, references or [()] * number, controls or nothing, strict=True)
    return [Start(image, mask, tuple(some), control) for image, mask, some, control in rows]


def squared(image: Image.Image, side: int, resample: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    """Return the center of the image as a square with this side."""
    return ImageOps.fit(image, (side, side), resample)


def edges(image: Image.Image) -> Image.Image:
    """Return the edges of an image, white on black, as edge ControlNets expect them, mode ``RGB``."""
    gray = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(1)), np.float32)
    rows, columns = np.gradient(gray)
    strength = np.hypot(rows, columns)
    found = strength > max(float(np.percentile(strength, _EDGES)), _FAINT)
    return Image.fromarray(np.where(found, 255, 0).astype(np.uint8)).convert("RGB")


def restored(generated: Image.Image, start: Start) -> Image.Image:
    """Return a generated image with the start's pixels where the mask is black, since the autoencoder changes them."""
    if start.mask is None or start.image is None:
        return generated
    side = generated.size[0]
    mask = squared(start.mask, side, Image.Resampling.NEAREST)
    return Image.composite(generated, squared(start.image.convert("RGB"), side), mask)


def reference_embeddings(
    pipeline: DiffusionPipeline, starts: Sequence[Start], *, number: int, guided: bool
) -> torch.Tensor:
    """Return the adapter's embeddings of the references, in the form that the pipeline expects.

    Args:
        pipeline: a pipeline with a loaded IP-Adapter.
        starts: N starts with at least one reference each.
        number: references per image; fewer are repeated, so that an image does not depend on others of its batch.
        guided: whether guidance also needs the embedding of an empty image.

    Returns:
        A tensor of shape ``(N, number, ...)``, or ``(2 N, number, ...)`` if guided.
    """
    import torch
    from diffusers.models.embeddings import ImageProjection

    layer = pipeline.unet.encoder_hid_proj.image_projection_layers[0]
    found, without = [], []
    with torch.inference_mode(), quiet():
        for start in starts:
            images = [image.convert("RGB") for image in islice(cycle(start.references), number)]
            embedded = pipeline.encode_image(
                images, pipeline._execution_device, 1, not isinstance(layer, ImageProjection)
            )
            found.append(embedded[0])
            without.append(embedded[1])
        return torch.cat([torch.stack(without), torch.stack(found)]) if guided else torch.stack(found)


def load_controlnet(options: GenerateOptions, dtype: torch.dtype) -> tuple[ControlNetModel, str]:
    """Return the ControlNet of the options and the digest of its weights.

    Raises:
        EnvironmentFault: it is not available, or not a ControlNet.
    """
    import diffusers

    folder = find_model(str(options.controlnet), layout=NETWORK)
    try:
        with quiet():
            network = diffusers.ControlNetModel.from_pretrained(
                folder.path, torch_dtype=dtype, use_safetensors=True, local_files_only=True
            )
    except Exception as error:  # each kind of damage to a folder raises its own type
        raise EnvironmentFault(f"The ControlNet {options.controlnet} cannot be loaded: {error} {_WAYS_OUT}") from error
    return network, folder.weights


def add_adapter(pipeline: DiffusionPipeline, options: GenerateOptions) -> str:
    """Load the IP-Adapter of the options into a pipeline, and return the digest of its files.

    Raises:
        OptionError: the pipeline does not accept one.
        EnvironmentFault: it is not available, or does not fit the pipeline.
    """
    takes = inspect.signature(type(pipeline).__call__).parameters
    if "ip_adapter_image_embeds" not in takes or not hasattr(pipeline, "unet"):
        raise OptionError(
            f"variant 'reference' needs a model that accepts an IP-Adapter, such as Stable Diffusion 1.5 or SDXL; "
            f"{type(pipeline).__name__} does not."
        )
    subfolder, _, name = options.adapter_weights.rpartition("/")
    folder = _adapter_folder(options)
    files = [folder / options.adapter_weights, *sorted((folder / subfolder / "image_encoder").glob("*"))]
    if not any(path.suffix == ".safetensors" for path in files[1:]):
        raise EnvironmentFault(
            f"{folder / subfolder / 'image_encoder'} has no .safetensors file; synaug loads safetensors only. Save the "
            "image encoder again with save_pretrained(folder, safe_serialization=True)."
        )
    try:
        with quiet():
            pipeline.load_ip_adapter(
                str(folder), subfolder=subfolder, weight_name=name, local_files_only=True, low_cpu_mem_usage=False
            )
            pipeline.set_ip_adapter_scale(options.adapter_scale)
        # diffusers would repeat all embeddings per image; those of reference_embeddings have one row per image.
        pipeline.prepare_ip_adapter_image_embeds = lambda _images, embeddings, *_others: embeddings
    except Exception as error:  # each kind of damage to a folder raises its own type
        raise EnvironmentFault(
            f"The IP-Adapter {options.adapter} ({options.adapter_weights}) cannot be loaded into "
            f"{type(pipeline).__name__}: {error} Choose the one that was made for your model."
        ) from error
    return storage.digest("\n".join(storage.file_digest(path) for path in files if path.is_file()).encode())


def _adapter_folder(options: GenerateOptions) -> Path:
    """Return the folder with the files of the adapter, downloaded if needed; only safetensors and configurations."""
    local = Path(options.adapter).expanduser()
    if not local.is_dir():
        import huggingface_hub

        subfolder = options.adapter_weights.rpartition("/")[0]
        encoder = f"{subfolder}/image_encoder".removeprefix("/")
        wanted = [options.adapter_weights, f"{encoder}/config.json", f"{encoder}/*.safetensors"]
        name, _, revision = options.adapter.partition("@")
        try:
            local = Path(huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=wanted))
        except Exception as error:  # the Hub client passes on errors of its HTTP library, which has changed over time
            cause = first_line(error)
            raise EnvironmentFault(
                f"The IP-Adapter {options.adapter} is not available: {cause}. {_WAYS_OUT}"
            ) from error
    if not (local / options.adapter_weights).is_file():
        raise EnvironmentFault(
            f"{local} has no {options.adapter_weights}. Name the file of the adapter with generate.adapter_weights."
        )
    return local
