"""Choose the weight files of a model: safetensors of one precision, which the infix of their names gives."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

READ = ("*.json", "*.txt", "*.model", "README.md")  # beside the weights
_VARIANTS = ("fp16", "bf16")  # in the order of preference, if the plain files are missing


def decides(name: str) -> bool:
    """Return whether a file of a model's folder is read when the model is loaded."""
    return name.endswith(".safetensors") or any(fnmatch.fnmatch(name, kind) for kind in READ if kind != "README.md")


def wanted_files(files: Sequence[str], *, variant: str | None, at_top: bool = False) -> list[str]:
    """Return the files of a Hub model to download: configuration and safetensors weights of one variant.

    The weights of a pipeline are in folders, and those at the top are single files in other formats; for a single
    network (``at_top``) it is the other way round. Weights of other variants and pickles are left out.

    >>> wanted_files(["model_index.json", "sd.safetensors", "unet/w.safetensors", "unet/w.bin"], variant=None)
    ['model_index.json', 'unet/w.safetensors']
    """
    chosen = []
    for file in files:
        if any(fnmatch.fnmatch(file, pattern) for pattern in READ):
            chosen.append(file)
        elif file.endswith(".safetensors") and ("/" in file) is not at_top:
            infix = _variant_of(file)
            if infix == variant or (infix is None and not _twin(file, files, variant)):
                chosen.append(file)
    return chosen


def _variant_of(file: str) -> str | None:
    """Return the infix of a weight file: ``"fp16"`` of ``model.fp16.safetensors`` and of its shards."""
    parts = file.rsplit("/", 1)[-1].split(".")[1:-1]
    return parts[0].split("-")[0] if parts else None


def _twin(file: str, files: Sequence[str], variant: str | None) -> bool:
    """Return whether the folder of a plain weight file also has weights of the variant."""
    folder = file.rsplit("/", 1)[0] + "/"
    return variant is not None and any(other.startswith(folder) and _variant_of(other) == variant for other in files)


def chosen_variant(files: Sequence[str], *, half: bool, at_top: bool = False) -> str | None:
    """Return which weight files to load: the infix of their names, or None for those without.

    Files without an infix are full precision. If a part of the model lacks them, as in folders saved only with
    ``variant="fp16"``, the half-precision files are loaded, in whatever precision the model runs.

    Args:
        files: the files of the model, relative to its folder.
        half: prefer float16 files.
        at_top: whether the weights lie beside the configuration instead of in a folder per part.

    >>> chosen_variant(["unet/w.fp16.safetensors", "vae/w.fp16.safetensors"], half=False)
    'fp16'
    >>> chosen_variant(["unet/w.fp16.safetensors", "unet/w.safetensors"], half=False) is None
    True
    """
    parts: dict[str, set[str | None]] = {}
    for file in files:
        if file.endswith(".safetensors") and ("/" in file) is not at_top:
            parts.setdefault(file.rpartition("/")[0], set()).add(_variant_of(file))
    there = {variant for variants in parts.values() for variant in variants if variant is not None}
    if half and "fp16" in there:
        return "fp16"
    if all(None in variants for variants in parts.values()):
        return None
    complete = [name for name in there if all({name, None} & variants for variants in parts.values())]
    return next((name for name in (*_VARIANTS, *sorted(there)) if name in complete), None)
