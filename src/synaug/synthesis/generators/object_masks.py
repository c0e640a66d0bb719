"""Find the object in a real image: by a table of mask files, its alpha channel, or a segmentation model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from synaug.data import Manifest
from synaug.data.formats.tables import PATH_COLUMNS, SUFFIXES, read_table
from synaug.data.images import alpha_channel, read_file, recorded_bytes
from synaug.errors import DataError, EnvironmentFault, OptionError, columns_of
from synaug.runtime import chosen_device
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models import TRANSFORMERS, find_model
from synaug.synthesis.planning.prompting import readable_name

if TYPE_CHECKING:
    from synaug.synthesis.planning import Plan

ALPHA = "alpha"
_OPAQUE = 128  # of 255, from which a pixel belongs to the object


class Masks:
    """Returns masks of real images: white where an image is repainted, black where it stays."""

    def __init__(self, plan: Plan, real: Manifest) -> None:
        """Open the source of the masks; ``real`` are the images that the rows refer to.

        Raises:
            OptionError: an option is not allowed.
            DataError: the table of masks cannot be used.
            EnvironmentFault: the segmentation model is not available.
        """
        self._real, self._options = real, plan.generate
        self._names = [readable_name(name, plan.options.aliases) for name in real.class_names]
        source = plan.generate.masks
        self._files = _mask_files(Path(source), plan.generate.mask_column) if is_table(source) else None
        self._segmenter = None if source == ALPHA or self._files is not None else Segmenter(source, plan)
        self._cache: dict[int, Image.Image] = {}

    def __call__(self, row: int, image: Image.Image) -> Image.Image:
        """Return the mask of a row's image, in the same size, mode ``L``.

        Raises:
            DataError: the image has no mask, or its mask covers nothing or everything.
        """
        if row not in self._cache:
            found = self._object(row, image).convert("L")
            if found.size != image.size:
                found = found.resize(image.size, Image.Resampling.NEAREST)
            inside = np.asarray(found) >= _OPAQUE
            name = self._real.frame["id"].iat[row]
            if inside.all() or not inside.any():
                what = "the object covers the whole image" if inside.all() else "it contains no object"
                raise DataError(f"The mask of {name} from generate.masks {self._options.masks!r} is unusable: {what}.")
            painted = ~inside if self._options.inpaint == "background" else inside
            self._cache[row] = Image.fromarray(np.where(painted, 255, 0).astype(np.uint8))
        return self._cache[row]

    def _object(self, row: int, image: Image.Image) -> Image.Image:
        frame = self._real.frame
        name = str(frame["id"].iat[row])
        if self._files is not None:
            if name not in self._files:
                raise DataError(f"{self._options.masks} has no mask for the image {name}. Add a row for it.")
            return read_file(self._files[name])
        if self._segmenter is not None:
            return self._segmenter(image, self._names[int(self._real.labels[row])])
        value = frame["image"].iat[row] if "image" in frame else None
        data = value if isinstance(value, bytes) else None
        if data is None and not isinstance(value, np.ndarray):
            data = recorded_bytes(self._real.absolute_path(row), str(frame["sha256"].iat[row]))
        alpha = None if data is None else alpha_channel(data)
        if alpha is None:
            raise DataError(
                f"The image {name} has no alpha channel. Name a table of masks or a segmentation model with "
                "generate.masks."
            )
        return alpha


def is_table(source: str) -> bool:
    """Return whether ``generate.masks`` names a table.

    >>> is_table("masks.csv"), is_table("alpha"), is_table("CIDAS/clipseg-rd64-refined")
    (True, False, False)
    """
    return source.lower().endswith(SUFFIXES)


def _mask_files(path: Path, column: str) -> dict[str, Path]:
    """Return the mask file of each image id; paths are relative to the table and may not leave its folder."""
    frame = read_table(path).frame
    image = next((name for name in frame.columns if str(name).lower() in PATH_COLUMNS), None)
    if image is None or column not in frame.columns:
        needed = f"a path column ({', '.join(PATH_COLUMNS)}) and {column!r} (generate.mask_column)"
        raise DataError(f"{path} needs {needed}. {columns_of([str(name) for name in frame.columns])}")
    root = path.resolve().parent
    files = {}
    for name, mask in zip(frame[image].astype(str), frame[column].astype(str), strict=True):
        place = (root / mask).resolve()
        if mask and not place.is_relative_to(root):
            raise DataError(f"{path}: the mask {mask!r} is outside the folder of the table.")
        if mask:
            files[name.removeprefix("./")] = place
    return files


class Segmenter:
    """A segmentation model of transformers: one prompted with the class (CLIPSeg), or one with fixed classes."""

    def __init__(self, model: str, plan: Plan) -> None:
        import transformers

        folder = find_model(model, layout=TRANSFORMERS)
        self._name, self._device = model, chosen_device(plan.generate.device)
        settings = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quiet():
                config = transformers.AutoConfig.from_pretrained(folder.path, **settings)
                self._reads = config.model_type == "clipseg"
                kind = (
                    transformers.CLIPSegForImageSegmentation
                    if self._reads
                    else transformers.AutoModelForSemanticSegmentation
                )
                reader = transformers.AutoProcessor if self._reads else transformers.AutoImageProcessor
                self._processor = reader.from_pretrained(folder.path, **settings)
                self._model = kind.from_pretrained(folder.path, use_safetensors=True, **settings)
        except Exception as error:  # each kind of damage to a folder raises its own type
            raise EnvironmentFault(
                f"The segmentation model {model} cannot be loaded: {error} Use a CLIPSeg model, such as "
                "CIDAS/clipseg-rd64-refined, or one for semantic segmentation."
            ) from error
        self._model.to(self._device).eval()
        self._labels = {str(name).lower(): int(i) for i, name in (config.id2label or {}).items()}

    def __call__(self, image: Image.Image, class_name: str) -> Image.Image:
        """Return the mask of the class, in white, mode ``L``, of any size."""
        import torch

        rgb = image.convert("RGB")
        given = {"text": [class_name], "padding": True} if self._reads else {}
        with torch.inference_mode(), quiet():
            inputs = self._processor(images=[rgb], return_tensors="pt", **given).to(self._device)
            logits = self._model(**inputs).logits.float().cpu()
        if self._reads:
            inside = logits.reshape(logits.shape[-2:]) > 0
        else:
            inside = logits[0].argmax(0) == self._label(class_name)
        small = Image.fromarray(np.where(inside.numpy(), 255, 0).astype(np.uint8))
        return small.resize(image.size, Image.Resampling.NEAREST)

    def _label(self, class_name: str) -> int:
        words = class_name.lower()
        for name, label in self._labels.items():
            if words in [part.strip() for part in name.split(",")]:
                return label
        raise OptionError(
            f"The segmentation model {self._name} has no class {class_name!r}. Name the class as it does with "
            f"--aliases, or use a CLIPSeg model. Its classes: {', '.join(list(self._labels)[:12])}, ..."
        )
