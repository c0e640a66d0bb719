"""Measure how much of a prompt fits the text encoders of a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from synaug.config import EMBEDDED
from synaug.errors import DataError, EnvironmentFault
from synaug.runtime import storage
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models.model_sources import find_model, is_service
from synaug.synthesis.planning import shortened

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from transformers import PreTrainedTokenizerBase

_NAMES = ("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")
_SPECIAL = 4  # tokens that are not text: start, end, a leading space
_SHORT = 77  # tokens: the least that any pipeline with its own limit accepts
_UNLIMITED = 1_000_000  # tokens; transformers uses 1e30 for a tokenizer without a limit


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of one text encoder: ``count`` includes special tokens, ``limit`` is the most it accepts."""

    count: Callable[[str], int]
    limit: Callable[[], int]

    def fits(self, text: str) -> bool:
        """Return whether the encoder accepts the whole text."""
        if text.isascii() and len(text) + _SPECIAL <= _SHORT <= self._own:
            return True  # no token is shorter than a character
        return self.count(text) <= self._own

    @cached_property
    def _own(self) -> int:
        return self.limit()


class PromptLimit:
    """Shortens prompts to fit the text encoders; of several, one that fits the whole prompt is enough."""

    def __init__(self, tokenizers: list[Tokenizer]) -> None:
        self._tokenizers = tokenizers
        self._shortened: dict[str, str | None] = {}

    def __call__(self, prompt: str) -> str | None:
        """Return the prompt, without words from its middle if it is too long; None if not even one word fits."""
        if prompt not in self._shortened:
            self._shortened[prompt] = shortened(prompt, self._fits)
        return self._shortened[prompt]

    def _fits(self, text: str) -> bool:
        return not self._tokenizers or any(tokenizer.fits(text) for tokenizer in self._tokenizers)


def limit_of_pipeline(pipeline: DiffusionPipeline) -> PromptLimit:
    """Return the limit of a loaded pipeline; tokenizers without a loaded text encoder do not count."""
    longest = _sequence_length(type(pipeline))
    found = []
    for name in _NAMES:
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is not None and getattr(pipeline, _encoder_of(name), None) is not None:
            limit = min(int(tokenizer.model_max_length), longest)
            found.append(Tokenizer(partial(_count, tokenizer), partial(int, limit)))
    return PromptLimit(found)


def limit_at_hand(model: str) -> PromptLimit | None:
    """Return the limit of the embedded model or a model folder, without loading weights; None for all others.

    Nothing is downloaded, so the limit of a Hub model or service is None.
    """
    if is_service(model) or not (model == EMBEDDED or Path(model).expanduser().is_dir()):
        return None
    try:
        folder = find_model(model)
        index = folder.index
        names = [name for name in _NAMES if _is_named(index.get(name)) and _is_named(index.get(_encoder_of(name)))]
        return PromptLimit([_tokenizer_in(folder.path / name, str(index["_class_name"])) for name in names])
    except (EnvironmentFault, DataError, OSError, ValueError, TypeError, KeyError):
        return None  # loading the model will report the fault


def _tokenizer_in(folder: Path, pipeline: str) -> Tokenizer:
    own = int(dict(storage.read_json(folder / "tokenizer_config.json")).get("model_max_length", _UNLIMITED))

    def limit() -> int:
        if own <= _SHORT:
            return own
        import diffusers

        return min(own, _sequence_length(getattr(diffusers, pipeline, None)))

    if (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer as Fast  # avoids the seconds it takes to import transformers

        fast = Fast.from_file(str(folder / "tokenizer.json"))
        fast.no_truncation()
        fast.no_padding()
        return Tokenizer(lambda text: len(fast.encode(text).ids), limit)
    from transformers import AutoTokenizer

    with quiet():
        slow = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return Tokenizer(partial(_count, slow), limit)


def _count(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    return len(tokenizer(text, truncation=False, padding=False, verbose=False)["input_ids"])


def _sequence_length(pipeline: type | None) -> int:
    """Return the maximum number of tokens that the pipeline passes on; its tokenizers may accept more."""
    parameters = inspect.signature(pipeline.__call__).parameters if pipeline is not None else {}
    own = parameters["max_sequence_length"].default if "max_sequence_length" in parameters else None
    return own if isinstance(own, int) else _UNLIMITED


def _encoder_of(tokenizer: str) -> str:
    return tokenizer.replace("tokenizer", "text_encoder")


def _is_named(part: object) -> bool:
    """Return whether ``model_index.json`` contains a part; one that was left out is ``[null, null]``."""
    return isinstance(part, list) and None not in part
