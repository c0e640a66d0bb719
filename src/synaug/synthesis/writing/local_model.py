"""A language model on this machine, loaded by transformers from a folder or the Hub, with vision if it has any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from synaug.errors import EnvironmentFault, OptionError
from synaug.runtime import chosen_device, chosen_precision
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models import TRANSFORMERS, find_model
from synaug.synthesis.writing.questions import DESCRIBE, SYSTEM, beginning, question

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

_NEW_TOKENS = 60  # per prompt
_MOST_TOKENS = 2048  # of an answer


class LocalWriter:
    """Writes prompts with a loaded model; the same seed gives the same text on the same device."""

    def __init__(self, model: str, *, device: str = "auto", offline: bool | None = None) -> None:
        """Load the model.

        Args:
            model: folder as transformers saves it, or a Hub id ``ID`` or ``ID@REVISION``.
            device: auto, cpu, cuda, ...
            offline: use only downloaded files; None follows ``HF_HUB_OFFLINE``.

        Raises:
            EnvironmentFault: the model or the device is not available, or the model writes no text.
        """
        folder = find_model(model, layout=TRANSFORMERS, offline=offline)
        place = chosen_device(device)
        settings = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quiet():
                self._processor, self._tokenizer, kind = _readers(folder.path, settings)
                self._model = kind.from_pretrained(
                    folder.path, use_safetensors=True, **settings,
                    dtype=chosen_precision("auto", place),
                )  # fmt: skip
        except Exception as error:  # each kind of damage to a folder raises its own type
            raise EnvironmentFault(f"The language model {model} cannot be loaded: {error}") from error
        self._model.to(place).eval()
        self.about = {"model": folder.name, "revision": folder.revision or folder.weights}

    def write(
        self, name: str, *, number: int, phrases: Mapping[str, str], description: str, known: Sequence[str], seed: int
    ) -> str:
        """Return the model's text: its answer, or the list that it continues if it has no chat template."""
        context = {"phrases": phrases, "description": description, "known": known}
        if getattr(self._tokenizer, "chat_template", None) is None:
            text = beginning(name, **context)  # type: ignore[arg-type]
            return f"-{self._continued(_of_text(self._tokenizer(text, return_tensors='pt')), number, seed)}"
        asked = question(name, number=number, **context)  # type: ignore[arg-type]
        return self._continued(self._chat([{"role": "user", "content": f"{SYSTEM}\n{asked}"}]), number, seed)

    def describe(self, name: str, images: Sequence[Image.Image], seed: int) -> str:
        """Return how the images look, in a few words.

        Raises:
            OptionError: the model does not accept images.
        """
        if self._processor is None:
            raise OptionError(
                f"{self.about['model']} does not accept images. Leave out --describe, or use a vision model."
            )
        parts: list[dict[str, object]] = [{"type": "image", "image": image.convert("RGB")} for image in images]
        parts.append({"type": "text", "text": DESCRIBE.format(name=name)})
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=True, return_dict=True,
            return_tensors="pt",
        )  # fmt: skip
        return self._continued(inputs, 2, seed)

    def _chat(self, messages: Sequence[Mapping[str, object]]) -> dict[str, torch.Tensor]:
        return _of_text(
            self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
        )

    def _continued(self, inputs: Mapping[str, torch.Tensor], number: int, seed: int) -> str:
        """Return the new text, sampled with the seed."""
        import torch

        most = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or _MOST_TOKENS
        length = inputs["input_ids"].shape[1]
        room = min(number * _NEW_TOKENS, _MOST_TOKENS, most - length)
        if room < _NEW_TOKENS // 4:
            raise EnvironmentFault(
                f"The question has {length} tokens, but {self.about['model']} accepts {most}. Use a model with a "
                "longer context."
            )
        device = self._model.device
        devices = [device] if device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices), quiet():
            torch.manual_seed(seed)
            output = self._model.generate(
                **{name: value.to(device) for name, value in inputs.items()},
                max_new_tokens=room, do_sample=True, temperature=1.0, top_p=0.95, top_k=0,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
            )  # fmt: skip
        return str(self._tokenizer.decode(output[0, length:], skip_special_tokens=True))


def _of_text(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the inputs that every text model accepts; tokenizers may return more."""
    return {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}


def _readers(
    folder: Path, settings: Mapping[str, bool]
) -> tuple[ProcessorMixin | None, PreTrainedTokenizerBase, type[PreTrainedModel]]:
    """Return the processor of images (None without), the tokenizer and the class of the model."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    config = transformers.AutoConfig.from_pretrained(folder, **settings)
    if config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        processor = transformers.AutoProcessor.from_pretrained(folder, **settings)
        return processor, processor.tokenizer, transformers.AutoModelForImageTextToText
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **settings)
    return None, tokenizer, transformers.AutoModelForCausalLM
